"""Fits of a coreset on the driver by scikit-learn, each as a partition of any point."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from customer_segmentation.clustering.estimator.points import in_order
from customer_segmentation.clustering.hierarchy.ward import labels
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.metrics import Partition
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.preparation.rounding import rounded

PLAIN_POINTS = 4_000
"""Most points of a fit that takes no weights."""
WARD_POINTS = 2_000
"""Most points of Ward's method, which holds their distances two by two."""
ITERATIONS = 100
FLOOR = 1e-6
"""Added to the variances of a mixture."""
LARGER_FLOORS = (1e-8, 1e-6, 1e-4)
"""Instead of it, in parts of the largest variance, where covariances are not positive definite with the one before."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps the sums of fits in one order: those over several threads differ from run to run."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def fit(algorithm: str, core: Coreset, *, k: int, starts: int, seed: int) -> Partition:
    """Put the points of a coreset into k segments; the best of several starts. Call it within `one_thread`.

    Args:
        algorithm: a key of `FITS`.
        k: at most the number of distinct points.
        starts: how often to start anew.
        seed: of everything drawn.
    """
    return FITS[algorithm](core, k, starts, seed)


def fits(algorithm: str, core: Coreset, *, ks: Sequence[int], starts: int, seed: int) -> list[Partition]:
    """The same for several numbers of segments; a tree is built once for all of them."""
    if algorithm == "agglomerative":
        return _cuts(core, ks, seed)
    return [fit(algorithm, core, k=k, starts=starts, seed=seed) for k in ks]


def _kmeans(core: Coreset, k: int, starts: int, seed: int) -> Partition:
    from sklearn.cluster import KMeans

    fitted = KMeans(k, n_init=starts, max_iter=ITERATIONS, random_state=seed).fit(
        core.points, sample_weight=core.weights
    )
    return Partition(_in_order(fitted.cluster_centers_))


def _bisecting_kmeans(core: Coreset, k: int, starts: int, seed: int) -> Partition:
    """Nearest centres stand for the tree of halves: near a border the two can differ."""
    from sklearn.cluster import BisectingKMeans

    fitted = BisectingKMeans(k, n_init=starts, random_state=seed).fit(core.points, sample_weight=core.weights)
    return Partition(_in_order(fitted.cluster_centers_))


def _gaussian_mixture(core: Coreset, k: int, starts: int, seed: int) -> Partition:
    """Full covariances, on points without weights; see `Partition` for how a mixture becomes one."""
    from sklearn.mixture import GaussianMixture

    points = core.plain(PLAIN_POINTS, seed=seed)
    largest = float(points.var(axis=0).max())
    for floor in (FLOOR, *(part * largest for part in LARGER_FLOORS if part * largest > FLOOR)):
        try:
            mixture = GaussianMixture(k, n_init=min(starts, 2), reg_covar=floor, random_state=seed)
            fitted = mixture.fit(points)
            break
        except ValueError as error:  # scikit-learn's word for a covariance that is not positive definite
            if "covariance" not in str(error):
                raise
    else:
        raise DataRefusedError(
            f"a mixture of {k} segments has none with a covariance of {points.shape[1]} features; lower clustering.k "
            "or use fewer features"
        )
    order = in_order(rounded(fitted.means_))
    roots, means = fitted.precisions_cholesky_[order], fitted.means_[order]
    log_roots = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    offsets = -2.0 * (log_roots + np.log(np.maximum(fitted.weights_[order], 1e-300)))
    return Partition(rounded(np.einsum("kd,kde->ke", means, roots)), rounded(roots), rounded(offsets))


def _agglomerative(core: Coreset, k: int, starts: int, seed: int) -> Partition:
    return _cuts(core, [k], seed)[0]


def _cuts(core: Coreset, ks: Sequence[int], seed: int) -> list[Partition]:
    """Ward's method on points without weights; the means of its segments go on as nearest centres."""
    from scipy.cluster.hierarchy import linkage

    points = core.plain(WARD_POINTS, seed=seed)
    tree = linkage(points, "ward")
    found = [labels(tree, k) for k in ks]
    return [
        Partition(_in_order(np.stack([points[cut == i].mean(axis=0) for i in range(cut.max() + 1)]))) for cut in found
    ]


FITS: dict[str, Callable[[Coreset, int, int, int], Partition]] = {
    "kmeans": _kmeans,
    "bisecting_kmeans": _bisecting_kmeans,
    "gaussian_mixture": _gaussian_mixture,
    "agglomerative": _agglomerative,
}
"""What can be tried on a coreset, by name."""


def _in_order(centers: np.ndarray) -> np.ndarray:
    """Rounded, in the order of their coordinates."""
    found = rounded(centers)
    ordered: np.ndarray = found[in_order(found)]
    return ordered
