"""Trains a segmentation: prepare, choose, fit to all customers, evaluate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.fitting import (
    TrainingData,
    Usefulness,
    fit_segmentation,
    numbered_by_value,
    training_data,
)
from customer_segmentation.clustering.matching import Overlap, kept_ids, matches, overlap
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection.choice import Choice, candidate_rows
from customer_segmentation.clustering.selection.clusterability import Clusterability, clusterability
from customer_segmentation.clustering.selection.coreset_fits import kmeans
from customer_segmentation.clustering.selection.stability import N_INIT, Labelling, Stability
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.features import feature_named
from customer_segmentation.preparation import Preparation

ONE_SEGMENT = (
    "a single segment tells no customers apart: lower clustering.eps, raise clustering.min_samples, or choose another "
    "clustering.algorithm"
)


@dataclass(frozen=True)
class Training:
    """A trained model with its evaluation.

    model: its segments have the ids of the incumbent's that they are, see `clustering.matching`.
    choice: the candidates; None where k was configured or follows from the customers.
    quality: figures over all customers that are in a segment: silhouette, calinski_harabasz, davies_bouldin (see
        `ClusterMetrics`), cost, smallest_share; on the coreset: stability (mean adjusted Rand index of bootstraps),
        agreement, separation, structure_p_value and structure (clusterability: 0 none, 1 weak, 2 clear); noise_share of
        DBSCAN, compression_loss of a tree; independent_cost, of a fit that does not follow the incumbent. What is not
        defined or can't be measured is not there.
    stability: mean bootstrap Jaccard index by segment id; empty where it can't be measured.
    clusterability: whether the customers have segments at all.
    auto_parameters: values that the fit gave to parameters which the settings leave to it ("auto"), by their names.
    overlap: of the incumbent and the model; None without an incumbent.
    """

    model: SegmentationModel
    choice: Choice | None
    quality: dict[str, float]
    stability: dict[int, float]
    clusterability: Clusterability
    auto_parameters: dict[str, float]
    overlap: Overlap | None = None

    def numbered(self, ids: Sequence[int]) -> "Training":
        """The training with other ids of the model's segments, in the model's order."""
        number = dict(zip(self.model.segment_ids, ids, strict=True))
        return replace(
            self,
            model=replace(self.model, segment_ids=tuple(ids), highest_id=max([self.model.highest_id, *ids])),
            stability={number[segment]: index for segment, index in self.stability.items()},
            overlap=replace(self.overlap, ids=tuple(ids)) if self.overlap else None,
        )

    @property
    def description(self) -> str:
        """The structure of the customers, and how the number of segments follows from it, in words."""
        if self.model.k == 1:
            return f"{self.clusterability.description}; {ONE_SEGMENT}"
        tied = sorted({candidate.k for candidate in self.choice.candidates if candidate.tied}) if self.choice else []
        others = ", ".join(str(k) for k in tied if k != self.model.k)
        if not others or self.choice is None:
            return self.clusterability.description
        are = "would do as well" if self.choice.candidate.is_stable else "are other choices"
        return f"{self.clusterability.description}; {others} segments {are}"

    def candidate_rows(self) -> list[dict[str, Any]]:
        """The candidates as rows of `model_runs.candidates`."""
        return candidate_rows(self.choice)


def train(
    features: DataFrame,
    settings: Clustering,
    *,
    seed: int,
    incumbent: SegmentationModel | None = None,
    usefulness: Usefulness | None = None,
) -> Training:
    """Prepare the features, choose k where it is not given, fit and evaluate.

    With an incumbent its number of segments stays unless another is clearly better, the fit starts from its segments
    unless that costs more (see `fitting.is_as_good`), and its segments keep their ids. On the incumbent's own
    customers, with its settings and seed, the result has the same segments.

    Args:
        features: rows of `customer_features`, with the attributes that the settings name.
        settings: the `clustering` section.
        incumbent: the model that serves now, of any algorithm.
        usefulness: of segments, such as `backtest.Hindsight`; numbers of segments that are tied otherwise are told
            apart by it.

    Returns:
        The training; segments are numbered by their customers' average net spend, the highest first: from 1, with an
        incumbent from above its highest id those that are none of its segments.

    Raises:
        DataRejectedError: the customers are too few or too similar to be segmented, or all of them are noise.
    """
    preparation = configured_preparation(settings, seed=seed).fit(features)
    if not preparation.features_:
        reasons = "; ".join(f"{name} {reason}" for name, reason in preparation.dropped_.items())
        raise DataRejectedError(f"no feature tells the customers apart: {reasons}")
    size = settings.sample_size
    with training_data(features, preparation, size=size, seed=seed, incumbent=incumbent, usefulness=usefulness) as data:
        fitted = fit_segmentation(data, settings, seed=seed)
        model = numbered_by_value(fitted.model, features)
        shared = overlap(incumbent, model, features) if incumbent else None
    metrics, stability = fitted.metrics, fitted.stability
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
    highest = max([incumbent.highest_id, *incumbent.segment_ids] if incumbent else [0])
    model = replace(model, highest_id=highest)
    training = Training(model, fitted.choice, defined, by_segment, measured, fitted.auto_parameters, shared)
    return training.numbered(kept_ids(model.segment_ids, matches(shared) if shared else {}, highest=highest))


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
    known = {name: feature for name in settings.features if (feature := feature_named(name))}
    skewed = {name for name, feature in known.items() if feature.shape == "skewed"}
    transforms = {
        name: asked.transforms.get(name, asked.skewed if name in skewed else "none") for name in settings.features
    }
    of_families = {name: feature.family for name, feature in known.items() if feature.family in asked.weights}
    weights = {name: asked.weights[family] for name, family in of_families.items()} | dict(asked.weights)
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
