"""Chooses the number of segments on a sample, and tells how stable the segments are.

The sample is at most `clustering.sample_size` customers, held on the driver and clustered by scikit-learn: a wide
search costs less there than one fit of all rows. What is chosen is fitted and judged on all rows elsewhere.
"""

from dataclasses import dataclass

import numpy as np

STARTS = 5
SILHOUETTE_ROWS = 5_000
BOOTSTRAPS = 10


@dataclass(frozen=True)
class Candidate:
    """A number of segments that was tried on the sample.

    silhouette: mean silhouette, -1 to 1, higher is better separated (Rousseeuw 1987).
    smallest_share: share of the smallest segment, 0 to 1.
    """

    k: int
    silhouette: float
    smallest_share: float


def candidates(points: np.ndarray, *, ks: range, seed: int) -> list[Candidate]:
    """Judge each k by k-means with several starts.

    Args:
        points: prepared features, a row per sampled customer.
        ks: numbers of segments; those not below the number of distinct rows are left out.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(points, axis=0))
    tried = []
    with threadpool_limits(1):  # sums over threads differ from run to run
        for k in (k for k in ks if k < distinct):
            labels = KMeans(k, n_init=STARTS, random_state=seed).fit_predict(points)
            rows = min(SILHOUETTE_ROWS, len(points))
            silhouette = silhouette_score(points, labels, sample_size=rows, random_state=seed)
            smallest = np.bincount(labels, minlength=k).min() / len(points)
            tried.append(Candidate(k, round(float(silhouette), 6), round(float(smallest), 6)))
    return tried


def best(tried: list[Candidate], *, smallest_share: float) -> Candidate:
    """The candidate with the highest silhouette among those whose segments are big enough, the smaller k in a tie.

    Where no candidate has segments that big, the one whose smallest segment is largest.
    """
    big_enough = [candidate for candidate in tried if candidate.smallest_share >= smallest_share]
    if not big_enough:
        return max(tried, key=lambda candidate: (candidate.smallest_share, -candidate.k))
    return max(big_enough, key=lambda candidate: (candidate.silhouette, -candidate.k))


def stability(points: np.ndarray, centers: np.ndarray, *, seed: int) -> list[float]:
    """How well each segment is found again when the customers are drawn anew.

    The clusterwise bootstrap of Hennig (2007): the sample is drawn with replacement and clustered; each segment's
    index is its largest Jaccard similarity with a new cluster over the customers drawn, averaged over the bootstraps.

    Args:
        points: prepared features, a row per sampled customer.
        centers: prepared centres of the segments, in any order.

    Returns:
        A mean Jaccard index per centre, 0 to 1.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import pairwise_distances_argmin
    from threadpoolctl import threadpool_limits

    k = len(centers)
    labels = pairwise_distances_argmin(points, centers)
    generator = np.random.default_rng(seed)
    indices = np.zeros((BOOTSTRAPS, k))
    with threadpool_limits(1):
        for b in range(BOOTSTRAPS):
            drawn = generator.integers(len(points), size=len(points))
            again = KMeans(k, n_init=1, random_state=seed + b).fit_predict(points[drawn])
            indices[b] = _jaccard(labels[drawn], again, k)
    return [round(float(value), 6) for value in indices.mean(axis=0)]


def _jaccard(first: np.ndarray, second: np.ndarray, k: int) -> np.ndarray:
    """For each cluster of the first labelling its largest Jaccard similarity with one of the second."""
    together = np.zeros((k, k))
    np.add.at(together, (first, second), 1)
    union = together.sum(axis=1, keepdims=True) + together.sum(axis=0, keepdims=True) - together
    best_match: np.ndarray = (together / np.maximum(union, 1)).max(axis=1)
    return best_match
