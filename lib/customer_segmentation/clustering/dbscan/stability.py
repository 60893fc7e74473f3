"""How well a density-based segmentation is recovered from bootstraps of the customers."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from customer_segmentation.clustering.dbscan.kernel import clusters
from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.dbscan.workers import assigned
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.stability import Stability, compare_bootstraps

BOOTSTRAPS = 10

MIN_BOOTSTRAPS = 10
MAX_CLUSTERED = 1_000_000
"""Most points of all bootstraps of a calibration together, where that leaves `MIN_BOOTSTRAPS`."""


def density_stability(coreset: Coreset, model: DBSCANModel, seed: int) -> Stability | None:
    """Draw bootstraps of the customers, cluster each by density, and compare on all customers.

    A customer that was drawn twice counts twice, one that was not drawn is assigned to what the others made.

    Args:
        coreset: all customers. A sample of them is less dense, so it says nothing of all.

    Returns:
        The stability; None where the coreset is a sample of the customers.
    """
    if len(coreset.points) < coreset.rows:
        return None
    generator = np.random.default_rng(seed)
    n = len(coreset.points)
    labels = []
    for _ in range(BOOTSTRAPS):
        drawn = np.bincount(generator.integers(n, size=n), minlength=n)
        labels.append(_bootstrap(coreset.points, drawn, eps=model.eps_, min_samples=model.min_samples))
    return compare_bootstraps(coreset, model, labels)


def drawn_densities(coreset: Coreset, model: DBSCANModel, count: int, seed: int) -> Iterator[np.ndarray]:
    """The segments of all points by clusters of bootstraps.

    Args:
        coreset: all customers; equal ones may be one point.
        count: of the bootstraps; of many customers there are fewer, at least `MIN_BOOTSTRAPS`.
    """
    generator = np.random.default_rng(seed)
    chances = coreset.weights / coreset.weights.sum()
    for _ in range(min(count, max(MIN_BOOTSTRAPS, MAX_CLUSTERED // len(coreset.points)))):
        drawn = generator.multinomial(coreset.rows, chances)
        yield _bootstrap(coreset.points, drawn, eps=model.eps_, min_samples=model.min_samples)


def _bootstrap(points: np.ndarray, drawn: np.ndarray, *, eps: float, min_samples: int) -> np.ndarray:
    """The cluster of each point, -1 for noise, where each was drawn so many times."""
    here = np.flatnonzero(drawn)
    order = np.arange(len(here))
    fitted = clusters(points[here], weights=drawn[here], order=order, eps=eps, min_samples=min_samples)
    core = np.flatnonzero(fitted.core)
    tree = cKDTree(points[here][core].reshape(-1, points.shape[1]))
    segment, _ = assigned(tree, points[here][core], order[core], fitted.labels[core].astype(np.int32), points, eps)
    return segment
