"""Fits of a coreset on the driver by scikit-learn, each as a partition of any point.

A fit takes a coreset, several numbers of segments (at most the number of distinct points each), the number of restarts,
of which the best is kept, and the seed of everything drawn. Call it within `threads.one_thread`.
"""

from collections.abc import Sequence

import numpy as np

from customer_segmentation.clustering.estimator.points import in_order
from customer_segmentation.clustering.hierarchy.ward import labels
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.metrics import Partition
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.preparation.rounding import rounded

MAX_UNWEIGHTED_POINTS = 2_000
"""Most points of a fit that takes no weights."""
MAX_WARD_POINTS = 2_000
"""Most points of Ward's method, which holds their distances two by two."""
MAX_MIXTURE_STARTS = 4
"""Most starts of a mixture: the first from segments of k-means, which cut long ones across, the others from points far
apart."""
MAX_ITERATIONS = 100
REG_COVAR = 1e-6
"""Added to the variances of a mixture."""
LARGER_REG_COVARS = (1e-8, 1e-6, 1e-4)
"""Instead of it, in parts of the largest variance, where covariances are not positive definite with the one before."""


def kmeans(coreset: Coreset, ks: Sequence[int], n_init: int, seed: int) -> list[Partition]:
    """Weighted k-means."""
    from sklearn.cluster import KMeans

    fits = (KMeans(k, n_init=n_init, max_iter=MAX_ITERATIONS, random_state=seed) for k in ks)
    return [_by_centers(fit.fit(coreset.points, sample_weight=coreset.weights).cluster_centers_) for fit in fits]


def bisecting_kmeans(coreset: Coreset, ks: Sequence[int], n_init: int, seed: int) -> list[Partition]:
    """Weighted bisecting k-means. Nearest centres stand for the tree of halves: near a border the two can differ."""
    from sklearn.cluster import BisectingKMeans

    fits = (BisectingKMeans(k, n_init=n_init, random_state=seed) for k in ks)
    return [_by_centers(fit.fit(coreset.points, sample_weight=coreset.weights).cluster_centers_) for fit in fits]


def gaussian_mixture(coreset: Coreset, ks: Sequence[int], n_init: int, seed: int) -> list[Partition]:
    """Mixtures with full covariances, on points without weights; see `Partition` for how a mixture becomes one."""
    points = coreset.unweighted(MAX_UNWEIGHTED_POINTS, seed=seed)
    return [_mixture(points, k, min(n_init, MAX_MIXTURE_STARTS), seed) for k in ks]


def ward(coreset: Coreset, ks: Sequence[int], n_init: int, seed: int) -> list[Partition]:
    """Cuts of one Ward tree of points without weights; the means of its segments go on as nearest centres."""
    from scipy.cluster.hierarchy import linkage

    points = coreset.unweighted(MAX_WARD_POINTS, seed=seed)
    tree = linkage(points, "ward")
    cuts = [labels(tree, k) for k in ks]
    return [_by_centers(np.stack([points[cut == i].mean(axis=0) for i in range(cut.max() + 1)])) for cut in cuts]


def _mixture(points: np.ndarray, k: int, n_init: int, seed: int) -> Partition:
    from sklearn.mixture import GaussianMixture

    largest = float(points.var(axis=0).max())
    for reg_covar in (REG_COVAR, *(part * largest for part in LARGER_REG_COVARS if part * largest > REG_COVAR)):
        try:
            fits = [
                GaussianMixture(k, n_init=n, init_params=start, reg_covar=reg_covar, random_state=seed).fit(points)
                for start, n in (("kmeans", 1), ("k-means++", n_init - 1))
                if n
            ]
            fitted = max(fits, key=lambda fit: fit.lower_bound_)
            break
        except ValueError as error:  # scikit-learn's error for a covariance that is not positive definite
            if "covariance" not in str(error):
                raise
    else:
        raise DataRejectedError(
            f"a mixture of {k} segments has none with a covariance of {points.shape[1]} features; lower clustering.k "
            "or use fewer features"
        )
    order = in_order(rounded(fitted.means_))
    roots, means = fitted.precisions_cholesky_[order], fitted.means_[order]
    log_roots = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    offsets = -2.0 * (log_roots + np.log(np.maximum(fitted.weights_[order], 1e-300)))
    return Partition(rounded(np.einsum("kd,kde->ke", means, roots)), rounded(roots), rounded(offsets))


def _by_centers(centers: np.ndarray) -> Partition:
    """The partition by nearest centre, these rounded and in the order of their coordinates."""
    centers = rounded(centers)
    return Partition(centers[in_order(centers)])
