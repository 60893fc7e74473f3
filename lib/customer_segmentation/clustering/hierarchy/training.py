"""Trains a hierarchy: the tree is built once, and each k is a cut of it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from customer_segmentation.clustering.fitting import (
    MAX_LOSS,
    FittedSegmentation,
    TrainingData,
    candidate_ks,
    evaluated,
)
from customer_segmentation.clustering.hierarchy.micro import with_nearest_prototype
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.hierarchy.ward import ward
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.choice import Choice, candidate_of, choice_of
from customer_segmentation.clustering.selection.metrics import ClusterMetrics, evaluate_groups
from customer_segmentation.clustering.selection.stability import bootstraps_by_k, compare_bootstraps
from customer_segmentation.config.schema import Clustering


def train_tree(data: TrainingData, settings: Clustering, seed: int) -> FittedSegmentation:
    """Build Ward's tree, choose the cut where k is not given, and evaluate it."""
    ks = candidate_ks(data, settings) if settings.k == "auto" else [settings.k]
    estimator = ALGORITHMS[settings.algorithm].configured(settings, k=ks[0], seed=seed)
    model: HierarchyModel = estimator.set_params(bootstraps=0).fit(data.features, preparation=data.preparation)
    choice = None
    if settings.k == "auto":
        ks = [k for k in ks if k <= len(model.micro.prototypes)]
        choice = choose_cut(
            data, model, ks=ks, smallest_share=settings.smallest_share, seed=seed, incumbent_k=data.incumbent_k
        )
        model = model.cut(choice.candidate.k)
    fitted = evaluated(data, model, choice, settings, seed)
    return replace(fitted, quality={**fitted.quality, "compression_loss": model.compression_loss_})


def follow_tree(
    data: TrainingData, incumbent: HierarchyModel, independent: HierarchyModel, settings: Clustering
) -> HierarchyModel | None:
    """A tree whose cut has the incumbent's segments, changed as little as it takes to cost little more than the others.

    The segments are those in which the incumbent has today's micro-clusters; where they cost too much, those that gain
    most by it go to the segment with the nearest mean, as many as are needed. None where that leaves a segment empty or
    does not suffice.
    """
    micro = independent.micro
    segments = incumbent.labels(independent.carried_over(micro.prototypes, incumbent.preparation))
    for _ in range(settings.max_iterations + 1):
        sizes = np.bincount(segments, micro.weights, minlength=incumbent.k)
        if not sizes.all():
            return None
        sums = [np.bincount(segments, micro.weights * x, minlength=incumbent.k) for x in micro.means.T]
        squared = ((micro.means[:, None] - np.stack(sums, axis=1) / sizes[:, None]) ** 2).sum(axis=2)
        own = squared[np.arange(len(segments)), segments]
        excess = micro.squares.sum() + micro.weights @ own - (1 + MAX_LOSS) * independent.cost_
        if excess <= 0:
            return replace(independent, linkage_=ward(micro.means, micro.weights, segments))
        gains = micro.weights * (own - squared.min(axis=1))
        order = np.argsort(-gains, kind="stable")
        moved = order[: int(np.searchsorted(gains[order].cumsum(), excess)) + 1]
        segments[moved] = squared[moved].argmin(axis=1)
    return None


def choose_cut(
    data: TrainingData,
    tree: HierarchyModel,
    *,
    ks: Sequence[int],
    smallest_share: float,
    seed: int,
    incumbent_k: int | None = None,
) -> Choice:
    """Evaluate cuts of a tree on all rows, choose by the rule of `selection.choice`. Runs two jobs.

    Args:
        tree: of the customers, cut anywhere.
        ks: numbers of segments, at least one.
        incumbent_k: see `selection.choice.choose`.
    """
    cuts = [tree.cut(k) for k in ks]
    bootstraps = bootstraps_by_k(data.coreset, ks, algorithm=tree.algorithm, seed=seed)
    stability = [compare_bootstraps(data.coreset, *values) for values in zip(cuts, bootstraps, strict=True)]
    measured = zip(ks, evaluate_cuts(data, cuts), stability, strict=True)
    choice = choice_of([candidate_of(tree.algorithm, *values) for values in measured], (), smallest_share, incumbent_k)
    return replace(choice, bootstraps=bootstraps[choice.chosen])


def evaluate_cut(data: TrainingData, model: HierarchyModel) -> ClusterMetrics:
    """Evaluate a hierarchy over all customers. Runs two jobs."""
    return evaluate_cuts(data, [model])[0]


def evaluate_cuts(data: TrainingData, cuts: Sequence[HierarchyModel]) -> list[ClusterMetrics]:
    """Evaluate cuts of one tree over all customers. Runs two jobs."""
    grouped = with_nearest_prototype(data.points, data.inputs, cuts[0].micro.prototypes, name="_prototype")
    return evaluate_groups(grouped, data.inputs, "_prototype", [cut.labels_ for cut in cuts])
