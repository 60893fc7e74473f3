"""Fits a segmentation to all customers, by any registered algorithm, and evaluates it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.choice import Choice, choose
from customer_segmentation.clustering.selection.coreset import Coreset, coreset
from customer_segmentation.clustering.selection.metrics import ClusterMetrics, evaluate, evaluate_groups
from customer_segmentation.clustering.selection.stability import Labelling, Stability, stability
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.columns import CUSTOMER_ID, MONETARY, SEGMENT_ID
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.preparation import PreparationModel, sql
from customer_segmentation.spark.persistence import persisted

AUTO_ALGORITHMS = ("kmeans", "gaussian_mixture", "bisecting_kmeans", "agglomerative")
"""What `clustering.algorithm: auto` tries; in a tie the first."""


@dataclass(frozen=True)
class TrainingData:
    """The customers of a training.

    features: in original units.
    points: the same, prepared and persisted.
    coreset: weighted customers that represent all, on the driver.
    incumbent_k: number of segments of the model in service; None where there is none.
    """

    features: DataFrame
    points: DataFrame
    preparation: PreparationModel
    coreset: Coreset
    incumbent_k: int | None = None

    @property
    def inputs(self) -> list[str]:
        """The coordinate columns of the points."""
        return self.preparation.outputs


@contextmanager
def training_data(
    features: DataFrame, preparation: PreparationModel, *, size: int, seed: int, incumbent_k: int | None = None
) -> Iterator[TrainingData]:
    """Prepare customers and draw a coreset of at most `size` of them; the points are persisted for the block."""
    inputs = preparation.outputs
    points = preparation.transform(features).select(CUSTOMER_ID, *map(sql.column, inputs))
    with persisted(points) as kept:
        drawn = coreset(kept, inputs, size=size, seed=seed, by=CUSTOMER_ID)
        yield TrainingData(features, kept, preparation, drawn, incumbent_k)


@dataclass(frozen=True)
class FittedSegmentation:
    """A segmentation of all customers, with its evaluation.

    model: its segments numbered by value.
    metrics: over all customers that are in a segment.
    stability: None where it can't be measured.
    choice: the candidates; None where there was nothing to choose.
    quality: figures that only this kind of model has.
    auto_parameters: values that the fit gave to parameters which the settings leave to it ("auto").
    """

    model: SegmentationModel
    metrics: ClusterMetrics
    stability: Stability | None
    choice: Choice | None = None
    quality: dict[str, float] = field(default_factory=dict)
    auto_parameters: dict[str, float] = field(default_factory=dict)


def fit_segmentation(data: TrainingData, settings: Clustering, *, seed: int) -> FittedSegmentation:
    """Choose the algorithm and k where they are not given, fit and evaluate.

    Raises:
        ConfigurationError: the algorithm can't choose its number of segments, and none is given.
        DataRejectedError: the customers are too few or too similar to be segmented, or all of them are noise.
    """
    if settings.algorithm != "auto":
        return (ALGORITHMS[settings.algorithm].train or train_estimator)(data, settings, seed)
    choice = _choose(data, settings, AUTO_ALGORITHMS, seed)
    if choice is None:
        return fit_segmentation(data, settings.model_copy(update={"algorithm": AUTO_ALGORITHMS[0]}), seed=seed)
    spec = ALGORITHMS[choice.candidate.algorithm]
    settings = settings.model_copy(update={"algorithm": spec.name, "k": choice.candidate.k})
    if spec.refit is not None:
        return evaluated(data, spec.refit(data, choice, settings, seed), choice, seed)
    return replace((spec.train or train_estimator)(data, settings, seed), choice=choice)


def train_estimator(data: TrainingData, settings: Clustering, seed: int) -> FittedSegmentation:
    """Train any algorithm: k is chosen on the coreset, and what was chosen is fitted to all customers."""
    spec, choice = ALGORITHMS[settings.algorithm], None
    if spec.needs_k and settings.k == "auto":
        if spec.fit_coreset is None:
            raise ConfigurationError(f"clustering.k must be a number with the algorithm {spec.name}; found auto")
        choice = _choose(data, settings, [spec.name], seed)
    if choice is not None and spec.refit is not None:
        return evaluated(data, spec.refit(data, choice, settings, seed), choice, seed)
    k = choice.candidate.k if choice is not None else None if settings.k == "auto" else settings.k
    model = spec.configured(settings, k=k, seed=seed).fit(data.features, preparation=data.preparation)
    return evaluated(data, model, choice, seed)


def _choose(data: TrainingData, settings: Clustering, algorithms: Sequence[str], seed: int) -> Choice | None:
    return choose(
        data.points,
        data.inputs,
        data.coreset,
        ks=candidate_ks(data, settings) if settings.k == "auto" else [settings.k],
        algorithms=algorithms,
        smallest_share=settings.smallest_share,
        seed=seed,
        incumbent_k=data.incumbent_k,
    )


def evaluated(data: TrainingData, model: SegmentationModel, choice: Choice | None, seed: int) -> FittedSegmentation:
    """The model with its segments numbered by value, its metrics and its stability."""
    model = numbered_by_value(model)
    return FittedSegmentation(model, metrics_of(data, model), stability_of(data.coreset, model, seed=seed), choice)


def metrics_of(data: TrainingData, model: SegmentationModel) -> ClusterMetrics:
    """The metrics of a model of any algorithm over all customers that are in a segment. Runs two jobs or more."""
    return (ALGORITHMS[model.algorithm].evaluate or evaluate_assignment)(data, model)


def stability_of(coreset: Coreset, model: SegmentationModel, *, seed: int) -> Stability | None:
    """The stability of a model of any algorithm; None where it can't be measured."""
    spec = ALGORITHMS[model.algorithm]
    if spec.stability is not None:
        return spec.stability(coreset, model, seed)
    if spec.fit_coreset is None or not isinstance(model, Labelling):
        return None
    return stability(coreset, model, algorithm=spec.name, seed=seed)


def evaluate_partition(data: TrainingData, model: Any) -> ClusterMetrics:
    """Evaluate a model that is a `partition` of any point, without assigning. Runs two jobs."""
    return evaluate(data.points, data.inputs, [model.partition])[0]


def evaluate_assignment(data: TrainingData, model: SegmentationModel) -> ClusterMetrics:
    """Evaluate any model over the customers that it assigns to a segment. Its segments are numbered from 1."""
    position = np.zeros(model.k + 1, dtype=np.int64)  # by segment id
    position[list(model.segment_ids)] = np.arange(model.k)
    prepared = data.preparation.transform(data.features)
    assigned = model.assign(prepared).select(SEGMENT_ID, *map(sql.column, data.inputs))
    with persisted(assigned) as rows:
        return evaluate_groups(rows.where(f"{SEGMENT_ID} > 0"), data.inputs, SEGMENT_ID, [position])[0]


def candidate_ks(data: TrainingData, settings: Clustering) -> list[int]:
    """The numbers of segments to try: below that of different customers."""
    distinct = len(np.unique(data.coreset.points, axis=0))
    ks = [k for k in range(settings.k_min, settings.k_max + 1) if k < distinct]
    if not ks:
        raise DataRejectedError(
            f"the customers take only {distinct} different values in the features "
            f"{', '.join(data.preparation.names)}: too few for clustering.k_min = {settings.k_min} segments"
        )
    return ks


def numbered_by_value(model: SegmentationModel) -> SegmentationModel:
    """Number the segments from 1 by net spend at the centre, or by the first feature where spend is none of them."""
    centers = model.centers_in_original_units()
    names = model.preparation.names
    by = MONETARY if MONETARY in names else names[0]
    order = sorted(model.segment_ids, key=lambda segment: -centers[segment][by])
    return replace(model, segment_ids=tuple(1 + order.index(segment) for segment in model.segment_ids))
