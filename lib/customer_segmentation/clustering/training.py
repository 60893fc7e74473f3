"""Trains a segmentation: prepare, choose, fit to all customers, evaluate."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.fitting import fit_segmentation, training_data
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection.choice import Choice, candidate_rows
from customer_segmentation.clustering.selection.clusterability import Clusterability, clusterability
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.features import FAMILIES, FEATURE_BY_NAME
from customer_segmentation.preparation import Preparation


@dataclass(frozen=True)
class Training:
    """A trained model with its evaluation.

    choice: the candidates; None where k was configured or follows from the customers.
    quality: figures over all customers that are in a segment: silhouette, calinski_harabasz, davies_bouldin (see
        `ClusterMetrics`), cost, smallest_share; on the coreset: stability (mean adjusted Rand index of bootstraps),
        hopkins, and structure (clusterability: 0 none, 1 weak, 2 clear); noise_share of DBSCAN, lost_variance of a
        tree. What is not defined or can't be measured is not there.
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

    def candidate_rows(self) -> list[dict[str, Any]]:
        """The candidates as rows of `model_runs.candidates`."""
        return candidate_rows(self.choice)


def train(features: DataFrame, settings: Clustering, *, seed: int) -> Training:
    """Prepare the features, choose k where it is not given, fit and evaluate.

    Args:
        features: rows of `customer_features`, with the attributes that the settings name.
        settings: the `clustering` section.

    Returns:
        The training; segments are numbered from 1 by their centre's net spend, the highest first.

    Raises:
        DataRejectedError: the customers are too few or too similar to be segmented, or all of them are noise.
    """
    preparation = configured_preparation(settings, seed=seed).fit(features)
    if not preparation.features_:
        reasons = "; ".join(f"{name} {reason}" for name, reason in preparation.dropped_.items())
        raise DataRejectedError(f"no feature tells the customers apart: {reasons}")
    with training_data(features, preparation, size=settings.sample_size, seed=seed) as data:
        fitted = fit_segmentation(data, settings, seed=seed)
    model, metrics, stability = fitted.model, fitted.metrics, fitted.stability
    rand = stability.rand if stability else float("nan")
    measured = clusterability(data.coreset, k=model.k, rand=rand, seed=seed)
    quality = {
        "silhouette": metrics.silhouette,
        "calinski_harabasz": metrics.calinski_harabasz,
        "davies_bouldin": metrics.davies_bouldin,
        "cost": metrics.cost,
        "smallest_share": metrics.smallest_share,
        "stability": rand,
        "hopkins": measured.hopkins,
        "structure": float(measured.level),
        **fitted.quality,
    }
    defined = {name: value for name, value in quality.items() if np.isfinite(value)}
    by_segment = dict(zip(model.segment_ids, stability.segments.tolist(), strict=True)) if stability else {}
    return Training(model, fitted.choice, defined, by_segment, measured, fitted.auto_parameters)


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
