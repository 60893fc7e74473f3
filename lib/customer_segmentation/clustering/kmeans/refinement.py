"""Moves centres to where the k-means cost of all customers is lowest, from the best of several initial ones."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.calibrating import calibrated
from customer_segmentation.clustering.estimator.points import in_order
from customer_segmentation.clustering.fitting import TrainingData
from customer_segmentation.clustering.kmeans.estimator import KMeans
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.selection.choice import Choice
from customer_segmentation.clustering.selection.metrics import Partition, summed
from customer_segmentation.config.schema import Clustering
from customer_segmentation.preparation.rounding import rounded

MIN_GAIN = 1e-4
"""A pass that lowers the cost by less than this share is the last."""
MAX_MLLIB_ITERATIONS = 10
"""Of MLlib's passes after a choice, a job each: those that move its centres on are many times quicker."""


def refit(data: TrainingData, choice: Choice, settings: Clustering, seed: int) -> CentroidModel:
    """Fit what was chosen to all customers: by MLlib with one restart, then moved on, from there and the coreset.

    Of the two results the one with the lower cost is kept, so the model is never worse than either.
    """
    estimator = KMeans(
        choice.candidate.k,
        max_iterations=min(settings.max_iterations, MAX_MLLIB_ITERATIONS),
        n_init=1,
        seed=seed,
        bootstraps=0,
    )
    model = estimator.fit(data.features, preparation=data.preparation)
    initial = [model.centers_, choice.partition.centers]
    centers, radii, cost = refine_centers(data.points, data.inputs, initial, passes=settings.max_iterations)
    refined = replace(model, centers_=centers, radii_=tuple(radii.tolist()), cost_=cost)
    return calibrated(refined, data.coreset, seed=seed, outlier_share=settings.outlier_share)


def refine_centers(
    points: DataFrame, columns: Sequence[str], initial: Sequence[np.ndarray], *, passes: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Lloyd's passes over all rows from each of several sets of centres, all in one job a pass.

    Args:
        points: numeric columns without nulls, read once a pass.
        columns: coordinates.
        initial: (k, d) centres each.
        passes: most of them.

    Returns:
        (k, d) centres of the lowest cost, in the order of their coordinates; (k,) root mean square distances of their
        customers; the cost.
    """
    centers = [rounded(start) for start in initial]
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for _ in range(passes + 1):
        all_sums = summed(points, columns, [Partition(current) for current in centers])
        costs = [float(rounded(sums.cost)) for sums in all_sums]
        lowest = int(np.argmin(costs))
        before = best[0] if best else np.inf
        if costs[lowest] < before:
            sums, current = all_sums[lowest], centers[lowest]
            squares = sums.squares - 2 * (sums.sums * current).sum(axis=1) + sums.counts * (current**2).sum(axis=1)
            radii = np.sqrt(np.maximum(squares, 0.0) / np.maximum(sums.counts, 1))
            best = (costs[lowest], current, rounded(radii))
        if before - costs[lowest] < MIN_GAIN * costs[lowest]:
            break
        centers = [rounded(sums.means(current)) for sums, current in zip(all_sums, centers, strict=True)]
    assert best is not None, "there is at least one pass"
    cost, current, radii = best
    order = in_order(current)
    return current[order], radii[order], cost
