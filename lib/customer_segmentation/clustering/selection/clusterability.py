"""Clusterability: whether the data have segments at all, as any data can be cut into k parts."""

from dataclasses import dataclass

import numpy as np

from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.coreset_fits import kmeans, one_thread
from customer_segmentation.clustering.selection.metrics import evaluate_in_memory
from customer_segmentation.preparation.rounding import rounded

MAX_POINTS = 2_000
PROBE_SHARE = 0.1
"""Share of the points that the Hopkins statistic is measured at."""
REFERENCE_CLOUDS = 5
MAX_UNIFORM_HOPKINS = 0.6
"""A Hopkins statistic up to this is no better than that of evenly spread points, which have .5."""
CLEAR = 0.5
"""A silhouette (squared Euclidean) and a stability above which segments stand apart."""
STABLE = 0.75


@dataclass(frozen=True)
class Clusterability:
    """Evidence of segments in the data.

    hopkins: 0.5 for points spread evenly in the box they fill, towards 1 for points in clusters (Hopkins & Skellam
        1954, distances to the power of the dimensions).
    silhouette: of k-means with the chosen k on a sample; nan for one segment.
    silhouette_of_a_cloud: the largest that k-means gets from one normal cloud with the sample's covariance.
    rand: stability of the chosen segmentation, see `Stability`; nan where it was not measured, which is never clear.
    """

    hopkins: float
    silhouette: float
    silhouette_of_a_cloud: float
    rand: float

    @property
    def level(self) -> int:
        """0 none, 1 weak, 2 clear."""
        if self.hopkins <= MAX_UNIFORM_HOPKINS or not self.silhouette > self.silhouette_of_a_cloud:
            return 0
        return 2 if self.silhouette >= CLEAR and self.rand >= STABLE else 1

    @property
    def description(self) -> str:
        """The level in words, with the figures behind it."""
        if self.hopkins <= MAX_UNIFORM_HOPKINS:
            why = f"customers are spread about evenly (Hopkins {self.hopkins:.2f})"
            return f"no structure: {why}; the segments are cuts through a continuum"
        if np.isnan(self.silhouette):
            return "no structure: all customers that are in a segment are in one"
        if self.level == 0:
            why = f"a single cloud is separated as well (silhouette {self.silhouette:.2f})"
            return f"no structure: {why}; the segments are cuts through a continuum"
        stability = "stability not measured" if np.isnan(self.rand) else f"stability {self.rand:.2f}"
        figures = f"silhouette {self.silhouette:.2f}, {stability}, Hopkins {self.hopkins:.2f}"
        return f"clear structure: {figures}" if self.level == 2 else f"weak structure: {figures}; segments overlap"


def clusterability(coreset: Coreset, *, k: int, rand: float, seed: int) -> Clusterability:
    """Measure clusterability on a sample of the coreset.

    Args:
        k: the chosen number of segments.
        rand: stability of the chosen segmentation.
    """
    points = coreset.unweighted(MAX_POINTS, seed=seed)
    if k < 2:
        return Clusterability(hopkins(points, seed=seed), float("nan"), float("nan"), rand)
    generator = np.random.default_rng(seed)
    deviations, axes = np.linalg.eigh(np.atleast_2d(np.cov(points.T, bias=True)))
    scale = np.sqrt(np.maximum(deviations, 0.0))
    clouds = [(generator.normal(size=points.shape) * scale) @ axes.T for _ in range(REFERENCE_CLOUDS)]
    return Clusterability(
        hopkins=hopkins(points, seed=seed),
        silhouette=_silhouette(points, k, seed),
        silhouette_of_a_cloud=max(_silhouette(cloud, k, seed) for cloud in clouds),
        rand=rand,
    )


def hopkins(points: np.ndarray, *, seed: int) -> float:
    """The Hopkins statistic of points (n, d); 1 where all are the same."""
    from scipy.spatial import cKDTree

    n, d = points.shape
    generator = np.random.default_rng(seed)
    probes = max(1, int(n * PROBE_SHARE))
    low, high = points.min(axis=0), points.max(axis=0)
    tree = cKDTree(points)
    from_anywhere = tree.query(generator.uniform(low, high, size=(probes, d)))[0]
    from_points = tree.query(points[generator.choice(n, probes, replace=False)], k=2)[0][:, 1]
    longest = max(from_anywhere.max(), from_points.max())
    if longest == 0:
        return 1.0
    anywhere, own = ((from_anywhere / longest) ** d).sum(), ((from_points / longest) ** d).sum()
    return float(rounded(float(anywhere / (anywhere + own))))


def _silhouette(points: np.ndarray, k: int, seed: int) -> float:
    coreset = Coreset(points, np.ones(len(points)), len(points))
    with one_thread():
        partitions = kmeans(coreset, [min(k, len(np.unique(points, axis=0)))], 3, seed)
    return evaluate_in_memory(points, coreset.weights, partitions)[0].silhouette
