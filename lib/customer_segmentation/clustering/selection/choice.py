"""Chooses the algorithm and the number of segments by a stated rule.

The rule: a candidate with a segment smaller than `smallest_share`, or one that is not found again (a bootstrap adjusted
Rand index below `STABLE_ENOUGH`), is out as long as another is left. Of the others the one with the highest score
wins, which is the weighted mean of its figures, each from 0 to 1 (`WEIGHTS`); of those within `CLOSE` of it the one
with the fewest segments.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.hierarchy.micro import with_site
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.coreset_fits import fit, one_thread
from customer_segmentation.clustering.selection.metrics import Indices, Partition, judged, judged_by
from customer_segmentation.clustering.selection.stability import Stability, stabilities, stability
from customer_segmentation.preparation.rounding import rounded

STARTS = 5
STABLE_ENOUGH = 0.6
CLOSE = 0.01
WEIGHTS = {"silhouette": 0.4, "stability": 0.3, "calinski_harabasz": 0.1, "davies_bouldin": 0.1, "elbow": 0.1}
"""What counts how much: silhouette and stability as they are; Caliński-Harabasz as a share of the best candidate's,
Davies-Bouldin the best one's as a share of it; and the elbow."""


@dataclass(frozen=True)
class Candidate:
    """A segmentation that was tried: found on the coreset, judged on all rows. None is a figure that is not defined.

    algorithm, k: what was tried; a key of `driver_fits.FITS`, and the number of segments.
    silhouette, calinski_harabasz, davies_bouldin, smallest_share: see `Indices`.
    stability, segment_stability: mean adjusted Rand index, and each segment's Jaccard index, see `Stability`.
    cost: sum of squared distances to the segments' means.
    elbow: how far the cost is below the line from the first k to the last, as a share of what was gained on it, 0 to 1
        (Satopää et al. 2011).
    bic: Bayesian information criterion, lower is better; mixtures only.
    score: by which it was chosen, 0 to 1.
    """

    algorithm: str
    k: int
    silhouette: float | None
    smallest_share: float
    stability: float = 1.0
    calinski_harabasz: float | None = None
    davies_bouldin: float | None = None
    cost: float = 0.0
    elbow: float | None = None
    bic: float | None = None
    segment_stability: tuple[float, ...] = ()
    score: float = 0.0


@dataclass(frozen=True)
class Choice:
    """What was tried and what was chosen.

    candidates: by algorithm and k, with their scores.
    partitions: each one's partition; none where they are cuts of a tree.
    """

    candidates: tuple[Candidate, ...]
    partitions: tuple[Partition, ...]
    chosen: int

    @property
    def candidate(self) -> Candidate:
        """The chosen one."""
        return self.candidates[self.chosen]

    @property
    def partition(self) -> Partition:
        """The chosen one's partition."""
        return self.partitions[self.chosen]


def choose(
    points: DataFrame,
    columns: Sequence[str],
    core: Coreset,
    *,
    ks: Sequence[int],
    algorithms: Sequence[str],
    smallest_share: float,
    seed: int,
) -> Choice | None:
    """Try every k by every algorithm on the coreset, judge all on all rows, choose by the rule. Runs two jobs.

    Args:
        points: prepared customers, read twice.
        columns: their coordinates, as in the coreset.
        core: of them.
        ks: numbers of segments; those not below the coreset's number of distinct points are left out.
        algorithms: keys of `driver_fits.FITS`.
        smallest_share: see the rule.

    Returns:
        The choice; None where no k is left.
    """
    distinct = len(np.unique(core.points, axis=0))
    tried = [(algorithm, k) for algorithm in algorithms for k in ks if k < distinct]
    if not tried:
        return None
    with one_thread():
        partitions = [fit(algorithm, core, k=k, starts=STARTS, seed=seed) for algorithm, k in tried]
    found = judged(points, columns, partitions)
    candidates = []
    for (algorithm, _), partition, indices in zip(tried, partitions, found, strict=True):
        again = stability(core, partition, algorithm=algorithm, seed=seed)
        candidates.append(replace(_candidate(algorithm, partition.k, indices, again), bic=_bic(partition, indices)))
    return _choice(candidates, partitions, smallest_share)


def choose_cut(
    points: DataFrame,
    columns: Sequence[str],
    core: Coreset,
    tree: HierarchyModel,
    *,
    ks: Sequence[int],
    smallest_share: float,
    seed: int,
) -> Choice:
    """Judge cuts of a tree on all rows, choose by the rule. Runs two jobs.

    Args:
        points: prepared customers, read twice.
        columns: their coordinates, as in the coreset.
        core: of them; on it each cut is looked for again.
        tree: of them, cut anywhere.
        ks: numbers of segments, at least one.
    """
    cuts = [tree.cut(k) for k in ks]
    judged_ = judged_cuts(points, columns, cuts)
    again = stabilities(core, cuts, algorithm=tree.algorithm, seed=seed)
    candidates = [_candidate(tree.algorithm, *told) for told in zip(ks, judged_, again, strict=True)]
    return _choice(candidates, (), smallest_share)


def judged_cuts(points: DataFrame, columns: Sequence[str], cuts: Sequence[HierarchyModel]) -> list[Indices]:
    """Judge cuts of one tree on all rows. Runs two jobs."""
    sited = with_site(points, columns, cuts[0].micro.sites, name="_site")
    return judged_by(sited, columns, "_site", [cut.labels_ for cut in cuts])


def with_scores(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with elbow and score."""
    bent = [
        replace(one, elbow=_elbow(one, [c for c in candidates if c.algorithm == one.algorithm])) for one in candidates
    ]
    most = max((one.calinski_harabasz or 0.0 for one in bent), default=0.0)
    least = min((one.davies_bouldin for one in bent if one.davies_bouldin is not None), default=0.0)

    def score(one: Candidate) -> float:
        figures = {
            "silhouette": one.silhouette or 0.0,
            "stability": one.stability,
            "calinski_harabasz": (one.calinski_harabasz or 0.0) / most if most else 0.0,
            "davies_bouldin": least / one.davies_bouldin if one.davies_bouldin else 0.0,
            "elbow": one.elbow or 0.0,
        }
        return float(rounded(sum(weight * min(max(figures[name], 0.0), 1.0) for name, weight in WEIGHTS.items())))

    return [replace(one, score=score(one)) for one in bent]


def best(candidates: Sequence[Candidate], *, smallest_share: float) -> Candidate:
    """The winner by the rule. Where no candidate has segments big enough, the one whose smallest is largest."""
    big = [one for one in candidates if one.smallest_share >= smallest_share]
    if not big:
        return max(candidates, key=lambda one: (one.smallest_share, one.score, -one.k))
    left = [one for one in big if one.stability >= STABLE_ENOUGH] or big
    highest = max(one.score for one in left)
    close = [one for one in left if one.score >= highest - CLOSE]
    return min(close, key=lambda one: (one.k, -one.score))


def rows(choice: Choice | None) -> list[dict[str, Any]]:
    """The candidates as rows of `model_runs.candidates`."""
    return (
        [{**vars(one), "segment_stability": list(one.segment_stability)} for one in choice.candidates] if choice else []
    )


def _choice(candidates: Sequence[Candidate], partitions: Sequence[Partition], smallest_share: float) -> Choice:
    scored = with_scores(candidates)
    winner = best(scored, smallest_share=smallest_share)
    return Choice(tuple(scored), tuple(partitions), scored.index(winner))


def _candidate(algorithm: str, k: int, indices: Indices, again: Stability) -> Candidate:
    return Candidate(
        algorithm=algorithm,
        k=k,
        silhouette=_known(indices.silhouette),
        smallest_share=indices.smallest_share,
        stability=again.rand,
        calinski_harabasz=_known(indices.calinski_harabasz),
        davies_bouldin=_known(indices.davies_bouldin),
        cost=indices.inertia,
        segment_stability=tuple(again.segments.tolist()),
    )


def _bic(partition: Partition, indices: Indices) -> float | None:
    """A mixture's cost is minus twice its log likelihood, but for the constant of a normal density."""
    if partition.roots is None:
        return None
    (k, d), n = partition.centers.shape, float(indices.sizes.sum())
    parameters = k * d * (d + 1) / 2 + k * d + k - 1
    return float(rounded(indices.cost + n * d * math.log(2 * math.pi) + parameters * math.log(n)))


def _elbow(one: Candidate, alike: Sequence[Candidate]) -> float | None:
    first, last = min(alike, key=lambda c: c.k), max(alike, key=lambda c: c.k)
    if last.k - first.k < 2 or first.cost <= last.cost:
        return None
    gained = (first.cost - one.cost) / (first.cost - last.cost)
    return float(rounded(max(0.0, gained - (one.k - first.k) / (last.k - first.k))))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
