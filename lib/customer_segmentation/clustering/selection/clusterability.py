"""Clusterability: whether the customers form groups at all, as any data can be cut into k parts.

The customers are compared with clouds that have no groups but are like them otherwise: the same rank correlations, by a
Gaussian copula, and for each feature the same values, with shares that rise to one mode and fall from there. A value
that many customers share, such as none, keeps its share, so that a heap of zeros is no group.
"""

from dataclasses import dataclass

import numpy as np

from customer_segmentation.clustering.selection.choice import is_stable
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.separation import separation, without_ties
from customer_segmentation.clustering.selection.stability import Labelling, Stability
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.preparation.rounding import rounded

MAX_POINTS = 600
"""Customers that are compared with the clouds."""
MAX_DENSITY_POINTS = 4_000
"""Customers that valleys are measured on."""
CLOUDS = 99
N_INIT = 2
MIN_SEPARATION = 0.1
"""Depth of valleys that a crowd with one mode has hardly ever by chance, as a share of the lower mode."""
SIGNIFICANCE = 0.05
"""A p-value above this is no evidence of groups."""
MIN_HEAP = 0.03
"""Share of the customers that makes equal values a heap ..."""
HEAP_RATIO = 3.0
"""... where their density is so many times that on either side."""
MODES = 15
"""Places tried for the mode of a feature."""


@dataclass(frozen=True)
class Clusterability:
    """Evidence of groups in the data.

    p_value: share of the clouds without groups that k-means cuts into parts at least as compact, the customers counted
        among them; nan for one segment.
    separation: mean depth of the valleys around the segments, 0 to 1, see `separation`; nan for one segment.
    agreement, error: how well the segments reappear, see `Stability`; nan where it was not measured, which is
        never clear.
    """

    p_value: float
    separation: float
    agreement: float
    error: float = 0.0

    @property
    def level(self) -> int:
        """0 none, 1 weak, 2 clear."""
        if not self.p_value <= SIGNIFICANCE:
            return 0
        return 2 if self.separation >= MIN_SEPARATION and is_stable(self.agreement, self.error) else 1

    @property
    def description(self) -> str:
        """The level in words, with the figures behind it."""
        if np.isnan(self.p_value):
            return "no structure: all customers that are in a segment are in one"
        agreement = (
            "stability not measured" if np.isnan(self.agreement) else f"bootstrap agreement {self.agreement:.2f}"
        )
        figures = f"p = {self.p_value:.2f}, separation {self.separation:.2f}, {agreement}"
        if self.level == 0:
            return f"no structure: a continuum; the segments are cuts through it ({figures})"
        return f"clear structure ({figures})" if self.level == 2 else f"weak structure: segments overlap ({figures})"


def clusterability(
    coreset: Coreset, segmentation: Labelling, *, stability: Stability | None, seed: int
) -> Clusterability:
    """Measure clusterability on samples of the coreset.

    Args:
        segmentation: the chosen one.
        stability: of it, where it was measured.
    """
    agreement, error = (stability.agreement, stability.error) if stability else (float("nan"), float("nan"))
    if segmentation.k < 2:
        return Clusterability(float("nan"), float("nan"), agreement, error)
    points = coreset.unweighted(MAX_DENSITY_POINTS, seed=seed)
    apart = separation(without_ties(points, seed=seed), np.ones(len(points)), segmentation.labels(points))
    generator = np.random.default_rng(seed)
    if len(points) > MAX_POINTS:
        points = points[np.sort(generator.choice(len(points), MAX_POINTS, replace=False))]
    return Clusterability(p_value(points, segmentation.k, generator), float(rounded(apart)), agreement, error)


def p_value(points: np.ndarray, k: int, generator: np.random.Generator) -> float:
    """Share of clouds without groups whose variance k segments explain as well as that of points (n, d), 0 to 1."""
    with one_thread():
        explained = _explained(points, k)
        margins = [unimodal_shares(column) for column in points.T]
        roots = _copula_roots(points)
        clouds = (_explained(_cloud(len(points), margins, roots, generator), k) for _ in range(CLOUDS))
        return float(rounded((1 + sum(cloud >= explained for cloud in clouds)) / (1 + CLOUDS)))


def unimodal_shares(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values with shares whose density rises to one mode and falls from there, but for heaps.

    The density of a value is its share over the distance halfway to its neighbours. It is fitted by isotonic regression
    on either side of the mode (Grenander 1956), for the mode whose distribution is nearest to the values' own.

    Returns:
        The values, ascending, and their shares, which add up to 1.
    """
    from sklearn.isotonic import isotonic_regression

    distinct, counts = np.unique(values, return_counts=True)
    shares = counts / counts.sum()
    heaps = _heaps(distinct, shares)
    support, own = distinct[~heaps], shares[~heaps]
    if len(support) < 3:
        return distinct, shares
    widths = _widths(support)
    best, nearest = own, np.inf
    for mode in np.unique(np.linspace(0, len(support) - 1, MODES).astype(int)):
        rising = isotonic_regression((own / widths)[: mode + 1], sample_weight=widths[: mode + 1])
        falling = isotonic_regression((own / widths)[mode:], sample_weight=widths[mode:], increasing=False)
        fitted = np.concatenate([rising[:-1], [max(rising[-1], falling[0])], falling[1:]]) * widths
        fitted *= own.sum() / fitted.sum()
        distance = np.abs(np.cumsum(fitted - own)).max()
        if distance < nearest:
            best, nearest = fitted, distance
    shares = shares.copy()
    shares[~heaps] = best
    return distinct, shares


def _heaps(distinct: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Which values are held by many more customers than their neighbours are."""
    if len(distinct) < 2:
        return np.ones(len(distinct), dtype=bool)
    density = shares / _widths(distinct)
    beside = np.maximum(np.r_[0.0, density[:-1]], np.r_[density[1:], 0.0])
    heaps: np.ndarray = (shares >= MIN_HEAP) & (density >= HEAP_RATIO * beside)
    return heaps


def _widths(support: np.ndarray) -> np.ndarray:
    """The distance from halfway to the value before to halfway to the next; at the ends twice that to the one side."""
    gaps = np.diff(support)
    widths: np.ndarray = (np.r_[gaps[:1], gaps] + np.r_[gaps, gaps[-1:]]) / 2
    return widths


def _copula_roots(points: np.ndarray) -> np.ndarray:
    """A root of the correlations of the normal scores of the ranks."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores = ndtri(rankdata(points, axis=0) / (len(points) + 1))
    deviations = np.maximum(scores.std(axis=0), 1e-300)
    correlation = np.atleast_2d(np.cov(scores.T, bias=True)) / np.outer(deviations, deviations)
    np.fill_diagonal(correlation, 1.0)
    values, axes = np.linalg.eigh(correlation)
    roots: np.ndarray = (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
    return roots


def _cloud(
    size: int, margins: list[tuple[np.ndarray, np.ndarray]], roots: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Points with these margins and correlations of normal scores."""
    from scipy.special import ndtr

    uniform = ndtr(generator.normal(size=(size, len(roots))) @ roots)
    cloud = [
        values[np.minimum(np.searchsorted(np.cumsum(shares), u), len(values) - 1)]
        for (values, shares), u in zip(margins, uniform.T, strict=True)
    ]
    return np.stack(cloud, axis=1)


def _explained(points: np.ndarray, k: int) -> float:
    """Share of the variance that k-means explains with k segments, 0 to 1."""
    from sklearn.cluster import KMeans

    total = float(((points - points.mean(axis=0)) ** 2).sum())
    if total == 0 or len(np.unique(points, axis=0)) <= k:
        return 1.0
    return 1.0 - float(KMeans(k, n_init=N_INIT, random_state=0).fit(points).inertia_) / total
