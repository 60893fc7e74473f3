"""Trains a mixture from the one that serves now."""

import numpy as np

from customer_segmentation.clustering.fitting import TrainingData
from customer_segmentation.clustering.gaussian_mixture.expectation import Mixture
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.config.schema import Clustering
from customer_segmentation.preparation import PreparationModel

STEP = 1e-3
"""Prepared units over which the slope between two preparations is taken."""


def follow_mixture(
    data: TrainingData, incumbent: MixtureModel, model: MixtureModel, settings: Clustering
) -> MixtureModel | None:
    """A mixture by expectation maximisation from the incumbent's; None where a segment loses its customers."""
    estimator = ALGORITHMS[model.algorithm].configured(settings, k=model.k, seed=0)
    start = carried_over(incumbent, data.preparation)
    followed: MixtureModel | None = estimator.fit_from(data.features, data.preparation, start)  # type: ignore[attr-defined]
    return followed


def carried_over(model: MixtureModel, preparation: PreparationModel) -> Mixture:
    """The mixture in the units of another preparation, whose slope at a segment's mean is taken for all of it."""
    means = model.centers_in(preparation)
    if preparation.features_ == model.preparation.features_:
        return Mixture(model.weights_, means, model.covariances_)
    steps = STEP * np.eye(means.shape[1])
    slopes = np.stack(
        [
            (model.carried_over(mean + steps, preparation) - model.carried_over(mean - steps, preparation)) / (2 * STEP)
            for mean in model.means_
        ]
    )  # segments x old coordinates x new coordinates
    return Mixture(model.weights_, means, slopes.transpose(0, 2, 1) @ model.covariances_ @ slopes)
