"""What "within eps" means, to the last bit.

Two points are neighbours when the sum of the squared differences of their coordinates, added in the order of the
columns in double precision, is at most eps * eps: scikit-learn's trees decide by the same arithmetic. SciPy's trees add
in another order, so they only propose neighbours, a little beyond eps, and what lies near it is decided here.
"""

import numpy as np

SLACK = 1e-9
"""By how much of eps a tree is asked to look further."""

UNSURE = 1e-12
"""Distances of a tree that are this close to eps, as a part of it, are computed exactly."""


def squared(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of points along the last axis; the other axes broadcast."""
    difference = left[..., 0] - right[..., 0]
    total = difference * difference
    for j in range(1, left.shape[-1]):
        difference = left[..., j] - right[..., j]
        total += difference * difference
    return np.asarray(total)


def within(
    distances: np.ndarray, indices: np.ndarray, queried: np.ndarray, points: np.ndarray, eps: float
) -> np.ndarray:
    """Which of the neighbours that a tree proposed are neighbours.

    Args:
        distances: by the tree, one row per queried point; infinite where there is none.
        indices: of the proposed neighbours in `points`.
        queried: coordinates of the queried points.
    """
    near: np.ndarray = distances <= eps * (1 - UNSURE)
    row, column = np.nonzero((distances <= eps * (1 + UNSURE)) & ~near)
    near[row, column] = squared(queried[row], points[indices[row, column]]) <= eps * eps
    return near
