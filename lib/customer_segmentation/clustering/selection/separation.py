"""Separation: how deep the valleys in the density of customers are between a segment and its neighbours."""

import numpy as np

MIN_NEIGHBOURS = 10
"""Fewest points between two segments by which the valley is measured."""
MIN_NEIGHBOUR_SHARE = 0.1
"""Segments are neighbours where so large a share of the smaller one is nearest to the other."""
GRID = 128
"""Places on the line between two segments at which the density is estimated."""
TAIL = 0.025
"""Share of the customers at either end that makes no mode: there are gaps between a few in any tail."""
BANDWIDTH = 0.9
"""Of a kernel density estimate, in spreads, at n = 1 (Silverman 1986, 3.31)."""


def separation(points: np.ndarray, weights: np.ndarray, labels: np.ndarray) -> float:
    """The depth of the shallowest valley around each segment, 0 to 1: the mean over the customers.

    A valley is measured between two neighbouring segments, on the customers for whom their two means are the two
    nearest. Those lie in a convex part of space, so that a density that falls off in all directions from one place
    (log-concave: normal, uniform, exponential ...) has a single mode on any line that they are projected to, however
    the segments cut it (Prékopa 1973): its depth is 0 but for chance. The line is Fisher's discriminant.

    Args:
        points: (n, d).
        weights: (n,).
        labels: (n,) position of each point's segment; -1 for noise, which is left out.

    Returns:
        0 for segments that are cuts through one crowd, 1 for empty space between all of them; nan for one segment.
    """
    used = labels >= 0
    points, weights, labels = points[used], weights[used], np.unique(labels[used], return_inverse=True)[1].ravel()
    sizes = np.bincount(labels, weights)
    if len(sizes) < 2:
        return float("nan")
    means = np.stack([np.bincount(labels, weights * x) for x in points.T], axis=1) / sizes[:, None]
    squared = ((points[:, None] - means[None]) ** 2).sum(axis=2)
    squared[np.arange(len(points)), labels] = np.inf
    second = squared.argmin(axis=1)
    shallowest = np.full(len(sizes), np.inf)
    for a in range(len(sizes)):
        for b in range(a + 1, len(sizes)):
            left, right = (labels == a) & (second == b), (labels == b) & (second == a)
            between = left | right
            if weights[between].sum() < MIN_NEIGHBOUR_SHARE * min(sizes[a], sizes[b]):
                continue
            if between.sum() >= MIN_NEIGHBOURS and min(left.sum(), right.sum()) > 1:
                line = _discriminant(points[left], points[right])
                depth = valley_depth(points[between] @ line, weights[between])
                shallowest[[a, b]] = np.minimum(shallowest[[a, b]], depth)
    measured = np.isfinite(shallowest)
    return float(sizes[measured] @ shallowest[measured] / sizes[measured].sum()) if measured.any() else 0.0


def valley_depth(values: np.ndarray, weights: np.ndarray) -> float:
    """How far the density of values falls between two modes, as a share of the lower mode, 0 to 1; 0 with one mode."""
    mean = np.average(values, weights=weights)
    low, high = np.quantile(values, [0.25, 0.75])
    deviation = np.sqrt(np.average((values - mean) ** 2, weights=weights))
    effective = weights.sum() ** 2 / (weights**2).sum()
    width = BANDWIDTH * (min(deviation, (high - low) / 1.349) or deviation) * effective**-0.2
    if width <= 0:
        return 0.0
    grid = np.linspace(values.min() - width, values.max() + width, GRID)
    density = np.exp(-(((grid[:, None] - values[None]) / width) ** 2) / 2) @ weights
    lower_mode = np.minimum(np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1])
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    inside = (grid >= low) & (grid <= high)
    return float((1 - density[inside] / lower_mode[inside]).max()) if inside.any() else 0.0


def without_ties(points: np.ndarray, *, seed: int) -> np.ndarray:
    """The points with equal values of a coordinate spread evenly halfway to the next: no gap there means a valley."""
    generator = np.random.default_rng(seed)
    spread = np.empty_like(points)
    for j, column in enumerate(points.T):
        values, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        between = (values[1:] + values[:-1]) / 2
        low, high = np.r_[values[:1], between], np.r_[between, values[-1:]]
        tied = counts[inverse] > 1
        order = np.lexsort((generator.uniform(size=len(column)), inverse))
        rank = np.empty(len(column))
        rank[order] = np.arange(len(column))
        first = np.r_[0, np.cumsum(counts)[:-1]]
        share = (rank - first[inverse] + 0.5) / counts[inverse]
        even = low[inverse] + share * (high - low)[inverse]
        spread[:, j] = np.where(tied, even, column)
    return spread


def _discriminant(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The direction in which two groups differ most, in units of their spread (Fisher 1936)."""
    d = left.shape[1]
    within = (np.cov(left.T).reshape(d, d) * len(left) + np.cov(right.T).reshape(d, d) * len(right)) / (
        len(left) + len(right)
    )
    ridge = 1e-3 * max(np.trace(within) / d, 1e-300)
    line: np.ndarray = np.linalg.solve(within + ridge * np.eye(d), left.mean(axis=0) - right.mean(axis=0))
    return line
