"""How well a segmentation is found again when the customers are drawn anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.coreset_fits import fits, one_thread
from customer_segmentation.preparation.rounding import rounded

BOOTSTRAPS = 10
POINTS = 2_000
"""Most customers of a bootstrap."""
STARTS = 2


class Labelling(Protocol):
    """A segmentation that puts any point into one of k segments."""

    @property
    def k(self) -> int:
        """Number of segments."""

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The position of each point's segment."""


@dataclass(frozen=True)
class Stability:
    """What the bootstraps of a segmentation gave.

    rand: mean adjusted Rand index of pairs of bootstraps, 1 for the same segmentation, 0 for what chance gives
        (Dolnicar & Leisch 2010).
    segments: (k,) mean Jaccard index of each segment with the one most like it, 0 to 1: under .60 unstable, .60 to
        .75 doubtful, above stable (Hennig 2007).
    """

    rand: float
    segments: np.ndarray


def stability(core: Coreset, segmentation: Labelling, *, algorithm: str, seed: int) -> Stability:
    """Draw the coreset anew, by its weights with replacement, cluster what was drawn, and compare on the whole coreset.

    Args:
        segmentation: what to judge.
        algorithm: that finds the others, see `driver_fits.FITS`.
    """
    return stabilities(core, [segmentation], algorithm=algorithm, seed=seed)[0]


def stabilities(core: Coreset, segmentations: Sequence[Labelling], *, algorithm: str, seed: int) -> list[Stability]:
    """The same for several segmentations by the same draws, on which a tree is built once."""
    generator = np.random.default_rng(seed)
    size = min(POINTS, len(core.points))
    chances = core.weights / core.weights.sum()
    drawn = []
    with one_thread():
        for b in range(BOOTSTRAPS):
            points = core.points[generator.choice(len(core.points), size, p=chances)]
            ks = [_possible(points, one.k) for one in segmentations]
            partitions = fits(algorithm, Coreset(points, np.ones(size), size), ks=ks, starts=STARTS, seed=seed + b)
            drawn.append([partition.labels(core.points) for partition in partitions])
    return [compared(core, one, found) for one, found in zip(segmentations, zip(*drawn, strict=True), strict=True)]


def compared(core: Coreset, segmentation: Labelling, found: Sequence[np.ndarray]) -> Stability:
    """A segmentation with the labels that its bootstraps gave the points.

    Labels are positions, -1 for noise. Noise is a group of its own in the Rand index, and no segment that another is
    found again in.
    """
    own = segmentation.labels(core.points)
    groups = max(segmentation.k, *(int(labels.max()) + 1 for labels in found)) + 1  # and the last one for noise
    own, *again = (labels % groups for labels in (own, *found))
    overlaps = [jaccard(_together(own, labels, core.weights, groups)) for labels in again]
    segments = np.mean([overlap[: segmentation.k, :-1].max(axis=1) for overlap in overlaps], axis=0)
    pairs = zip(again, [*again[1:], again[0]], strict=True)
    rands = [adjusted_rand(_together(one, other, core.weights, groups)) for one, other in pairs]
    return Stability(float(rounded(float(np.mean(rands)))), rounded(segments))


def adjusted_rand(counts: np.ndarray) -> float:
    """The adjusted Rand index of two labellings (Hubert & Arabie 1985), 1 where both are the same.

    Args:
        counts: customers, or their weights, by the segments of both.
    """

    def pairs(of: np.ndarray) -> float:
        return float((of * (of - 1)).sum() / 2)

    both, one, other = pairs(counts), pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0))
    chance = one * other / max(pairs(counts.sum()), 1e-300)
    most = (one + other) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


def jaccard(counts: np.ndarray) -> np.ndarray:
    """The Jaccard index of each segment of the first labelling (rows) with each of the second, 0 to 1."""
    union = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True) - counts
    found: np.ndarray = np.divide(counts, union, out=np.zeros_like(counts), where=union > 0)
    return found


def _possible(points: np.ndarray, k: int) -> int:
    """k, or the number of distinct points where it is lower; a look at some of them tells most often."""
    return k if len(np.unique(points[: 20 * k], axis=0)) >= k else min(k, len(np.unique(points, axis=0)))


def _together(one: np.ndarray, other: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    """(k, k) weights by the labels of both, each from 0 to below k."""
    return np.bincount(one * k + other, weights, minlength=k * k).reshape(k, k)
