"""Chooses the algorithm and the number of segments by a stated rule.

The rule: a candidate with a segment smaller than `smallest_share`, or one that is not stable (a mean adjusted Rand
index of bootstraps below `MIN_STABILITY`), is out as long as another is left. Of the others the one with the highest
score wins, which is the weighted mean of its metrics, each from 0 to 1 (`WEIGHTS`); of those within `TOLERANCE` of it
the one with the fewest segments.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.coreset_fits import one_thread
from customer_segmentation.clustering.selection.metrics import ClusterMetrics, Partition, evaluate
from customer_segmentation.clustering.selection.stability import Stability, stability
from customer_segmentation.preparation.rounding import rounded

N_INIT = 5
MIN_STABILITY = 0.6
TOLERANCE = 0.01
WEIGHTS = {"silhouette": 0.4, "stability": 0.3, "calinski_harabasz": 0.1, "davies_bouldin": 0.1, "elbow": 0.1}
"""Weights of the score: silhouette and stability as they are; Caliński-Harabasz as a share of the best candidate's,
Davies-Bouldin the best one's as a share of it; and the elbow."""


@dataclass(frozen=True)
class Candidate:
    """A segmentation that was tried: fitted to the coreset, evaluated on all rows. None is a metric that is undefined.

    algorithm, k: a registered algorithm, and the number of segments.
    silhouette, calinski_harabasz, davies_bouldin, smallest_share: see `ClusterMetrics`.
    stability, segment_stability: mean adjusted Rand index, and each segment's Jaccard index, see `Stability`.
    cost: sum of squared distances to the segments' means.
    elbow: how far the cost is below the line from the first k to the last, as a share of the whole decrease, 0 to 1
        (Satopää et al. 2011).
    bic: Bayesian information criterion, lower is better; mixtures only.
    score: by which it is chosen, 0 to 1.
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
    """The candidates and which of them was chosen.

    candidates: by algorithm and k, with their scores.
    partitions: of each candidate; none where they are cuts of a tree.
    chosen: position of the chosen candidate.
    """

    candidates: tuple[Candidate, ...]
    partitions: tuple[Partition, ...]
    chosen: int

    @property
    def candidate(self) -> Candidate:
        """The chosen candidate."""
        return self.candidates[self.chosen]

    @property
    def partition(self) -> Partition:
        """The partition of the chosen candidate."""
        return self.partitions[self.chosen]


def choose(
    points: DataFrame,
    columns: Sequence[str],
    coreset: Coreset,
    *,
    ks: Sequence[int],
    algorithms: Sequence[str],
    smallest_share: float,
    seed: int,
    incumbent_k: int | None = None,
) -> Choice | None:
    """Try every k by every algorithm on the coreset, evaluate all on all rows, choose by the rule. Runs two jobs.

    Args:
        points: prepared customers, read twice.
        columns: their coordinates, as in the coreset.
        coreset: of them.
        ks: numbers of segments; those not below the coreset's number of distinct points are left out.
        algorithms: registered ones with a `fit_coreset`.
        smallest_share: see the rule.
        incumbent_k: the number of segments that serves now: it stays where it is not beaten clearly.

    Returns:
        The choice; None where no k is left.
    """
    distinct = len(np.unique(coreset.points, axis=0))
    ks = [k for k in ks if k < distinct]
    if not ks:
        return None
    names, partitions = [], []
    with one_thread():
        for algorithm in algorithms:
            fit = ALGORITHMS[algorithm].fit_coreset
            assert fit is not None, f"{algorithm} is fitted on coresets"
            names += [algorithm] * len(ks)
            partitions += fit(coreset, ks, N_INIT, seed)
    candidates = []
    for name, partition, metrics in zip(names, partitions, evaluate(points, columns, partitions), strict=True):
        measured = stability(coreset, partition, algorithm=name, seed=seed)
        candidates.append(replace(candidate_of(name, partition.k, metrics, measured), bic=_bic(partition, metrics)))
    return choice_of(candidates, partitions, smallest_share, incumbent_k)


def candidate_of(algorithm: str, k: int, metrics: ClusterMetrics, stability: Stability) -> Candidate:
    """The candidate with its metrics, without elbow and score."""
    return Candidate(
        algorithm=algorithm,
        k=k,
        silhouette=defined(metrics.silhouette),
        smallest_share=metrics.smallest_share,
        stability=stability.rand,
        calinski_harabasz=defined(metrics.calinski_harabasz),
        davies_bouldin=defined(metrics.davies_bouldin),
        cost=metrics.inertia,
        segment_stability=tuple(stability.segments.tolist()),
    )


def choice_of(
    candidates: Sequence[Candidate],
    partitions: Sequence[Partition],
    smallest_share: float,
    incumbent_k: int | None = None,
) -> Choice:
    """The choice among these candidates by the rule."""
    scored = with_scores(candidates)
    chosen = best(scored, smallest_share=smallest_share, incumbent_k=incumbent_k)
    return Choice(tuple(scored), tuple(partitions), scored.index(chosen))


def with_scores(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with elbow and score."""
    with_elbows = [
        replace(candidate, elbow=_elbow(candidate, [c for c in candidates if c.algorithm == candidate.algorithm]))
        for candidate in candidates
    ]
    highest = max((candidate.calinski_harabasz or 0.0 for candidate in with_elbows), default=0.0)
    lowest = min((c.davies_bouldin for c in with_elbows if c.davies_bouldin is not None), default=0.0)

    def score(candidate: Candidate) -> float:
        shares = {
            "silhouette": candidate.silhouette or 0.0,
            "stability": candidate.stability,
            "calinski_harabasz": (candidate.calinski_harabasz or 0.0) / highest if highest else 0.0,
            "davies_bouldin": lowest / candidate.davies_bouldin if candidate.davies_bouldin else 0.0,
            "elbow": candidate.elbow or 0.0,
        }
        return float(rounded(sum(weight * min(max(shares[name], 0.0), 1.0) for name, weight in WEIGHTS.items())))

    return [replace(candidate, score=score(candidate)) for candidate in with_elbows]


def best(candidates: Sequence[Candidate], *, smallest_share: float, incumbent_k: int | None = None) -> Candidate:
    """The winner by the rule. Where no candidate has segments big enough, the one whose smallest is largest."""
    big = [candidate for candidate in candidates if candidate.smallest_share >= smallest_share]
    if not big:
        return max(candidates, key=lambda candidate: (candidate.smallest_share, candidate.score, -candidate.k))
    left = [candidate for candidate in big if candidate.stability >= MIN_STABILITY] or big
    highest = max(candidate.score for candidate in left)
    close = [candidate for candidate in left if candidate.score >= highest - TOLERANCE]
    return min(close, key=lambda candidate: (candidate.k != incumbent_k, candidate.k, -candidate.score))


def candidate_rows(choice: Choice | None) -> list[dict[str, Any]]:
    """The candidates as rows of `model_runs.candidates`; none without a choice."""
    candidates = choice.candidates if choice else ()
    return [{**vars(candidate), "segment_stability": list(candidate.segment_stability)} for candidate in candidates]


def defined(metric: float) -> float | None:
    """The metric, None where it is nan or infinite."""
    return metric if math.isfinite(metric) else None


def _bic(partition: Partition, metrics: ClusterMetrics) -> float | None:
    """A mixture's cost is minus twice its log likelihood, but for the constant of a normal density."""
    if partition.roots is None:
        return None
    (k, d), n = partition.centers.shape, float(metrics.sizes.sum())
    parameters = k * d * (d + 1) / 2 + k * d + k - 1
    return float(rounded(metrics.cost + n * d * math.log(2 * math.pi) + parameters * math.log(n)))


def _elbow(candidate: Candidate, same_algorithm: Sequence[Candidate]) -> float | None:
    first, last = min(same_algorithm, key=lambda c: c.k), max(same_algorithm, key=lambda c: c.k)
    if last.k - first.k < 2 or first.cost <= last.cost:
        return None
    decrease = (first.cost - candidate.cost) / (first.cost - last.cost)
    return float(rounded(max(0.0, decrease - (candidate.k - first.k) / (last.k - first.k))))
