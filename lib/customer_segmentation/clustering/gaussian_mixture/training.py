"""Trains a mixture from the one that serves now."""

import numpy as np

from customer_segmentation.clustering.fitting import MAX_LOSS, TrainingData
from customer_segmentation.clustering.gaussian_mixture.estimator import GaussianMixture
from customer_segmentation.clustering.gaussian_mixture.expectation import Mixture
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.config.schema import Clustering
from customer_segmentation.preparation import PreparationModel

STEP = 1e-3
"""Prepared units over which the slope between two preparations is taken."""


def follow_mixture(
    data: TrainingData, incumbent: MixtureModel, independent: MixtureModel, settings: Clustering
) -> MixtureModel | None:
    """The incumbent's mixture, or as few iterations from it as it takes to be nearly as likely as the independent one.

    None where a segment loses its customers.
    """
    estimator = GaussianMixture(independent.k, max_iterations=settings.max_iterations)
    loss = MAX_LOSS * data.coreset.rows * len(data.inputs) / 2  # of log-likelihood; a cost is minus twice of it
    start = carried_over(incumbent, data.preparation)
    enough = independent.log_likelihood_ - loss
    return estimator.fit_from(data.features, data.preparation, start, enough=enough)


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
