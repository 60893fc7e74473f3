"""Exact DBSCAN of points in memory, in time that hardly depends on how many neighbours they have.

Ester, Kriegel, Sander, Xu (1996). A point is core when points of a total weight of `min_samples`, itself included, lie
within eps of it. Core points within eps of one another are of one cluster. Another point within eps of a core point is
on the border and belongs to its nearest core point's cluster; what is left is noise. Core points, which of them are
together, and noise are those of scikit-learn, which gives a border point to any cluster that it is next to.

What makes it quick: a cell no wider than eps that holds enough weight is all core; for other points the nearest
`min_samples` neighbours decide; and these neighbours connect most of what belongs together, so that only where
different components meet is anything left to compare. Memory grows with the points, not with their neighbours.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from customer_segmentation.clustering.dbscan.distances import SLACK, squared, within
from customer_segmentation.clustering.dbscan.merging import merge_labels, merge_within_eps

NOISE = -1
LINKS = 8
"""Neighbours of a core point that are connected with it outright, if they are core."""

MAX_NEIGHBOURS_PER_QUERY = 1 << 20


@dataclass(frozen=True)
class Clusters:
    """Clusters of points.

    core: whether a point is core.
    labels: the cluster of each point, from 0 in the order of the clusters' smallest `order` of a core point; -1 noise.
    """

    core: np.ndarray
    labels: np.ndarray


def clusters(
    points: np.ndarray, *, weights: np.ndarray, order: np.ndarray, eps: float, min_samples: int, workers: int = 1
) -> Clusters:
    """Cluster distinct points.

    Args:
        points: n x d finite doubles. Equal rows are allowed, but cost time.
        weights: how many customers each point stands for, at least 1.
        order: a different number for each point; ties in distance go to the smaller.
        eps: the distance within which points are neighbours, above 0.
        min_samples: the weight that makes a point core, at least 1.
        workers: threads to search neighbours with; -1 is one per core.
    """
    n = len(points)
    if n == 0:
        return Clusters(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64))
    along = cKDTree(points, balanced_tree=False, compact_nodes=False).indices
    points, weights, order = points[along], weights[along], order[along]
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)

    cells = _dense_cells(points, weights, eps, min_samples)
    core = np.zeros(n, dtype=bool)
    core[cells.members] = True
    sparse = np.nonzero(~core)[0]
    core[sparse], neighbours = _neighbourhoods(tree, points, weights, sparse, eps, min_samples, workers)

    links = [cells.links(), cells.links_across(points, eps, workers), _between_core(sparse, neighbours, core)]
    at = np.nonzero(core)[0]
    components = merge_labels(at, np.concatenate(links, axis=1), n)
    components = np.unique(components, return_inverse=True)[1]
    components = merge_within_eps(points[at], components, eps)

    labels = np.full(n, NOISE, dtype=np.int64)
    labels[at] = _numbered(components, order[at])
    border, of = _nearest_core(points, core, order, eps, workers)
    labels[border] = labels[of]
    result = Clusters(np.empty(n, dtype=bool), np.empty(n, dtype=np.int64))
    result.core[along], result.labels[along] = core, labels
    return result


def inverse_permutation(order: np.ndarray) -> np.ndarray:
    """The rank of each position in an order, which is given as the positions in it."""
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def nearest(
    tree: cKDTree, known: np.ndarray, order: np.ndarray, queried: np.ndarray, eps: float, workers: int = 1
) -> np.ndarray:
    """For each queried point the position of the nearest of the known points within eps, -1 where there is none.

    Args:
        tree: of the known points.
        order: of the known points; ties in distance go to the smaller.
    """
    position = np.full(len(queried), -1, dtype=np.int64)
    distances, indices = tree.query(queried, k=[1, 2], distance_upper_bound=eps * (1 + SLACK), workers=workers)
    near = within(distances, indices, queried, known, eps)
    position[near[:, 0]] = indices[near[:, 0], 0]
    close = np.nonzero(np.isfinite(distances[:, 1]) & (distances[:, 1] <= distances[:, 0] * (1 + SLACK)))[0]
    for row in close:  # the tree can't decide which is nearer: all about as near are compared
        near_by = np.array(tree.query_ball_point(queried[row], distances[row, 1] * (1 + SLACK)))
        exact = squared(known[near_by], queried[row])
        first = np.lexsort((order[near_by], exact))[0]
        position[row] = near_by[first] if exact[first] <= eps * eps else -1
    return position


@dataclass(frozen=True)
class _DenseCells:
    """Cells that are all core. `members` lie cell by cell, the first of each at `starts`."""

    members: np.ndarray
    starts: np.ndarray

    def links(self) -> np.ndarray:
        """Each member with the first of its cell."""
        sizes = np.diff(np.append(self.starts, len(self.members)))
        return np.stack([np.repeat(self.members[self.starts], sizes), self.members])

    def links_across(self, points: np.ndarray, eps: float, workers: int) -> np.ndarray:
        """First members of cells that are within eps of one another: those next to each other."""
        firsts = self.members[self.starts]
        if len(firsts) < 2:
            return np.zeros((2, 0), dtype=np.int64)
        known = points[firsts]
        tree = cKDTree(known, balanced_tree=False, compact_nodes=False)
        k = min(LINKS, len(firsts))
        distances, indices = tree.query(known, k=k, distance_upper_bound=eps * (1 + SLACK), workers=workers)
        row, column = np.nonzero(within(distances, indices, known, known, eps))
        return np.stack([firsts[row], firsts[indices[row, column]]])


def _dense_cells(points: np.ndarray, weights: np.ndarray, eps: float, min_samples: int) -> _DenseCells:
    """Cells of side eps / sqrt(d) with a weight of at least min_samples whose points are all within eps."""
    side = eps / np.sqrt(points.shape[1])
    cells = np.floor((points - points.min(axis=0)) / side)
    hashed = _hash(cells.view(np.uint64))
    by_cell = np.argsort(hashed, kind="stable")
    starts = np.nonzero(np.append(True, np.diff(hashed[by_cell]) != 0))[0]
    sizes = np.diff(np.append(starts, len(points)))
    enough = np.add.reduceat(weights[by_cell], starts) >= min_samples
    by_cell = by_cell[np.repeat(enough, sizes)]
    sizes = sizes[enough]
    if len(sizes) == 0:
        return _DenseCells(by_cell, sizes)
    starts = np.append(0, np.cumsum(sizes)[:-1])
    # Rounding may lay a point in the cell next to its own: what counts is how far apart the points really are.
    lying = points[by_cell]
    small = squared(np.maximum.reduceat(lying, starts), np.minimum.reduceat(lying, starts)) <= eps * eps
    sizes, by_cell = sizes[small], by_cell[np.repeat(small, sizes)]
    return _DenseCells(by_cell, np.append(0, np.cumsum(sizes)[:-1]) if len(sizes) else sizes)


def _neighbourhoods(
    tree: cKDTree,
    points: np.ndarray,
    weights: np.ndarray,
    at: np.ndarray,
    eps: float,
    min_samples: int,
    workers: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the points at these positions are core, and LINKS neighbours of each, itself where it has fewer."""
    n = len(points)
    k = min(max(min_samples, LINKS), n)
    kept = min(LINKS, k)
    core = np.zeros(len(at), dtype=bool)
    neighbours = np.empty((len(at), kept), dtype=np.int64)
    padded = np.append(weights, 0)
    size = max(1, MAX_NEIGHBOURS_PER_QUERY // k)
    for i in range(0, len(at), size):
        rows = at[i : i + size]
        queried = points[rows]
        distances, indices = tree.query(
            queried, k=np.arange(1, k + 1), distance_upper_bound=eps * (1 + SLACK), workers=workers
        )
        near = within(distances, indices, queried, points, eps)
        total = np.where(near, padded[indices], 0).sum(axis=1)
        more = np.isfinite(distances[:, -1]) & ~near.all(axis=1) & (total < min_samples)
        for row in np.nonzero(more)[0]:  # points at eps, and some not among the nearest k
            around = np.array(tree.query_ball_point(queried[row], eps * (1 + SLACK)))
            total[row] = weights[around[squared(points[around], queried[row]) <= eps * eps]].sum()
        core[i : i + size] = total >= min_samples
        neighbours[i : i + size] = np.where(near[:, :kept], indices[:, :kept], rows[:, None])
    return core, neighbours


def _between_core(at: np.ndarray, neighbours: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Pairs of core points that are neighbours."""
    both = core[at][:, None] & core[neighbours] & (neighbours != at[:, None])
    row, column = np.nonzero(both)
    return np.stack([at[row], neighbours[row, column]])


def _numbered(components: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Components numbered from 0 in the order of their smallest point."""
    if len(components) == 0:
        return components
    smallest = np.full(components.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, components, order)
    numbered: np.ndarray = inverse_permutation(np.argsort(smallest))[components]
    return numbered


def _nearest_core(
    points: np.ndarray, core: np.ndarray, order: np.ndarray, eps: float, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the border points and of each one's nearest core point."""
    others, at = np.nonzero(~core)[0], np.nonzero(core)[0]
    if len(others) == 0 or len(at) == 0:
        return others[:0], others[:0]
    known = points[at]
    tree = cKDTree(known, balanced_tree=False, compact_nodes=False)
    position = nearest(tree, known, order[at], points[others], eps, workers)
    return others[position >= 0], at[position[position >= 0]]


def _hash(words: np.ndarray) -> np.ndarray:
    """A number for each row of 64-bit words. Different rows may share one: what is made of it is checked."""
    total = np.zeros(len(words), dtype=np.uint64)
    for j in range(words.shape[1]):
        total = (total ^ words[:, j]) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(29)
    return total
