"""Trains a hierarchy: the tree is built once, and each k is a cut of it."""

from collections.abc import Sequence
from dataclasses import replace

from customer_segmentation.clustering.fitting import FittedSegmentation, TrainingData, candidate_ks, evaluated
from customer_segmentation.clustering.hierarchy.micro import with_nearest_prototype
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.choice import Choice, candidate_of, choice_of
from customer_segmentation.clustering.selection.metrics import ClusterMetrics, evaluate_groups
from customer_segmentation.clustering.selection.stability import stabilities
from customer_segmentation.config.schema import Clustering


def train_tree(data: TrainingData, settings: Clustering, seed: int) -> FittedSegmentation:
    """Build Ward's tree, choose the cut where k is not given, and evaluate it."""
    ks = candidate_ks(data, settings) if settings.k == "auto" else [settings.k]
    estimator = ALGORITHMS[settings.algorithm].configured(settings, k=ks[0], seed=seed)
    model: HierarchyModel = estimator.fit(data.features, preparation=data.preparation)
    choice = None
    if settings.k == "auto":
        ks = [k for k in ks if k <= len(model.micro.prototypes)]
        choice = choose_cut(data, model, ks=ks, smallest_share=settings.smallest_share, seed=seed)
        model = model.cut(choice.candidate.k)
    return replace(evaluated(data, model, choice, seed), quality={"lost_variance": model.compression_loss_})


def choose_cut(
    data: TrainingData, tree: HierarchyModel, *, ks: Sequence[int], smallest_share: float, seed: int
) -> Choice:
    """Evaluate cuts of a tree on all rows, choose by the rule of `selection.choice`. Runs two jobs.

    Args:
        tree: of the customers, cut anywhere.
        ks: numbers of segments, at least one.
    """
    cuts = [tree.cut(k) for k in ks]
    stability = stabilities(data.coreset, cuts, algorithm=tree.algorithm, seed=seed)
    measured = zip(ks, evaluate_cuts(data, cuts), stability, strict=True)
    candidates = [candidate_of(tree.algorithm, *values) for values in measured]
    return choice_of(candidates, (), smallest_share, data.incumbent_k)


def evaluate_cut(data: TrainingData, model: HierarchyModel) -> ClusterMetrics:
    """Evaluate a hierarchy over all customers. Runs two jobs."""
    return evaluate_cuts(data, [model])[0]


def evaluate_cuts(data: TrainingData, cuts: Sequence[HierarchyModel]) -> list[ClusterMetrics]:
    """Evaluate cuts of one tree over all customers. Runs two jobs."""
    grouped = with_nearest_prototype(data.points, data.inputs, cuts[0].micro.prototypes, name="_prototype")
    return evaluate_groups(grouped, data.inputs, "_prototype", [cut.labels_ for cut in cuts])
