"""Moves centres to where the k-means cost of all customers is lowest, from the best of several starts."""

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.estimator.points import in_order
from customer_segmentation.clustering.selection.metrics import Partition, summed
from customer_segmentation.preparation.rounding import rounded

GAIN = 1e-4
"""A pass that lowers the cost by less than this share is the last."""


def refined(
    points: DataFrame, columns: Sequence[str], starts: Sequence[np.ndarray], *, passes: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Lloyd's passes over all rows from each of the starts, all in one job a pass.

    Args:
        points: numeric columns without nulls, read once a pass.
        columns: coordinates.
        starts: (k, d) centres each.
        passes: most of them.

    Returns:
        (k, d) centres of the lowest cost found, in the order of their coordinates; (k,) root mean square distances of
        their customers; the cost.
    """
    centers = [rounded(start) for start in starts]
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for _ in range(passes + 1):
        found = summed(points, columns, [Partition(one) for one in centers])
        costs = [float(rounded(sums.cost)) for sums in found]
        lowest = int(np.argmin(costs))
        before = best[0] if best else np.inf
        if costs[lowest] < before:
            sums, middle = found[lowest], centers[lowest]
            squares = sums.squares - 2 * (sums.sums * middle).sum(axis=1) + sums.counts * (middle**2).sum(axis=1)
            radii = np.sqrt(np.maximum(squares, 0.0) / np.maximum(sums.counts, 1))
            best = (costs[lowest], middle, rounded(radii))
        if before - costs[lowest] < GAIN * costs[lowest]:
            break
        centers = [rounded(sums.means(middle)) for sums, middle in zip(found, centers, strict=True)]
    assert best is not None, "there is at least one pass"
    cost, middle, radii = best
    order = in_order(middle)
    return middle[order], radii[order], cost
