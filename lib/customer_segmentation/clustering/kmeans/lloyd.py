"""Lloyd's passes of k-means over all rows, from several sets of centres at once."""

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.estimator.points import in_order
from customer_segmentation.clustering.selection.metrics import Partition, Sums, summed
from customer_segmentation.preparation.rounding import rounded

MIN_GAIN = 1e-4
"""A pass that lowers the cost by less than this share is the last."""


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
    best: tuple[np.ndarray, np.ndarray, float] | None = None
    for _ in range(passes + 1):
        all_sums = summed(points, columns, [Partition(current) for current in centers])
        costs = [float(rounded(sums.cost)) for sums in all_sums]
        lowest = int(np.argmin(costs))
        before = best[2] if best else np.inf
        if costs[lowest] < before:
            best = described(centers[lowest], all_sums[lowest])
        if before - costs[lowest] < MIN_GAIN * costs[lowest]:
            break
        centers = [rounded(sums.means(current)) for sums, current in zip(all_sums, centers, strict=True)]
    assert best is not None, "there is at least one pass"
    return best


def described(centers: np.ndarray, sums: Sums) -> tuple[np.ndarray, np.ndarray, float]:
    """The centres in the order of their coordinates, the root mean square distances of their points, and the cost."""
    squares = sums.squares - 2 * (sums.sums * centers).sum(axis=1) + sums.counts * (centers**2).sum(axis=1)
    radii = rounded(np.sqrt(np.maximum(squares, 0.0) / np.maximum(sums.counts, 1)))
    order = in_order(centers)
    return centers[order], radii[order], float(rounded(sums.cost))
