"""Stability: how well the segments of a segmentation reappear in bootstraps of the customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.preparation.rounding import rounded

BOOTSTRAPS = 30
MAX_POINTS = 4_000
"""Most customers of a bootstrap; where there are fewer, it is as large as the coreset."""
N_INIT = 12
"""Starts of each fit: with a few, bootstraps end in different optima of the same cost function, which says more of the
search than of the customers."""


@runtime_checkable
class Labelling(Protocol):
    """A segmentation that puts any point into one of k segments."""

    @property
    def k(self) -> int:
        """Number of segments."""

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The position of each point's segment."""


@dataclass(frozen=True)
class Stability:
    """How the segmentations of bootstraps agree with one another, and with the one that is measured.

    rand: mean adjusted Rand index of pairs of bootstraps, 1 for the same segmentation, 0 for what chance gives
        (Dolnicar & Leisch 2010).
    segments: (k,) mean Jaccard index of each segment with the most similar one of a bootstrap, 0 to 1: under .60
        unstable, .60 to .75 doubtful, above stable (Hennig 2007).
    agreement: of two bootstraps, the Jaccard index of the segment that reappears worst, 0 to 1; the mean over all
        pairs. It rests on no one segmentation, so that it does not depend on which of several was fitted first.
    error: standard error of the agreement, by the jackknife over the bootstraps.
    """

    rand: float
    segments: np.ndarray
    agreement: float
    error: float


def stability(
    coreset: Coreset, segmentation: Labelling, *, algorithm: str, seed: int, bootstraps: int = BOOTSTRAPS
) -> Stability:
    """Draw bootstraps of the coreset by its weights, cluster each, and compare on the whole coreset.

    Args:
        segmentation: what to compare the bootstraps with.
        algorithm: that clusters them: a registered one with a `fit_coreset`.
        bootstraps: how many.
    """
    (labels,) = bootstraps_by_k(coreset, [segmentation.k], algorithm=algorithm, seed=seed, bootstraps=bootstraps)
    return compare_bootstraps(coreset, segmentation, labels)


def bootstraps_by_k(
    coreset: Coreset, ks: Sequence[int], *, algorithm: str, seed: int, bootstraps: int = BOOTSTRAPS
) -> list[list[np.ndarray]]:
    """For each k the labels that fits of the same bootstraps give the points, a tree being built once on each."""
    fit = ALGORITHMS[algorithm].fit_coreset
    assert fit is not None, f"{algorithm} is fitted on coresets"
    generator = np.random.default_rng(seed)
    size = min(MAX_POINTS, len(coreset.points))
    chances = coreset.weights / coreset.weights.sum()
    drawn = [coreset.points[generator.choice(len(coreset.points), size, p=chances)] for _ in range(bootstraps)]

    def labels_of(number: int) -> list[np.ndarray]:
        points = drawn[number]
        possible = [_possible_k(points, k) for k in ks]
        partitions = fit(Coreset(points, np.ones(size), size), possible, N_INIT, seed + number)
        return [partition.labels(coreset.points) for partition in partitions]

    # One after the other: a fit of so few points is so many short steps that several threads wait for one another.
    with one_thread():
        return [list(own) for own in zip(*map(labels_of, range(bootstraps)), strict=True)]


def compare_bootstraps(coreset: Coreset, segmentation: Labelling, labels: Sequence[np.ndarray]) -> Stability:
    """A segmentation compared with the labels that its bootstraps give the points of the coreset.

    Labels are positions, -1 for noise. Noise is a group of its own in the Rand index, and no segment that another is
    compared with.
    """
    own = segmentation.labels(coreset.points)
    groups = max(segmentation.k, *(int(bootstrap.max()) + 1 for bootstrap in labels)) + 1  # and the last one for noise
    own, *bootstraps = (positions % groups for positions in (own, *labels))
    overlaps = [jaccard(contingency(own, bootstrap, coreset.weights, groups)) for bootstrap in bootstraps]
    segments = np.mean([overlap[: segmentation.k, :-1].max(axis=1) for overlap in overlaps], axis=0)
    rands, agreements = [], np.zeros((len(labels), len(labels)))
    for i, left in enumerate(bootstraps):
        for j, right in enumerate(bootstraps[:i]):
            counts = contingency(left, right, coreset.weights, groups)
            rands.append(adjusted_rand(counts))
            agreements[i, j] = agreements[j, i] = worst_segment_jaccard(counts)
    agreement, error = _mean_of_pairs(agreements)
    return Stability(float(rounded(float(np.mean(rands)))), rounded(segments), agreement, error)


def worst_segment_jaccard(counts: np.ndarray) -> float:
    """The Jaccard index, with its counterpart in the other labelling, of the segment that reappears worst.

    Args:
        counts: customers, or their weights, by the segments of both labellings; the last of each is noise.
    """
    overlap = jaccard(counts)[:-1, :-1]
    overlap = overlap[np.ix_(counts[:-1].any(axis=1), counts[:, :-1].any(axis=0))]
    return float(min(overlap.max(axis=1).min(), overlap.max(axis=0).min())) if overlap.size else 0.0


def adjusted_rand(counts: np.ndarray) -> float:
    """The adjusted Rand index of two labellings (Hubert & Arabie 1985), 1 where both are the same.

    Args:
        counts: customers, or their weights, by the segments of both.
    """

    def pairs(of: np.ndarray) -> float:
        return float((of * (of - 1)).sum() / 2)

    both, left, right = pairs(counts), pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0))
    expected = left * right / max(pairs(counts.sum()), 1e-300)
    highest = (left + right) / 2
    return 1.0 if highest == expected else (both - expected) / (highest - expected)


def jaccard(counts: np.ndarray) -> np.ndarray:
    """The Jaccard index of each segment of the first labelling (rows) with each of the second, 0 to 1."""
    union = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True) - counts
    overlap: np.ndarray = np.divide(counts, union, out=np.zeros_like(counts), where=union > 0)
    return overlap


def _mean_of_pairs(values: np.ndarray) -> tuple[float, float]:
    """The mean of a symmetric (n, n) matrix off its diagonal, of zeros, and its standard error without each row."""
    n, total, rows = len(values), values.sum(), values.sum(axis=1)
    without = (total - 2 * rows) / ((n - 1) * (n - 2))
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    return float(rounded(total / (n * (n - 1)))), float(rounded(error))


def _possible_k(points: np.ndarray, k: int) -> int:
    """k, or the number of distinct points where it is lower; some of them decide most often."""
    return k if len(np.unique(points[: 20 * k], axis=0)) >= k else min(k, len(np.unique(points, axis=0)))


def contingency(left: np.ndarray, right: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    """(k, k) weights by the labels of both, each from 0 to below k."""
    return np.bincount(left * k + right, weights, minlength=k * k).reshape(k, k)
