"""Trains a segmentation: prepare, choose, fit to all customers, evaluate."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.fitting import TrainingData, fit_segmentation, training_data
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection.choice import Choice, candidate_rows
from customer_segmentation.clustering.selection.clusterability import Clusterability, clusterability
from customer_segmentation.clustering.selection.coreset_fits import kmeans, one_thread
from customer_segmentation.clustering.selection.stability import N_INIT, Labelling, Stability
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.features import FAMILIES, FEATURE_BY_NAME
from customer_segmentation.preparation import Preparation

ONE_SEGMENT = (
    "a single segment tells no customers apart: lower clustering.eps, raise clustering.min_samples, or choose another "
    "clustering.algorithm"
)


@dataclass(frozen=True)
class Training:
    """A trained model with its evaluation.

    choice: the candidates; None where k was configured or follows from the customers.
    quality: figures over all customers that are in a segment: silhouette, calinski_harabasz, davies_bouldin (see
        `ClusterMetrics`), cost, smallest_share; on the coreset: stability (mean adjusted Rand index of bootstraps),
        agreement, separation, structure_p_value and structure (clusterability: 0 none, 1 weak, 2 clear); noise_share of
        DBSCAN, lost_variance of a tree. What is not defined or can't be measured is not there.
    stability: mean bootstrap Jaccard index by segment id; empty where it can't be measured.
    clusterability: whether the customers have segments at all.
    auto_parameters: values that the fit gave to parameters which the settings leave to it ("auto"), by their names.
    """

    model: SegmentationModel
    choice: Choice | None
    quality: dict[str, float]
    stability: dict[int, float]
    clusterability: Clusterability
    auto_parameters: dict[str, float]

    @property
    def description(self) -> str:
        """The structure of the customers, and how the number of segments follows from it, in words."""
        if self.model.k == 1:
            return f"{self.clusterability.description}; {ONE_SEGMENT}"
        tied = sorted({candidate.k for candidate in self.choice.candidates if candidate.tied}) if self.choice else []
        others = [str(k) for k in tied if k != self.model.k]
        return self.clusterability.description + (f"; {', '.join(others)} segments would do as well" if others else "")

    def candidate_rows(self) -> list[dict[str, Any]]:
        """The candidates as rows of `model_runs.candidates`."""
        return candidate_rows(self.choice)


def train(features: DataFrame, settings: Clustering, *, seed: int, incumbent_k: int | None = None) -> Training:
    """Prepare the features, choose k where it is not given, fit and evaluate.

    Args:
        features: rows of `customer_features`, with the attributes that the settings name.
        settings: the `clustering` section.
        incumbent_k: number of segments of the model in service, which stays where others do no better.

    Returns:
        The training; segments are numbered from 1 by their centre's net spend, the highest first.

    Raises:
        DataRejectedError: the customers are too few or too similar to be segmented, or all of them are noise.
    """
    preparation = configured_preparation(settings, seed=seed).fit(features)
    if not preparation.features_:
        reasons = "; ".join(f"{name} {reason}" for name, reason in preparation.dropped_.items())
        raise DataRejectedError(f"no feature tells the customers apart: {reasons}")
    with training_data(features, preparation, size=settings.sample_size, seed=seed, incumbent_k=incumbent_k) as data:
        fitted = fit_segmentation(data, settings, seed=seed)
    model, metrics, stability = fitted.model, fitted.metrics, fitted.stability
    rand = stability.rand if stability else float("nan")
    measured = clusterability(data.coreset, _labelling(data, model, stability, seed), stability=stability, seed=seed)
    quality = {
        "silhouette": metrics.silhouette,
        "calinski_harabasz": metrics.calinski_harabasz,
        "davies_bouldin": metrics.davies_bouldin,
        "cost": metrics.cost,
        "smallest_share": metrics.smallest_share,
        "stability": rand,
        "agreement": measured.agreement,
        "separation": measured.separation,
        "structure_p_value": measured.p_value,
        "structure": float(measured.level),
        **fitted.quality,
    }
    defined = {name: value for name, value in quality.items() if np.isfinite(value)}
    by_segment = dict(zip(model.segment_ids, stability.segments.tolist(), strict=True)) if stability else {}
    return Training(model, fitted.choice, defined, by_segment, measured, fitted.auto_parameters)


def _labelling(data: TrainingData, model: SegmentationModel, stability: Stability | None, seed: int) -> Labelling:
    """The model, or k-means with as many segments where it can't label a sample, as DBSCAN by its many core points."""
    if stability is not None and isinstance(model, Labelling):
        return model
    distinct = len(np.unique(data.coreset.points, axis=0))
    with one_thread():
        return kmeans(data.coreset, [min(model.k, distinct)], N_INIT, seed)[0]


def configured_preparation(settings: Clustering, *, seed: int) -> Preparation:
    """The preparation that the settings ask for."""
    asked = settings.preparation
    skewed = {name for name, feature in FEATURE_BY_NAME.items() if feature.shape == "skewed"}
    transforms = {
        name: asked.shapes.get(name, asked.skewed if name in skewed else "none") for name in settings.features
    }
    weights = {
        feature.name: asked.weights[family]
        for family, members in FAMILIES.items()
        if family in asked.weights
        for feature in members
    }
    weights |= {name: weight for name, weight in asked.weights.items() if name not in FAMILIES}
    used = {*settings.features, *asked.attributes}
    return Preparation(
        settings.features,
        skewed=transforms,
        scaling=asked.scaling,
        winsorise=None if asked.winsorise is None else (asked.winsorise[0], asked.winsorise[1]),
        attributes=asked.attributes,
        categories=asked.categories,
        weights={name: weight for name, weight in weights.items() if name in used},
        variance=asked.variance,
        seed=seed,
    )
