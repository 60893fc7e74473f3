"""Trains a DBSCAN: the number of segments follows from what is dense."""

from dataclasses import replace

from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.fitting import FittedSegmentation, TrainingData, evaluated
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.errors import DataRejectedError


def train_density(data: TrainingData, settings: Clustering, seed: int) -> FittedSegmentation:
    """Fit and evaluate, over the customers that are in a segment.

    Raises:
        DataRejectedError: all customers are noise.
    """
    estimator = ALGORITHMS[settings.algorithm].configured(settings, k=None, seed=seed)
    model: DBSCANModel = estimator.fit(data.features, preparation=data.preparation)
    if not model.k:
        raise DataRejectedError(
            f"all {data.coreset.rows} customers are noise: nowhere do {settings.min_samples} of them lie within "
            f"eps = {model.eps_:.4g} of one; raise clustering.eps or lower clustering.min_samples"
        )
    fitted = evaluated(data, model, None, settings, seed)
    noise = data.coreset.rows - int(fitted.metrics.sizes.sum())
    return replace(
        fitted,
        quality={"noise_share": noise / data.coreset.rows},
        auto_parameters={"eps": model.eps_} if settings.eps == "auto" else {},
    )
