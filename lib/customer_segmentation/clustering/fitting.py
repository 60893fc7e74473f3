"""Fits a segmentation to all customers, by any registered algorithm, and evaluates it."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.calibrating import calibrated
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.choice import Choice, choose
from customer_segmentation.clustering.selection.coreset import Coreset, coreset
from customer_segmentation.clustering.selection.metrics import ClusterMetrics, Partition, evaluate, evaluate_groups
from customer_segmentation.clustering.selection.stability import (
    BOOTSTRAPS,
    Labelling,
    Stability,
    compare_bootstraps,
    stability,
)
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.columns import CUSTOMER_ID, MONETARY, SEGMENT_ID
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.preparation import PreparationModel, sql
from customer_segmentation.spark.persistence import persisted

MAX_LOSS = 0.005
"""Most that a fit may cost more than an independent one for its segments to be those that were there before."""

Usefulness = Callable[[PreparationModel, Sequence[Partition]], Sequence[float]]
"""How well each partition of customers, prepared in a way, ranks them by what they spent next, up to 1."""

AUTO_ALGORITHMS = ("kmeans", "gaussian_mixture", "bisecting_kmeans", "agglomerative")
"""What `clustering.algorithm: auto` tries; in a tie the incumbent's stays, else the first."""


@dataclass(frozen=True)
class TrainingData:
    """The customers of a training.

    features: in original units.
    points: the same, prepared and persisted.
    coreset: weighted customers that represent all, on the driver.
    incumbent: the model that the training is to follow; None for a first one.
    usefulness: how useful partitions are; None where it is not known.
    """

    features: DataFrame
    points: DataFrame
    preparation: PreparationModel
    coreset: Coreset
    incumbent: SegmentationModel | None = None
    usefulness: Usefulness | None = None

    @property
    def incumbent_k(self) -> int | None:
        """Number of segments of the incumbent."""
        return self.incumbent.k if self.incumbent else None

    @property
    def inputs(self) -> list[str]:
        """The coordinate columns of the points."""
        return self.preparation.outputs


@contextmanager
def training_data(
    features: DataFrame,
    preparation: PreparationModel,
    *,
    size: int,
    seed: int,
    incumbent: SegmentationModel | None = None,
    usefulness: Usefulness | None = None,
) -> Iterator[TrainingData]:
    """Prepare customers and draw a coreset of at most `size` of them; the points are persisted for the block."""
    inputs = preparation.outputs
    points = preparation.transform(features).select(CUSTOMER_ID, *map(sql.column, inputs))
    with persisted(points) as kept:
        drawn = coreset(kept, inputs, size=size, seed=seed, by=CUSTOMER_ID)
        yield TrainingData(features, kept, preparation, drawn, incumbent, usefulness)


@dataclass(frozen=True)
class FittedSegmentation:
    """A segmentation of all customers, with its evaluation.

    model: calibrated.
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
    incumbent = data.incumbent.algorithm if data.incumbent else ""
    choice = _choose(data, settings, sorted(AUTO_ALGORITHMS, key=lambda name: name != incumbent), seed)
    if choice is None:
        return fit_segmentation(data, settings.model_copy(update={"algorithm": AUTO_ALGORITHMS[0]}), seed=seed)
    spec = ALGORITHMS[choice.candidate.algorithm]
    settings = settings.model_copy(update={"algorithm": spec.name, "k": choice.candidate.k})
    if spec.refit is not None:
        return evaluated(data, spec.refit(data, choice, settings, seed), choice, settings, seed)
    return replace((spec.train or train_estimator)(data, settings, seed), choice=choice)


def train_estimator(data: TrainingData, settings: Clustering, seed: int) -> FittedSegmentation:
    """Train any algorithm: k is chosen on the coreset, and what was chosen is fitted to all customers."""
    spec, choice = ALGORITHMS[settings.algorithm], None
    if spec.needs_k and settings.k == "auto":
        if spec.fit_coreset is None:
            raise ConfigurationError(f"clustering.k must be a number with the algorithm {spec.name}; found auto")
        choice = _choose(data, settings, [spec.name], seed)
    if choice is not None and spec.refit is not None:
        return evaluated(data, spec.refit(data, choice, settings, seed), choice, settings, seed)
    k = choice.candidate.k if choice is not None else None if settings.k == "auto" else settings.k
    estimator = spec.configured(settings, k=k, seed=seed)
    if "bootstraps" in estimator.get_params():
        estimator.set_params(bootstraps=0)  # it is calibrated on the coreset
    model = estimator.fit(data.features, preparation=data.preparation)
    return evaluated(data, model, choice, settings, seed)


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
        usefulness=partial(data.usefulness, data.preparation) if data.usefulness else None,
    )


def evaluated(
    data: TrainingData, independent: SegmentationModel, choice: Choice | None, settings: Clustering, seed: int
) -> FittedSegmentation:
    """The model, calibrated on the coreset where its fit did not do so and that can be, with its metrics and stability.

    A fit that follows the incumbent takes the model's place where it `is_as_good`.

    Args:
        independent: a fit that knows nothing of the incumbent.
    """
    model, metrics = independent, metrics_of(data, independent)
    quality: dict[str, float] = {}
    following = followed(data, independent, settings)
    if following is not None:
        quality["independent_cost"] = metrics.cost
        measured = metrics_of(data, following)
        unit = metrics.sizes.sum() * len(data.inputs) if following.HAS_LIKELIHOOD else metrics.cost
        if is_as_good(measured, metrics, unit=unit, smallest_share=settings.smallest_share):
            model, metrics = following, measured
    if model.calibration is None and model.IS_CALIBRATED_BY_SAMPLES:
        model = calibrated(model, data.coreset, seed=seed, outlier_share=settings.outlier_share)
    return FittedSegmentation(model, metrics, _stability(data, model, choice, seed), choice, quality)


def _stability(data: TrainingData, model: SegmentationModel, choice: Choice | None, seed: int) -> Stability | None:
    """The stability of a model, by the bootstraps that its number of segments was chosen by where it has as many."""
    if choice is not None and choice.candidate.k == model.k and isinstance(model, Labelling):
        return compare_bootstraps(data.coreset, model, choice.bootstraps)
    return stability_of(data.coreset, model, seed=seed)


def followed(data: TrainingData, independent: SegmentationModel, settings: Clustering) -> SegmentationModel | None:
    """The incumbent's segments, changed as little as it takes to be as good; None where that can't be.

    It can't where the incumbent is of another algorithm, number of segments or features, and where the algorithm has no
    start.
    """
    incumbent, follow = data.incumbent, ALGORITHMS[independent.algorithm].follow
    if follow is None or incumbent is None:
        return None
    same = (incumbent.algorithm, incumbent.k, incumbent.preparation.names)
    if same != (independent.algorithm, independent.k, independent.preparation.names):
        return None
    return follow(data, incumbent, independent, settings)


def is_as_good(following: ClusterMetrics, independent: ClusterMetrics, *, unit: float, smallest_share: float) -> bool:
    """Whether a fit that follows the incumbent costs little more than an independent one.

    Args:
        unit: `MAX_LOSS` is a part of it: the independent cost; with a mixture, whose cost has no zero, the number of
            customers times features, what their squared distances in the segments' standard deviations add up to.
        smallest_share: the smallest segment may not be smaller, unless the independent fit's is.
    """
    is_large_enough = following.smallest_share >= min(smallest_share, independent.smallest_share)
    return is_large_enough and following.cost - independent.cost <= MAX_LOSS * unit


def metrics_of(data: TrainingData, model: SegmentationModel) -> ClusterMetrics:
    """The metrics of a model of any algorithm over all customers that are in a segment. Runs two jobs or more."""
    return (ALGORITHMS[model.algorithm].evaluate or evaluate_assignment)(data, model)


def stability_of(
    coreset: Coreset, model: SegmentationModel, *, seed: int, bootstraps: int = BOOTSTRAPS
) -> Stability | None:
    """The stability of a model of any algorithm; None where it can't be measured."""
    spec = ALGORITHMS[model.algorithm]
    if spec.stability is not None:
        return spec.stability(coreset, model, seed)
    if spec.fit_coreset is None or not isinstance(model, Labelling):
        return None
    return stability(coreset, model, algorithm=spec.name, seed=seed, bootstraps=bootstraps)


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


def numbered_by_value(model: SegmentationModel, features: DataFrame) -> SegmentationModel:
    """Number the segments from 1 by their customers' average net spend, or by the centres of the first feature.

    Args:
        features: the customers; where they have no net spend, the first feature counts. Runs one job.
    """
    if MONETARY in features.columns:
        by_segment = model.assign(features).groupBy(SEGMENT_ID).agg(F.avg(MONETARY)).collect()
        values = {row[0]: float(row[1]) for row in by_segment if row[1] is not None}
    else:
        centers = model.centers_in_original_units()
        values = {segment: center[model.preparation.names[0]] for segment, center in centers.items()}
    order = sorted(model.segment_ids, key=lambda segment: -values.get(segment, -math.inf))
    return replace(model, segment_ids=tuple(1 + order.index(segment) for segment in model.segment_ids))
