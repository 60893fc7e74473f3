"""Moves centres to where the k-means cost of all customers is lowest, from the best of several initial ones.

After a model that serves already, they move no further than they must.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from customer_segmentation.clustering.fitting import MAX_LOSS, TrainingData
from customer_segmentation.clustering.kmeans.estimator import KMeans
from customer_segmentation.clustering.kmeans.lloyd import MIN_GAIN, described, refine_centers
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.selection.choice import Choice
from customer_segmentation.clustering.selection.metrics import Partition, Sums, summed
from customer_segmentation.config.schema import Clustering
from customer_segmentation.preparation.rounding import rounded

MAX_MLLIB_ITERATIONS = 10
"""Of MLlib's passes after a choice, a job each: those that move its centres on are many times quicker."""
STEPS = 20
"""Of a straight way to centres that cost less."""

Measure = Callable[[Sequence[Partition]], list[Sums]]
"""The sums of a pass over all points for each of several partitions, see `selection.metrics.summed`."""


def refit(data: TrainingData, choice: Choice, settings: Clustering, seed: int) -> CentroidModel:
    """Fit what was chosen to all customers: by Spark with one restart, then moved on, from there and the coreset.

    Of the two results the one with the lower cost is kept, so the model is never worse than either.
    """
    estimator = KMeans(
        choice.candidate.k,
        max_iterations=min(settings.max_iterations, MAX_MLLIB_ITERATIONS),
        n_init=1,
        seed=seed,
        bootstraps=0,
        gpu=settings.gpu,
    )
    model = estimator.fit(data.features, preparation=data.preparation)
    initial = [model.centers_, choice.partition.centers]
    centers, radii, cost = refine_centers(data.points, data.inputs, initial, passes=settings.max_iterations)
    return replace(model, centers_=centers, radii_=tuple(radii.tolist()), cost_=cost)


def follow(
    data: TrainingData, incumbent: CentroidModel, independent: CentroidModel, settings: Clustering
) -> CentroidModel | None:
    """The incumbent's centres, moved as little as it takes for them to cost little more than the independent ones."""
    moved = centers_within(
        lambda partitions: summed(data.points, data.inputs, partitions),
        incumbent.centers_in(data.preparation),
        independent.centers_,
        limit=(1 + MAX_LOSS) * independent.cost_,
        passes=settings.max_iterations,
    )
    if moved is None:
        return None
    centers, radii, cost = moved
    return replace(independent, centers_=centers, radii_=tuple(radii.tolist()), cost_=cost)


def centers_within(
    measure: Measure, start: np.ndarray, target: np.ndarray, *, limit: float, passes: int
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """The first centres on a way whose cost is within a limit, and who all have points nearest to them.

    The way is Lloyd's passes from the start, until they gain little; then straight on to the target, each centre to
    its counterpart, those together nearest to each other. The last of the passes is not made whole either.

    Args:
        start, target: (k, d) centres.
        limit: the most that the centres may cost.
        passes: most of Lloyd's.

    Returns:
        The centres, radii and cost, as of `refine_centers`; None where only the target is within the limit.
    """

    def is_enough(sums: Sums) -> bool:
        return float(rounded(sums.cost)) <= limit and bool(sums.counts.all())

    origin, current, before = None, rounded(start), np.inf
    for _ in range(passes + 1):
        (sums,) = measure([Partition(current)])
        cost = float(rounded(sums.cost))
        if is_enough(sums) or before - cost < MIN_GAIN * cost:
            break
        origin, current, before = current, rounded(sums.means(current)), cost
    if not is_enough(sums):
        squared = ((current[:, None] - target[None]) ** 2).sum(axis=2)
        way = _between(current, target[linear_sum_assignment(squared)[1]])
    elif origin is not None:
        way = [*_between(origin, current), current]
    else:
        return described(current, sums)
    measured = zip(way, measure([Partition(centers) for centers in way]), strict=True)
    return next((described(centers, sums) for centers, sums in measured if is_enough(sums)), None)


def _between(origin: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Centres on the straight way, without its ends."""
    return [rounded(origin + step / STEPS * (target - origin)) for step in range(1, STEPS)]
