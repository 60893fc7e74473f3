"""Chooses the algorithm and the number of segments by a stated rule, which rests on stability under resampling.

The rule: a number of segments is *stable* when two bootstraps of the customers agree on every one of its segments: the
Jaccard index of the one that agrees worst is at least `STABLE_AGREEMENT`, within one standard error. Of the stable
numbers the largest is chosen. Those that agree as well within one standard error are tied with it: among them the
number that the segments in service have stays; without one it is the most useful, where it is known how well segments
rank customers by what they spend next.

Where none is stable, customers form a continuum, any number of segments is a choice, and all are tied: the number
in service stays, otherwise it is the one nearest to `CONTINUUM_K`, unless bootstraps agree better on another, by
`CLEARLY_BETTER`.

Numbers that leave a segment below `smallest_share` are out as long as there are others. Of several algorithms the
first stays, unless it finds nothing again and another does, or the valleys between another's segments are `MIN_GAIN`
deeper. No figure of a candidate depends on which other candidates there are.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.metrics import ClusterMetrics, Partition, evaluate
from customer_segmentation.clustering.selection.separation import separation, without_ties
from customer_segmentation.clustering.selection.stability import (
    N_INIT,
    Stability,
    bootstraps_by_k,
    compare_bootstraps,
)
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.preparation.rounding import rounded

STABLE_AGREEMENT = 0.85
"""The Jaccard index from which a segment is highly stable (Hennig 2007)."""
CONTINUUM_K = 4
"""Segments of a continuum: one cut in each of two directions, such as value and activity; with more cuts less is
stable."""
CLEARLY_BETTER = 0.2
"""Difference of two Jaccard indices that is more than chance from one draw of customers to the next, whose standard
error is up to .08."""
MIN_GAIN = 0.2
"""How much deeper another algorithm's valleys have to be, as a share of the lower mode. Normal groups of one size that
are 3 standard deviations apart have a valley of a third, those 4 apart of nearly three quarters."""


@dataclass(frozen=True)
class Candidate:
    """A segmentation that was tried: fitted to the coreset, evaluated on all rows. None is a metric that is undefined.

    algorithm, k: a registered algorithm, and the number of segments.
    silhouette, calinski_harabasz, davies_bouldin, smallest_share: see `ClusterMetrics`.
    stability, segment_stability: mean adjusted Rand index, and each segment's Jaccard index, see `Stability`.
    agreement, agreement_error: the Jaccard index of the least stable segment, and its standard error.
    separation: mean depth of the valleys between the segments, 0 to 1, see `separation`.
    cost: sum of squared distances to the segments' means.
    bic: Bayesian information criterion, lower is better; mixtures only.
    usefulness: how well the segments rank customers by what they spent next, up to 1; None where it is not known.
    tied: whether it is the chosen one, or does as well within one standard error.
    """

    algorithm: str
    k: int
    silhouette: float | None
    smallest_share: float
    agreement: float
    agreement_error: float = 0.0
    stability: float = 1.0
    separation: float | None = None
    calinski_harabasz: float | None = None
    davies_bouldin: float | None = None
    cost: float = 0.0
    bic: float | None = None
    segment_stability: tuple[float, ...] = ()
    tied: bool = False
    usefulness: float | None = None

    @property
    def is_stable(self) -> bool:
        """Whether bootstraps agree on all of its segments."""
        return is_stable(self.agreement, self.agreement_error)


@dataclass(frozen=True)
class Choice:
    """The candidates and which of them was chosen.

    candidates: by algorithm and k.
    partitions: of each candidate; none where they are cuts of a tree.
    chosen: position of the chosen candidate.
    bootstraps: labels of the coreset's points by its fits of bootstraps, see `compare_bootstraps`.
    """

    candidates: tuple[Candidate, ...]
    partitions: tuple[Partition, ...]
    chosen: int
    bootstraps: Sequence[np.ndarray] = ()

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
    usefulness: Callable[[Sequence[Partition]], Sequence[float]] | None = None,
) -> Choice | None:
    """Try every k by every algorithm on the coreset, evaluate all on all rows, choose by the rule. Runs two jobs.

    Args:
        points: prepared customers, read twice.
        columns: their coordinates, as in the coreset.
        coreset: of them.
        ks: numbers of segments; those not below the coreset's number of distinct points are left out.
        algorithms: registered ones with a `fit_coreset`; the first one stays in a tie.
        smallest_share: see the rule.
        incumbent_k: number of segments of the model in service, if there is one.
        usefulness: of partitions of prepared customers, see `Candidate`; asked for where several are tied.

    Returns:
        The choice; None where no k is left.
    """
    distinct = len(np.unique(coreset.points, axis=0))
    ks = [k for k in ks if k < distinct]
    if not ks:
        return None
    names: list[str] = []
    partitions: list[Partition] = []
    bootstraps: list[list[np.ndarray]] = []
    for algorithm in algorithms:
        fit = ALGORITHMS[algorithm].fit_coreset
        assert fit is not None, f"{algorithm} is fitted on coresets"
        with one_thread():
            fitted = fit(coreset, ks, N_INIT, seed)
        bootstraps += bootstraps_by_k(coreset, ks, algorithm=algorithm, seed=seed)
        partitions += fitted
        names += [algorithm] * len(ks)
    spread = without_ties(coreset.points, seed=seed)
    candidates = []
    metrics = evaluate(points, columns, partitions)
    for name, partition, own, labels in zip(names, partitions, metrics, bootstraps, strict=True):
        candidate = candidate_of(name, partition.k, own, compare_bootstraps(coreset, partition, labels))
        apart = separation(spread, coreset.weights, partition.labels(coreset.points))
        candidates.append(replace(candidate, separation=_defined_and_rounded(apart), bic=_bic(partition, own)))
    if usefulness is not None:
        _, tied = best(candidates, smallest_share=smallest_share, incumbent_k=incumbent_k)
        places = [i for i, candidate in enumerate(candidates) if candidate in tied and candidate.is_stable]
        if len(places) > 1:
            for i, useful in zip(places, usefulness([partitions[i] for i in places]), strict=True):
                candidates[i] = replace(candidates[i], usefulness=_defined_and_rounded(useful))
    choice = choice_of(candidates, partitions, smallest_share, incumbent_k)
    return replace(choice, bootstraps=bootstraps[choice.chosen])


def candidate_of(algorithm: str, k: int, metrics: ClusterMetrics, stability: Stability) -> Candidate:
    """The candidate with its metrics, without its separation."""
    return Candidate(
        algorithm=algorithm,
        k=k,
        silhouette=defined(metrics.silhouette),
        smallest_share=metrics.smallest_share,
        agreement=stability.agreement,
        agreement_error=stability.error,
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
    chosen, tied = best(candidates, smallest_share=smallest_share, incumbent_k=incumbent_k)
    marked = [replace(candidate, tied=candidate in tied) for candidate in candidates]
    return Choice(tuple(marked), tuple(partitions), list(candidates).index(chosen))


def best(
    candidates: Sequence[Candidate], *, smallest_share: float, incumbent_k: int | None = None
) -> tuple[Candidate, list[Candidate]]:
    """The winner by the rule, and the candidates of its algorithm that are tied, itself among them."""
    algorithms = dict.fromkeys(candidate.algorithm for candidate in candidates)
    winner, *others = (
        _best_k([c for c in candidates if c.algorithm == name], smallest_share, incumbent_k) for name in algorithms
    )
    for other in others:
        if _beats(other[0], winner[0], smallest_share):
            winner = other
    return winner


def _best_k(
    candidates: list[Candidate], smallest_share: float, incumbent_k: int | None
) -> tuple[Candidate, list[Candidate]]:
    """The winner among the candidates of one algorithm, and those that are tied with it."""
    big = [candidate for candidate in candidates if candidate.smallest_share >= smallest_share]
    if not big:
        chosen = max(candidates, key=lambda candidate: (candidate.smallest_share, -candidate.k))
        return chosen, [chosen]
    found = [candidate for candidate in big if candidate.is_stable]
    if found:
        largest = max(found, key=lambda candidate: candidate.k)
        tied = [candidate for candidate in found if _agree_as_well(candidate, largest)]
        largest = max(tied, key=lambda candidate: (candidate.usefulness or 0.0, candidate.k))
    else:
        largest = min(big, key=lambda candidate: (abs(candidate.k - CONTINUUM_K), -candidate.k))
        stablest = max(big, key=lambda candidate: (candidate.agreement, candidate.k))
        if stablest.agreement >= largest.agreement + CLEARLY_BETTER:
            largest = stablest
        tied = big
    return next((candidate for candidate in tied if candidate.k == incumbent_k), largest), tied


def _agree_as_well(left: Candidate, right: Candidate) -> bool:
    return abs(left.agreement - right.agreement) <= max(left.agreement_error, right.agreement_error)


def _beats(challenger: Candidate, first: Candidate, smallest_share: float) -> bool:
    """Whether a candidate of another algorithm takes the place of one that is first."""
    order = [(c.smallest_share >= smallest_share, c.is_stable) for c in (challenger, first)]
    if order[0] != order[1]:
        return order[0] > order[1]
    return challenger.is_stable and (challenger.separation or 0.0) >= (first.separation or 0.0) + MIN_GAIN


def is_stable(agreement: float, error: float) -> bool:
    """Whether bootstraps agree on all segments, within one standard error."""
    return agreement + error >= STABLE_AGREEMENT


def candidate_rows(choice: Choice | None) -> list[dict[str, Any]]:
    """The candidates as rows of `model_runs.candidates`; none without a choice."""
    candidates = choice.candidates if choice else ()
    return [{**vars(candidate), "segment_stability": list(candidate.segment_stability)} for candidate in candidates]


def defined(metric: float) -> float | None:
    """The metric, None where it is nan or infinite."""
    return metric if math.isfinite(metric) else None


def _defined_and_rounded(metric: float) -> float | None:
    return float(rounded(metric)) if math.isfinite(metric) else None


def _bic(partition: Partition, metrics: ClusterMetrics) -> float | None:
    """A mixture's cost is minus twice its log likelihood, but for the constant of a normal density."""
    if partition.roots is None:
        return None
    (k, d), n = partition.centers.shape, float(metrics.sizes.sum())
    parameters = k * d * (d + 1) / 2 + k * d + k - 1
    return float(rounded(metrics.cost + n * d * math.log(2 * math.pi) + parameters * math.log(n)))
