"""How well a density-based segmentation is found again when the customers are drawn anew."""

import numpy as np
from scipy.spatial import cKDTree

from customer_segmentation.clustering.dbscan.kernel import clusters
from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.dbscan.workers import assigned
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.stability import BOOTSTRAPS, Stability, compared


def density_stability(core: Coreset, model: DBSCANModel, *, seed: int) -> Stability | None:
    """Draw the customers anew with replacement, find their dense places, and compare on all of them.

    A customer that was drawn twice counts twice, one that was not drawn is assigned to what the others made.

    Args:
        core: all customers. In a sample of them places are less dense than among all, so it tells nothing.

    Returns:
        The stability; None where the coreset is a sample of the customers.
    """
    if len(core.points) < core.rows:
        return None
    generator = np.random.default_rng(seed)
    n = len(core.points)
    found = []
    for _ in range(BOOTSTRAPS):
        drawn = np.bincount(generator.integers(n, size=n), minlength=n)
        found.append(_found_again(core.points, drawn, eps=model.eps_, min_samples=model.min_samples))
    return compared(core, model, found)


def _found_again(points: np.ndarray, drawn: np.ndarray, *, eps: float, min_samples: int) -> np.ndarray:
    """The cluster of each point, -1 for noise, where each was drawn so many times."""
    here = np.flatnonzero(drawn)
    order = np.arange(len(here))
    found = clusters(points[here], weights=drawn[here], order=order, eps=eps, min_samples=min_samples)
    core = np.flatnonzero(found.core)
    tree = cKDTree(points[here][core])
    segment, _ = assigned(tree, points[here][core], order[core], found.labels[core].astype(np.int32), points, eps)
    return segment
