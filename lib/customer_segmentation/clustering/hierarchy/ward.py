"""Ward's hierarchical clustering of weighted points, and cuts of the tree that it gives."""

import math

import numpy as np


def ward(means: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Ward linkage where each point stands for a number of customers.

    The distance of two clusters is sqrt(2 n m / (n + m)) times that of their means, for n and m customers: the
    square is twice what merging them adds to the sum of squares (Ward 1963). Clusters are merged along chains of
    nearest neighbours (Murtagh 1983), which gives the tree of always merging the closest pair. Needs memory for the
    points, not for their pairs, and time for the square of their number.

    Args:
        means: a row per point.
        weights: customers at each point, above 0.
        groups: by point the number of a group, all from 0 up to a highest; the points of a group are merged before any
            with others, and where that is against the order of the distances, those above count as large as the
            largest below.

    Returns:
        The tree as SciPy's `linkage(..., "ward")` gives it, a row per merge in the order of the distances: the two
        clusters that merge, the smaller number first, their distance, and the customers in both. Points are numbered
        from 0, the cluster that row i makes is number of points + i. SciPy's functions take it, but where they speak
        of observations it is customers that are counted.
    """
    if groups is None:
        return _numbered(_by_distance(_chained(means, weights)), weights)
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    within = [_renamed(_chained(means[rows], weights[rows]), rows) for rows in members]
    centers = np.stack([np.average(means[rows], axis=0, weights=weights[rows]) for rows in members])
    totals = np.array([weights[rows].sum() for rows in members])
    above = _renamed(_chained(centers, totals), np.array([rows[0] for rows in members]))
    below = _by_distance(np.concatenate(within))
    above[:, 2] = np.maximum(above[:, 2], below[:, 2].max(initial=0.0))
    return _numbered(np.concatenate([below, _by_distance(above)]), weights)


def labels(linkage: np.ndarray, k: int) -> np.ndarray:
    """For each point the number of its cluster, from 0 in no order that means anything, in the cut that leaves k.

    Args:
        linkage: of `ward`.
        k: clusters, 1 up to the number of points.
    """
    points = len(linkage) + 1
    parent = np.arange(2 * points - 1)
    merged = points - k
    parent[linkage[:merged, :2].astype(int)] = (points + np.arange(merged))[:, None]
    for node in range(points + merged - 1, -1, -1):  # a parent has a higher number than its children
        parent[node] = parent[parent[node]]
    numbers: np.ndarray = np.unique(parent[:points], return_inverse=True)[1].ravel()
    return numbers


def clusters_within(linkage: np.ndarray, distance: float) -> int:
    """How many clusters are left when all are merged that are no further apart than `distance`."""
    return len(linkage) + 1 - int(np.searchsorted(linkage[:, 2], distance, side="right"))


def _by_distance(merges: np.ndarray) -> np.ndarray:
    ordered: np.ndarray = merges[np.argsort(merges[:, 2], kind="stable")]
    return ordered


def _renamed(merges: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The merges of some points by their positions among all."""
    return np.column_stack([points[merges[:, :2].astype(int)], merges[:, 2]])


def _chained(means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The merges as pairs of points, one out of each cluster, with the distance; in the order of the chains."""
    means, weights = means.astype(float).copy(), weights.astype(float).copy()
    active = np.arange(len(means))
    merges = np.empty((len(means) - 1, 3))
    chain: list[int] = []
    for i in range(len(merges)):
        if not chain:
            chain.append(0)
        while True:
            top = chain[-1]
            squared = _squared_distances(means, weights, top)
            nearest = int(squared.argmin())
            # Among equals the one before in the chain counts, or the chain would run in a circle.
            if len(chain) > 1 and squared[chain[-2]] <= squared[nearest]:
                break
            chain.append(nearest)
        second, first = sorted((chain.pop(), chain.pop()))[::-1]
        merges[i] = active[first], active[second], math.sqrt(squared[second if top == first else first])
        total = weights[first] + weights[second]
        means[first] += (means[second] - means[first]) * (weights[second] / total)
        weights[first] = total
        last = len(weights) - 1  # the last cluster moves to the free position
        means[second], weights[second], active[second] = means[last], weights[last], active[last]
        means, weights, active = means[:last], weights[:last], active[:last]
        chain = [second if position == last else position for position in chain]
    return merges


def _squared_distances(means: np.ndarray, weights: np.ndarray, cluster: int) -> np.ndarray:
    """The squared Ward distance of one cluster to all; infinite to itself."""
    away = means - means[cluster]
    squared: np.ndarray = np.einsum("ij,ij->i", away, away) * (
        2 * weights * weights[cluster] / (weights + weights[cluster])
    )
    squared[cluster] = np.inf
    return squared


def _numbered(merges: np.ndarray, weights: np.ndarray) -> np.ndarray:
    points = len(weights)
    cluster = np.arange(2 * points - 1)
    sizes = np.concatenate([weights.astype(float), np.zeros(len(merges))])
    linkage = np.empty((len(merges), 4))
    for i, (left, right, distance) in enumerate(merges):
        first, second = sorted((_root(cluster, int(left)), _root(cluster, int(right))))
        cluster[first] = cluster[second] = points + i
        sizes[points + i] = sizes[first] + sizes[second]
        linkage[i] = first, second, distance, sizes[points + i]
    return linkage


def _root(cluster: np.ndarray, node: int) -> int:
    while cluster[node] != node:
        cluster[node] = cluster[cluster[node]]
        node = int(cluster[node])
    return node
