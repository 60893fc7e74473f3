"""Whether there are segments to be found at all: any data can be cut into k parts."""

from dataclasses import dataclass

import numpy as np

from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.coreset_fits import fit, one_thread
from customer_segmentation.clustering.selection.metrics import judged_in_memory
from customer_segmentation.preparation.rounding import rounded

POINTS = 2_000
PROBES = 0.1
"""Share of the points that the Hopkins statistic looks at."""
CLOUDS = 5
UNIFORM = 0.6
"""A Hopkins statistic up to this is no better than that of evenly spread points, which have .5."""
CLEAR = 0.5
"""A silhouette (squared Euclidean) and a stability above which segments stand apart."""
STABLE = 0.75


@dataclass(frozen=True)
class Structure:
    """What speaks for segments in the data.

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
    def grade(self) -> int:
        """0 none, 1 weak, 2 clear."""
        if self.hopkins <= UNIFORM or not self.silhouette > self.silhouette_of_a_cloud:
            return 0
        return 2 if self.silhouette >= CLEAR and self.rand >= STABLE else 1

    @property
    def word(self) -> str:
        """The grade in words, with what it rests on."""
        if self.hopkins <= UNIFORM:
            why = f"customers are spread about evenly (Hopkins {self.hopkins:.2f})"
            return f"no structure: {why}; the segments are cuts through a continuum"
        if np.isnan(self.silhouette):
            return "no structure: all customers that are in a segment are in one"
        if self.grade == 0:
            why = f"a single cloud is told apart as well (silhouette {self.silhouette:.2f})"
            return f"no structure: {why}; the segments are cuts through a continuum"
        again = "not looked for again" if np.isnan(self.rand) else f"found again at {self.rand:.2f}"
        told = f"silhouette {self.silhouette:.2f}, {again}, Hopkins {self.hopkins:.2f}"
        return f"clear structure: {told}" if self.grade == 2 else f"weak structure: {told}; segments pass into another"


def structure(core: Coreset, *, k: int, rand: float, seed: int) -> Structure:
    """Look for structure in a sample of the coreset.

    Args:
        k: the chosen number of segments.
        rand: stability of the chosen segmentation.
    """
    points = core.plain(POINTS, seed=seed)
    if k < 2:
        return Structure(hopkins(points, seed=seed), float("nan"), float("nan"), rand)
    generator = np.random.default_rng(seed)
    deviations, axes = np.linalg.eigh(np.atleast_2d(np.cov(points.T, bias=True)))
    scale = np.sqrt(np.maximum(deviations, 0.0))
    clouds = [(generator.normal(size=points.shape) * scale) @ axes.T for _ in range(CLOUDS)]
    return Structure(
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
    probes = max(1, int(n * PROBES))
    least, most = points.min(axis=0), points.max(axis=0)
    tree = cKDTree(points)
    from_anywhere = tree.query(generator.uniform(least, most, size=(probes, d)))[0]
    from_points = tree.query(points[generator.choice(n, probes, replace=False)], k=2)[0][:, 1]
    longest = max(from_anywhere.max(), from_points.max())
    if longest == 0:
        return 1.0
    anywhere, own = ((from_anywhere / longest) ** d).sum(), ((from_points / longest) ** d).sum()
    return float(rounded(float(anywhere / (anywhere + own))))


def _silhouette(points: np.ndarray, k: int, seed: int) -> float:
    core = Coreset(points, np.ones(len(points)), len(points))
    with one_thread():
        partition = fit("kmeans", core, k=min(k, len(np.unique(points, axis=0))), starts=3, seed=seed)
    return judged_in_memory(points, core.weights, [partition])[0].silhouette
