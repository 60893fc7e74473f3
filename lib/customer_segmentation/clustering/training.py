"""Trains a segmentation: prepare, choose k, fit on all customers, judge."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame

from customer_segmentation.clustering.choose import Candidate, best, candidates, stability
from customer_segmentation.clustering.kmeans import KMeans
from customer_segmentation.clustering.layout import hashed_sample
from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.clustering.preparation import Preparation, prepared_name
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.columns import CUSTOMER_ID, MONETARY, SEGMENT_ID
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.contract.features import FEATURE_BY_NAME


@dataclass(frozen=True)
class Training:
    """What a training gave.

    candidates: what was tried to choose k; empty where k was configured.
    quality: figures over all customers: silhouette (squared Euclidean, -1 to 1), cost, customers.
    stability: mean bootstrap Jaccard index by segment id.
    """

    model: CentroidModel
    candidates: list[Candidate]
    quality: dict[str, float]
    stability: dict[int, float]

    def candidate_rows(self) -> list[dict[str, Any]]:
        """The candidates as rows of `model_runs.candidates`."""
        return [asdict(candidate) for candidate in self.candidates]


def train(features: DataFrame, settings: Clustering, *, seed: int) -> Training:
    """Prepare the features, choose k where it is not given, fit and judge.

    Args:
        features: rows of `customer_features`.
        settings: the `clustering` section.

    Returns:
        The training; segments are numbered from 1 by their centre's net spend, the highest first.

    Raises:
        DataRefusedError: the customers are too few or too alike to be segmented.
    """
    names = settings.features
    skewed = [name for name in names if FEATURE_BY_NAME[name].shape == "skewed"]
    preparation = Preparation.fit(features, columns=names, skewed=skewed)
    if not preparation.features:
        raise DataRefusedError("no feature tells the customers apart: " + _told(preparation.dropped))
    sample = _sample(features, preparation, size=settings.sample_size, seed=seed)

    tried: list[Candidate] = []
    k = settings.k
    if k == "auto":
        tried = candidates(sample, ks=range(settings.k_min, settings.k_max + 1), seed=seed)
        if not tried:
            raise DataRefusedError(
                f"the customers take only {len(np.unique(sample, axis=0))} different values in the features "
                f"{', '.join(preparation.names)}: too few for clustering.k_min = {settings.k_min} segments"
            )
        k = best(tried, smallest_share=settings.smallest_share).k
    estimator = KMeans(k, max_iterations=settings.max_iterations, seed=seed, outlier_distance=settings.outlier_distance)
    model = _numbered_by_value(estimator.fit(features, preparation=preparation))
    indices = stability(sample, model.centers_, seed=seed)
    return Training(
        model,
        tried,
        _quality(model, features),
        dict(zip(model.segment_ids, indices, strict=True)),
    )


def _sample(features: DataFrame, preparation: Preparation, *, size: int, seed: int) -> np.ndarray:
    prepared = [prepared_name(name) for name in preparation.names]
    rows = hashed_sample(preparation.transform(features), size=size, seed=seed, by=CUSTOMER_ID).select(*prepared)
    return rows.toPandas().to_numpy(dtype=float)


def _numbered_by_value(model: CentroidModel) -> CentroidModel:
    """Number the segments from 1 by net spend at the centre, or by the first feature where spend is none of them."""
    centers = model.natural_centers()
    names = model.preparation.names
    by = MONETARY if MONETARY in names else names[0]
    order = sorted(range(model.k), key=lambda i: -centers[model.segment_ids[i]][by])
    return replace(
        model,
        segment_ids=tuple(range(1, model.k + 1)),
        centers_=model.centers_[order],
        radii_=tuple(model.radii_[i] for i in order),
    )


def _quality(model: CentroidModel, features: DataFrame) -> dict[str, float]:
    inputs = [prepared_name(name) for name in model.preparation.names]
    assigned = model.preparation.transform(model.assign(features))
    points = VectorAssembler(inputCols=inputs, outputCol="_features").transform(assigned)
    evaluator = ClusteringEvaluator(featuresCol="_features", predictionCol=SEGMENT_ID)
    return {"silhouette": round(evaluator.evaluate(points), 6), "cost": model.cost_}


def _told(dropped: Any) -> str:
    return "; ".join(f"{name} {why}" for name, why in dropped.items())
