"""Merges components of points that come within eps of one another, without comparing points of one component.

The points lie in the order of a tree, so that consecutive ones are close: blocks of them, pairs of blocks and so on up
make a pyramid of bounding boxes. Pairs of boxes are followed down from the top, and left where they are further apart
than eps or hold the same component only. A box's distance is computed so that rounding can't leave out a pair.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from customer_segmentation.clustering.dbscan.distances import squared

BLOCK = 16
MAX_PAIRS = 1 << 15
MAX_BLOCK_PAIRS = 1 << 11


def merge_labels(labels: np.ndarray, edges: np.ndarray, count: int) -> np.ndarray:
    """The labels after components are merged along edges: numbers from 0 without gaps.

    Args:
        labels: components of the points, 0 to count - 1.
        edges: pairs of components to merge, an array of two rows; each may be there twice.
    """
    graph = coo_array((np.ones(edges.shape[1], dtype=bool), (edges[0], edges[1])), shape=(count, count))
    merged: np.ndarray = connected_components(graph, directed=False)[1][labels]
    return merged


def merge_within_eps(points: np.ndarray, labels: np.ndarray, eps: float) -> np.ndarray:
    """Labels in which components with points within eps of one another are merged.

    Args:
        points: in an order in which consecutive ones are close.
        labels: components of the points, 0 to their number - 1.
    """
    if len(points) == 0:
        return labels
    pyramid = _Pyramid(points, labels)
    stack = [(pyramid.height, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))]
    while stack:
        level, left, right = stack.pop()
        open_ = pyramid.undecided(level, left, right, eps)
        left, right = left[open_], right[open_]
        if len(left) == 0:
            continue
        if level == 0:
            pyramid.merge(pyramid.edges(left, right, eps))
            continue
        left, right = _children(left, right)
        size = MAX_PAIRS if level > 1 else MAX_BLOCK_PAIRS
        stack.extend((level - 1, left[i : i + size], right[i : i + size]) for i in range(0, len(left), size))
    return pyramid.labels


class _Pyramid:
    """Bounding boxes and the lowest and highest component in them, by level: level 0 has the blocks, the last all."""

    def __init__(self, points: np.ndarray, labels: np.ndarray) -> None:
        n, d = points.shape
        self.height = max(0, int(np.ceil(np.log2(np.ceil(n / BLOCK)))))
        size = BLOCK << self.height
        self.labels = labels
        self._points = np.full((size, d), np.nan)
        self._points[:n] = points
        low, high = np.full((size, d), np.inf), np.full((size, d), -np.inf)
        low[:n] = high[:n] = points
        self._low, self._high = _levels(low, np.minimum, self.height), _levels(high, np.maximum, self.height)
        self._relabel()

    def _relabel(self) -> None:
        size = len(self._points)
        lowest, highest = np.full(size, np.iinfo(np.int64).max), np.full(size, -1)
        lowest[: len(self.labels)] = highest[: len(self.labels)] = self.labels
        self._padded = highest
        self._lowest, self._highest = (
            _levels(lowest, np.minimum, self.height),
            _levels(highest, np.maximum, self.height),
        )

    def undecided(self, level: int, left: np.ndarray, right: np.ndarray, eps: float) -> np.ndarray:
        """Positions of the pairs of boxes that hold several components and are within eps."""
        lowest, highest = self._lowest[level], self._highest[level]
        mixed = np.nonzero(np.minimum(lowest[left], lowest[right]) != np.maximum(highest[left], highest[right]))[0]
        left, right = left[mixed], right[mixed]
        low, high = self._low[level], self._high[level]
        total = np.zeros(len(left))
        for j in range(low.shape[1]):
            gap = np.maximum(low[left, j] - high[right, j], low[right, j] - high[left, j])
            np.maximum(gap, 0.0, out=gap)
            total += gap * gap
        return np.asarray(mixed[total <= eps * eps])

    def edges(self, left: np.ndarray, right: np.ndarray, eps: float) -> np.ndarray:
        """Pairs of components with points within eps in pairs of blocks."""
        of = np.arange(BLOCK)
        a, b = left[:, None] * BLOCK + of, right[:, None] * BLOCK + of
        first, second = self._padded[a][:, :, None], self._padded[b][:, None, :]
        near = squared(self._points[a][:, :, None, :], self._points[b][:, None, :, :]) <= eps * eps
        pair, i, j = np.nonzero(near & (first != second))
        return np.stack([first[pair, i, 0], second[pair, 0, j]])

    def merge(self, edges: np.ndarray) -> None:
        """Merge the components that the edges connect."""
        if edges.shape[1]:
            self.labels = merge_labels(self.labels, edges, int(self.labels.max()) + 1)
            self._relabel()


def _levels(values: np.ndarray, reduce_by: np.ufunc, height: int) -> list[np.ndarray]:
    levels = [reduce_by.reduce(values.reshape(-1, BLOCK, *values.shape[1:]), axis=1)]
    for _ in range(height):
        levels.append(reduce_by(levels[-1][0::2], levels[-1][1::2]))
    return levels


def _children(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of halves of each pair, each once."""
    a = np.concatenate([2 * left, 2 * left, 2 * left + 1, 2 * left + 1])
    b = np.concatenate([2 * right, 2 * right + 1, 2 * right, 2 * right + 1])
    once = a <= b
    return a[once], b[once]
