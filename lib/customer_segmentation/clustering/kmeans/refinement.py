"""Moves centres to where the k-means cost of all customers is low, from the best of several initial ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from customer_segmentation.clustering.estimator.points import in_order
from customer_segmentation.clustering.fitting import TrainingData
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.choice import Choice
from customer_segmentation.clustering.selection.metrics import Partition, Sums, summed
from customer_segmentation.config.schema import Clustering
from customer_segmentation.preparation.rounding import rounded

MIN_GAIN = 1e-4
"""Centres are settled when a pass from them lowers the cost by less than this share."""
MAX_MLLIB_ITERATIONS = 10
"""Of MLlib's passes after a choice, a job each: those that move its centres on are many times quicker."""

Measure = Callable[[Sequence[Partition]], list[Sums]]
"""The sums of a pass over all points for each of several partitions."""


@dataclass(frozen=True)
class SettledCenters:
    """Centres from which a pass gains little.

    centers: (k, d), in the order of their coordinates.
    sizes: (k,) points nearest to each.
    radii: (k,) root mean square distances of these.
    cost: sum of all squared distances.
    """

    centers: np.ndarray
    sizes: np.ndarray
    radii: np.ndarray
    cost: float


def refit(data: TrainingData, choice: Choice | None, settings: Clustering, seed: int) -> CentroidModel:
    """Fit centres to all customers: by the estimator, then moved on, from there and from the choice's.

    After a choice k-means has one restart only. Of the results the one with the lowest cost is kept. What the centres
    of bisecting k-means gain by being moved on is part of that algorithm as published (Steinbach, Karypis, Kumar 2000).
    """
    algorithm = choice.candidate.algorithm if choice else settings.algorithm
    k = choice.candidate.k if choice else int(settings.k)
    estimator = ALGORITHMS[algorithm].configured(settings, k=k, seed=seed)
    if choice is not None and "n_init" in estimator.get_params():
        estimator.set_params(n_init=1, max_iterations=min(settings.max_iterations, MAX_MLLIB_ITERATIONS))
    model: CentroidModel = estimator.fit(data.features, preparation=data.preparation)
    initial = [model.centers_, *([choice.partition.centers] if choice else [])]
    refined = refine_centers(_measure(data), initial, passes=settings.max_iterations)
    return _with_centers(model, min(refined, key=lambda each: (not each.sizes.all(), each.cost)))


def follow(
    data: TrainingData, incumbent: CentroidModel, model: CentroidModel, settings: Clustering
) -> CentroidModel | None:
    """The model with centres moved on from the incumbent's; None where one is left without customers."""
    start = incumbent.centers_in(data.preparation)
    (refined,) = refine_centers(_measure(data), [start], passes=settings.max_iterations)
    return _with_centers(model, refined) if refined.sizes.all() else None


def refine_centers(measure: Measure, initial: Sequence[np.ndarray], *, passes: int) -> list[SettledCenters]:
    """Lloyd's passes over all points from each of several sets of centres, all in one job a pass, until they settle.

    Settled centres stay where they are: on the same points they are their own result, and not those of another pass.

    Args:
        measure: goes over the points, see `selection.metrics.summed`.
        initial: (k, d) centres each.
        passes: most of them.

    Returns:
        For each set where it settled, or where the last pass took it.
    """
    centers = [_in_order(start) for start in initial]
    all_sums = measure([Partition(start) for start in centers])
    moving = list(range(len(centers)))
    for _ in range(passes):
        moved = {i: _in_order(all_sums[i].means(centers[i])) for i in moving}
        measured = dict(zip(moving, measure([Partition(moved[i]) for i in moving]), strict=True))
        moving = [i for i in moving if all_sums[i].cost - measured[i].cost > MIN_GAIN * measured[i].cost]
        if not moving:
            break
        for i in moving:
            centers[i], all_sums[i] = moved[i], measured[i]
    return [_settled(*values) for values in zip(centers, all_sums, strict=True)]


def _settled(centers: np.ndarray, sums: Sums) -> SettledCenters:
    squares = sums.squares - 2 * (sums.sums * centers).sum(axis=1) + sums.counts * (centers**2).sum(axis=1)
    radii = rounded(np.sqrt(np.maximum(squares, 0.0) / np.maximum(sums.counts, 1)))
    return SettledCenters(centers, sums.counts, radii, float(rounded(sums.cost)))


def _in_order(centers: np.ndarray) -> np.ndarray:
    """The centres rounded, in the order of their coordinates: ties between them are broken as in the model."""
    ordered: np.ndarray = rounded(centers)[in_order(rounded(centers))]
    return ordered


def _measure(data: TrainingData) -> Measure:
    return lambda partitions: summed(data.points, data.inputs, partitions)


def _with_centers(model: CentroidModel, refined: SettledCenters) -> CentroidModel:
    radii = tuple(refined.radii.tolist())
    return replace(model, centers_=refined.centers, radii_=radii, cost_=refined.cost)
