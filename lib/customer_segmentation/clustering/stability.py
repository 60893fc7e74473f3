"""How well a segmentation is found again when the customers are drawn anew."""

from dataclasses import dataclass

import numpy as np

from customer_segmentation.clustering.coreset import Coreset
from customer_segmentation.clustering.driver_fits import fit, one_thread
from customer_segmentation.clustering.indices import Partition
from customer_segmentation.clustering.rounding import rounded

BOOTSTRAPS = 10
POINTS = 2_000
"""Most customers of a bootstrap."""
STARTS = 2


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


def stability(core: Coreset, partition: Partition, *, algorithm: str, seed: int) -> Stability:
    """Draw the coreset anew, by its weights with replacement, cluster what was drawn, and compare on the whole coreset.

    Args:
        partition: the segmentation to judge.
        algorithm: that found it and finds the others, see `driver_fits.FITS`.
    """
    generator = np.random.default_rng(seed)
    size = min(POINTS, len(core.points))
    chances = core.weights / core.weights.sum()
    own = partition.labels(core.points)
    found, jaccards = [], []
    with one_thread():
        for b in range(BOOTSTRAPS):
            points = core.points[generator.choice(len(core.points), size, p=chances)]
            drawn, k = Coreset(points, np.ones(size), size), _possible(points, partition.k)
            labels = fit(algorithm, drawn, k=k, starts=STARTS, seed=seed + b).labels(core.points)
            jaccards.append(jaccard(_together(own, labels, core.weights, partition.k)))
            found.append(labels)
    pairs = zip(found, [*found[1:], found[0]], strict=True)
    rands = [adjusted_rand(_together(one, other, core.weights, partition.k)) for one, other in pairs]
    return Stability(float(rounded(float(np.mean(rands)))), rounded(np.mean(jaccards, axis=0)))


def adjusted_rand(together: np.ndarray) -> float:
    """The adjusted Rand index of two labellings (Hubert & Arabie 1985), 1 where both are the same.

    Args:
        together: customers, or their weights, by the segments of both.
    """

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1)).sum() / 2)

    both, one, other = pairs(together), pairs(together.sum(axis=1)), pairs(together.sum(axis=0))
    chance = one * other / max(pairs(together.sum()), 1e-300)
    most = (one + other) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


def jaccard(together: np.ndarray) -> np.ndarray:
    """For each segment of the first labelling (rows) its largest Jaccard index with one of the second."""
    union = together.sum(axis=1, keepdims=True) + together.sum(axis=0, keepdims=True) - together
    found: np.ndarray = np.divide(together, union, out=np.zeros_like(together), where=union > 0).max(axis=1)
    return found


def _possible(points: np.ndarray, k: int) -> int:
    """k, or the number of distinct points where it is lower; a look at some of them tells most often."""
    return k if len(np.unique(points[: 20 * k], axis=0)) >= k else min(k, len(np.unique(points, axis=0)))


def _together(one: np.ndarray, other: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(one * k + other, weights, minlength=k * k).reshape(k, k)
