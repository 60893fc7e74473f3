"""Segments of a new model that are those of the one before: matching, ids, lineage, and fits that stay near.

Nothing here needs Spark; `test_retraining` goes the whole way.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.gaussian_mixture.training import carried_over
from customer_segmentation.clustering.hierarchy.micro import MicroClusters
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.hierarchy.training import follow_tree
from customer_segmentation.clustering.hierarchy.ward import labels, ward
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.kmeans.refinement import centers_within
from customer_segmentation.clustering.matching import MIN_JACCARD, Overlap, kept_ids, matches
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection.metrics import Partition, Sums
from customer_segmentation.clustering.selection.stability import jaccard
from customer_segmentation.config.schema import Clustering
from customer_segmentation.insight.lineage import describe_lineage, lineage
from customer_segmentation.preparation import PreparationModel, identity_preparation
from customer_segmentation.preparation.columns import OneHotFeature, PreparedFeature
from customer_segmentation.preparation.pca import PCA
from customer_segmentation.preparation.rounding import rounded

PLANE = identity_preparation(["x", "y"])


def centroid_model(points: np.ndarray, k: int) -> CentroidModel:
    fitted = KMeans(k, n_init=10, random_state=0).fit(points)
    centers, labels = fitted.cluster_centers_, fitted.labels_
    radii = tuple(float(np.sqrt(((points[labels == i] - centers[i]) ** 2).sum(axis=1).mean())) for i in range(k))
    return CentroidModel("kmeans", PLANE, tuple(range(1, k + 1)), centers, radii, 3.0, float(fitted.inertia_))


def mixture_model(points: np.ndarray, k: int) -> MixtureModel:
    fitted = GaussianMixture(k, n_init=5, random_state=0).fit(points)
    parts = (fitted.weights_, fitted.means_, fitted.covariances_)
    return MixtureModel("gaussian_mixture", PLANE, tuple(range(1, k + 1)), *parts, 0.999, 0.0)


def tree_model(points: np.ndarray, k: int) -> HierarchyModel:
    ones = np.ones(len(points))
    micro = MicroClusters(points, points, ones, 0 * ones)
    return HierarchyModel("agglomerative", PLANE, tuple(range(1, k + 1)), micro, ward(points, ones), 3.0)


def overlap_on(points: np.ndarray, previous: SegmentationModel, model: SegmentationModel) -> Overlap:
    """What `matching.overlap` counts, by NumPy: newcomers are those far from the segment that they are nearest to."""
    before, after = (each.labels(points) for each in (previous, model))  # type: ignore[attr-defined]
    away = np.sqrt(((points - previous.segment_centers[before]) ** 2).sum(axis=1))
    counts, newcomers = np.zeros((previous.k + 1, model.k + 1)), np.zeros(model.k + 1)
    is_new = away > 5
    np.add.at(counts, (before[~is_new], after[~is_new]), 1)
    np.add.at(newcomers, after[is_new], 1)
    distances = np.sqrt(((previous.segment_centers[:, None] - model.segment_centers[None]) ** 2).sum(axis=2))
    return Overlap(previous.segment_ids, model.segment_ids, counts, newcomers, distances)


def events_of(points: np.ndarray, previous: SegmentationModel, model: SegmentationModel) -> list[dict]:
    shared = overlap_on(points, previous, model)
    ids = kept_ids(model.segment_ids, matches(shared), highest=max(previous.segment_ids))
    return lineage(replace(shared, ids=ids))


def group(x: float, y: float, size: int = 150, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal([x, y], scale=0.6, size=(size, 2))


A, B, C, D = (group(*place, seed=i) for i, place in enumerate([(0, 0), (10, 0), (0, 10), (10, 10)]))
HALVES = np.vstack([group(-1.9, 0, seed=11), group(1.9, 0, seed=12)])  # of a segment that had been A
BETWEEN = np.vstack([group(11.6, 0, seed=13), group(12.0, 0, seed=14)])  # those of B, and of another near B
BESIDE_B = group(13.6, 0, seed=15)
FAR = group(25, 25, size=120, seed=16)


@pytest.mark.parametrize("fit", [centroid_model, mixture_model, tree_model])
@pytest.mark.parametrize(
    ("before", "k_before", "after", "k_after", "events"),
    [
        ([A, B, C], 3, [A + 0.2, B, C], 3, {"kept": 3}),
        ([A, B, C], 3, [HALVES, B, C], 4, {"split": 2, "kept": 2}),
        ([A, B, BESIDE_B], 3, [A, BETWEEN], 2, {"merged": 2, "kept": 1}),
        ([A, B, C], 3, [A, B, C, FAR], 4, {"born": 1, "kept": 3}),
        ([A, B, C, D], 4, [A, B, C], 3, {"ended": 1, "kept": 3}),
        ([A, B, C, D], 4, [HALVES, B, C, FAR], 5, {"split": 2, "born": 1, "ended": 1, "kept": 2}),
    ],
    ids=["none", "split", "merge", "birth", "death", "all at once"],
)
def test_planted_events_are_told_by_any_algorithm(
    fit: Callable[[np.ndarray, int], SegmentationModel],
    before: list[np.ndarray],
    k_before: int,
    after: list[np.ndarray],
    k_after: int,
    events: dict[str, int],
) -> None:
    today = np.vstack(after)

    rows = events_of(today, fit(np.vstack(before), k_before), fit(today, k_after))

    assert {name: sum(row["event"] == name for row in rows) for name in events} == events
    assert len(rows) == sum(events.values())
    assert {row["segment_id"] for row in rows if row["event"] == "ended"} <= {None}
    assert {row["previous_segment_id"] for row in rows if row["event"] == "born"} <= {None}
    for event, column in (("split", "previous_segment_id"), ("merged", "segment_id")):
        assert len({row[column] for row in rows if row["event"] == event}) == (event in events)
    for row in rows:
        assert row["event"] != "kept" or row["segment_id"] == row["previous_segment_id"]
        assert row["event"] != "born" or (row["segment_id"] > k_before and row["customers"] == len(FAR))


def counted(rows: list[list[int]], **more: object) -> Overlap:
    """Overlap of these counts, customers without segment added as none; ids from 1."""
    counts = np.pad(np.array(rows, dtype=float), ((0, 1), (0, 1)))
    previous, later = counts.shape[0] - 1, counts.shape[1] - 1
    return Overlap(tuple(range(1, previous + 1)), tuple(range(1, later + 1)), counts, counts[-1], **more)  # type: ignore[arg-type]


def test_two_segments_are_one_where_they_share_half_of_their_customers() -> None:
    assert matches(counted([[60, 39], [0, 100]])) == {1: 1, 2: 2}
    assert matches(counted([[49, 51], [0, 100]])) == {2: 2}
    assert matches(counted([[50, 50]], distances=np.array([[2.0, 1.0]]))) == {2: 1}  # of two halves the nearer one
    assert matches(counted([[50], [50]], distances=np.array([[1.0], [2.0]]))) == {1: 1}
    assert matches(counted([[0, 0], [3, 4]])) == {2: 2}  # a segment that nobody is in any more is none


def test_the_matching_shares_the_most_of_all() -> None:
    print("seed 3")
    draws = np.random.default_rng(3)
    for _ in range(50):
        k = int(draws.integers(2, 6))
        labels = draws.integers(k, size=(2, 400))
        is_same = draws.uniform(size=400) < draws.uniform(0.3, 0.9)
        labels[1] = np.where(is_same, draws.permutation(k)[labels[0]], labels[1])
        rows = np.zeros((k, k))
        np.add.at(rows, tuple(labels), 1)
        indices = jaccard(rows)
        enough = np.where(indices >= MIN_JACCARD, indices, 0.0)

        found = matches(counted(rows.tolist()))

        best = max(sum(enough[i, j] for i, j in enumerate(order)) for order in permutations(range(k)))
        assert sum(indices[before - 1, after - 1] for after, before in found.items()) == pytest.approx(best)
        assert len(set(found.values())) == len(found)


def test_the_same_segments_keep_all_their_ids_whatever_their_order() -> None:
    print("seed 4")
    draws = np.random.default_rng(4)
    for _ in range(20):
        k = int(draws.integers(1, 9))
        order, old_ids = draws.permutation(k), tuple(draws.permutation(40)[:k] + 1)
        counts = np.pad(np.diag(draws.integers(1, 99, size=k)).astype(float)[:, order], ((0, 1), (0, 1)))
        shared = Overlap(old_ids, tuple(range(1, k + 1)), counts, counts[-1])

        ids = kept_ids(shared.ids, matches(shared), highest=40)

        assert ids == tuple(np.array(old_ids)[order])
        assert {row["event"] for row in lineage(replace(shared, ids=ids))} == {"kept"}


def test_an_id_is_never_used_again() -> None:
    print("seed 5")
    draws = np.random.default_rng(5)
    labels, ids, highest = draws.integers(4, size=500), (1, 2, 3, 4), 4
    retired: set[int] = set()
    for _ in range(30):
        k = int(draws.integers(2, 7))
        later = np.where(draws.uniform(size=500) < 0.7, labels % k, draws.integers(k, size=500))
        counts = np.zeros((len(ids) + 1, k + 1))
        np.add.at(counts, (labels, later), 1)
        shared = Overlap(ids, tuple(range(1, k + 1)), counts, counts[-1])

        new = kept_ids(shared.ids, matches(shared), highest=highest)

        assert len(set(new)) == k
        assert not retired & set(new)
        assert all(segment in ids or segment > highest for segment in new)
        retired |= set(ids) - set(new)
        labels, ids, highest = later, new, max(highest, *new)
    assert len(retired) > 20


def test_every_segment_of_both_models_has_a_row_in_the_lineage() -> None:
    print("seed 6")
    draws = np.random.default_rng(6)
    for _ in range(200):
        shape = draws.integers(2, 7, size=2)
        counts = np.floor(draws.exponential(20, size=shape) * (draws.uniform(size=shape) < 0.4))
        shared = Overlap(tuple(range(1, shape[0])), tuple(range(1, shape[1])), counts, counts[-1])
        ids = kept_ids(shared.ids, matches(shared), highest=9)

        rows = lineage(replace(shared, ids=ids))

        assert {row["segment_id"] for row in rows} - {None} == set(ids)
        assert {row["previous_segment_id"] for row in rows} - {None} == set(shared.previous_ids)
        assert len({(row["segment_id"], row["previous_segment_id"]) for row in rows}) == len(rows)
        for segment in set(ids) & set(shared.previous_ids):
            assert any(row["segment_id"] == row["previous_segment_id"] == segment for row in rows)
        for name, column in (("split", "previous_segment_id"), ("merged", "segment_id")):
            several = [row[column] for row in rows if row["event"] == name]
            assert all(several.count(segment) > 1 or shape.min() > 2 for segment in several)


def test_the_lineage_is_told_in_words() -> None:
    rows = lineage(replace(counted([[50, 50, 0, 0], [0, 0, 80, 0], [0, 0, 0, 0]]), ids=(4, 5, 2, 6)))

    assert describe_lineage(rows) == "1 kept, 1 split, 1 new, 1 gone"


def measure(points: np.ndarray) -> Callable[[list[Partition]], list[Sums]]:
    """What a pass over the points sums, by NumPy."""

    def sums(partition: Partition) -> Sums:
        squared = ((points[:, None] - partition.centers[None]) ** 2).sum(axis=2)
        member = squared.argmin(axis=1)[:, None] == np.arange(partition.k)
        norms = (points**2).sum(axis=1)
        return Sums(member.sum(axis=0), member.T @ points, member.T @ norms, float(squared.min(axis=1).sum()))

    return lambda partitions: [sums(partition) for partition in partitions]


def test_centres_that_are_good_enough_stay_as_they_are() -> None:
    points = np.vstack([A, B, C])
    model = centroid_model(points, 3)
    start = rounded(model.centers_ + 0.01)

    found = centers_within(measure(points), start, model.centers_, limit=1.005 * model.cost_, passes=50)

    assert found is not None
    assert sorted(found[0].tolist()) == sorted(start.tolist())
    assert found[2] == pytest.approx(((points[:, None] - start) ** 2).sum(axis=2).min(axis=1).sum())


def test_centres_move_no_further_than_the_cost_asks_for() -> None:
    print("seed 7")
    draws = np.random.default_rng(7)
    for _ in range(20):
        points = draws.normal(size=(600, 3)) * [3, 2, 1]
        start = draws.normal(size=(4, 3))
        target = KMeans(4, n_init=5, random_state=0).fit(points)
        limit = 1.005 * target.inertia_

        found = centers_within(measure(points), start, target.cluster_centers_, limit=limit, passes=50)

        if found is not None:
            centers, radii, cost = found
            squared = ((points[:, None] - centers[None]) ** 2).sum(axis=2)
            labels = squared.argmin(axis=1)
            assert cost == pytest.approx(squared.min(axis=1).sum())
            assert cost <= limit
            assert radii == pytest.approx([np.sqrt(squared[labels == i, i].mean()) for i in range(4)])


def test_the_last_pass_goes_only_as_far_as_the_cost_asks_for() -> None:
    points = np.vstack([A, B])
    best = np.stack([A.mean(axis=0), B.mean(axis=0)])
    start = best + np.array([[0.0, 2], [0, -2]])  # of the same points, so that one pass goes all the way
    limit = 1.2 * float(((points[:, None] - best) ** 2).sum(axis=2).min(axis=1).sum())

    found = centers_within(measure(points), start, best, limit=limit, passes=50)

    assert found is not None
    order = np.lexsort(found[0].T[::-1])
    covered = (found[0][order] - start[np.lexsort(start.T[::-1])])[:, 1] / [-2, 2]
    assert covered == pytest.approx([covered[0], covered[0]], abs=1e-6)
    assert 0 < covered[0] < 1
    shorter = start + (covered[0] - 1 / 20) * (best - start)
    assert found[2] <= limit < ((points[:, None] - shorter) ** 2).sum(axis=2).min(axis=1).sum()


def test_centres_that_nobody_is_near_are_no_result() -> None:
    points = np.vstack([A, B])
    start = np.array([[0.0, 0], [10, 0], [500, 500]])

    found = centers_within(measure(points), start, np.array([[0.0, 0], [9, 0], [11, 0]]), limit=1e9, passes=50)

    assert found is None


def drifting(month: int, seed: int) -> np.ndarray:
    """Five groups of customers on their way, the same customers every month."""
    draws = np.random.default_rng(seed)
    middles, ways = draws.normal(scale=4, size=(5, 4)), draws.normal(scale=0.12, size=(5, 4))
    own = np.repeat(middles, 200, axis=0) + draws.normal(size=(1000, 4))
    steps = np.random.default_rng([seed, 1]).normal(scale=0.15, size=(month + 1, 1000, 4))[1:].sum(axis=0)
    return own + month * np.repeat(ways, 200, axis=0) + steps


def test_a_tree_merges_what_belongs_together_first() -> None:
    print("seed 10")
    draws = np.random.default_rng(10)
    for _ in range(20):
        points, weights = draws.normal(size=(40, 2)), draws.integers(1, 9, size=40).astype(float)
        groups = draws.permutation(np.arange(40) % 6)

        tree, free = ward(points, weights, groups), ward(points, weights)

        assert (np.diff(tree[:, 2]) >= 0).all()
        assert sorted(tree[:, :2].ravel()) == list(range(78))
        assert tree[-1, 3] == weights.sum()
        assert adjusted_rand_score(labels(tree, 6), groups) == 1
        assert ward(points, weights, labels(free, 6)) == pytest.approx(free)  # its own cut changes nothing


NO_DATA: Any = None
"""What a tree's follower needs of a training's data."""


def test_a_tree_follows_the_one_before_at_little_cost() -> None:
    print("seed 11")
    draws = np.random.default_rng(11)
    followed = 0
    for _ in range(20):
        points = draws.normal(size=(300, 2)) * [3, 1]
        incumbent = tree_model(points, 5)
        independent = tree_model(points + draws.normal(scale=0.1, size=points.shape), 5)

        model = follow_tree(NO_DATA, incumbent, independent, Clustering())

        if model is not None:
            followed += 1
            assert model.cost_ <= 1.005 * independent.cost_
            assert model.k == 5
        same = follow_tree(NO_DATA, incumbent, incumbent, Clustering())
        assert same is not None
        assert same.labels_.tolist() == incumbent.labels_.tolist()
    assert followed >= 15


class Month(NamedTuple):
    points: np.ndarray
    prepared: np.ndarray
    model: CentroidModel

    @property
    def segments(self) -> np.ndarray:
        return np.array(self.model.segment_ids)[self.model.labels(self.prepared)]


@pytest.mark.parametrize("seed", range(5))
def test_customers_of_a_drifting_shop_keep_their_segments_from_month_to_month(seed: int) -> None:
    print(f"seed {seed}")
    before: Month | None = None
    for month in range(7):
        points = drifting(month, seed)
        units = list(zip("abcd", points.mean(axis=0), points.std(axis=0), strict=True))
        preparation = PreparationModel(tuple(PreparedFeature(name, False, m, s, 1.0) for name, m, s in units), {})
        prepared = (points - points.mean(axis=0)) / points.std(axis=0)
        independent = KMeans(5, n_init=5, random_state=month).fit(prepared)
        centers, ids, limit = independent.cluster_centers_, (1, 2, 3, 4, 5), 1.005 * independent.inertia_
        if before is not None:
            start = before.model.centers_in(preparation)
            found = centers_within(measure(prepared), start, centers, limit=limit, passes=50)
            assert found is not None
            centers, _, cost = found
            assert cost <= limit
            counts = np.zeros((6, 6))
            shift = np.array([f.transform(0.0) for f in before.model.preparation.features_])
            scale = np.array([f.transform(1.0) for f in before.model.preparation.features_]) - shift
            np.add.at(counts, (before.model.labels(points * scale + shift), Partition(centers).labels(prepared)), 1)
            shared = Overlap(before.model.segment_ids, ids, counts, counts[-1])
            ids = kept_ids(ids, matches(shared), highest=5)
            assert set(ids) == {1, 2, 3, 4, 5}
        now = Month(points, prepared, CentroidModel("kmeans", preparation, ids, centers, (1.0,) * 5, 3.0, limit))
        if before is not None:
            moved = np.sqrt(((points - before.points) ** 2).sum(axis=1))
            kept = now.segments == before.segments
            assert kept.mean() >= 0.85
            assert kept[moved < np.quantile(moved, 0.25)].mean() >= 0.95
        before = now


PREPARED = PreparationModel(
    (
        PreparedFeature("plain", False, 3.0, 2.0, 1.0),
        PreparedFeature("log", True, 1.0, 0.5, 1.0, low=0.0, high=50.0),
        PreparedFeature("power", False, 0.2, 0.7, 1.0, yeo_johnson_lambda=-0.4),
        PreparedFeature("steep", False, 0.2, 0.7, 1.0, yeo_johnson_lambda=2.3),
        OneHotFeature("city=Ulm", "city", ("Ulm",), False, 1.4, 0.3),
    ),
    {},
)
ORIGINAL = {"plain": -7.5, "log": -20.0, "power": 4.0, "steep": -2.5, "city=Ulm": 0.25}


def test_a_point_in_original_units_is_prepared_and_back() -> None:
    point = PREPARED.transform_point(ORIGINAL)

    assert point[:2].tolist() == pytest.approx([(-7.5 - 3) / 2, (-np.log(21) - 1) / 0.5])
    assert PREPARED.inverse_transform(point) == pytest.approx(ORIGINAL)


def test_a_point_is_projected_where_the_preparation_keeps_some_components() -> None:
    generator = np.random.default_rng(8)
    rows = generator.normal(size=(50, 5)) @ generator.normal(size=(5, 5))
    components = PCA.fit(rows.mean(axis=0), np.cov(rows.T), variance=0.8)
    projected = PreparationModel(components.projected(PREPARED.features_), {}, components)  # type: ignore[arg-type]

    point = projected.transform_point(ORIGINAL)

    own = PREPARED.transform_point(ORIGINAL)
    parts = [
        feature.means[i] + np.dot(feature.projection, own - np.array(feature.means))
        for i, feature in enumerate(projected.features_)
    ]
    assert len(components.axes) < 5
    assert point.tolist() == pytest.approx(parts, rel=1e-6)


def test_a_mixture_is_the_same_in_other_units() -> None:
    model = mixture_model(np.vstack([A, B, C]) @ [[1.0, 0.4], [0, 1]], 3)
    doubled = PreparationModel(
        (PreparedFeature("x", False, 2.0, 0.5, 1.0), PreparedFeature("y", False, -1.0, 4.0, 1.0)), {}
    )

    same, other = carried_over(model, PLANE), carried_over(model, doubled)

    assert same.covariances is model.covariances_
    assert other.means == pytest.approx((model.means_ - [2, -1]) / [0.5, 4])
    assert other.covariances == pytest.approx(model.covariances_ / np.outer([0.5, 4], [0.5, 4]), rel=1e-6)
    assert other.weights is model.weights_


def test_a_mixture_is_nearly_the_same_by_another_transform() -> None:
    generator = np.random.default_rng(9)
    spends = np.exp(np.vstack([generator.normal(m, 0.1, size=(300, 2)) for m in (2, 3, 4)]))
    before = PreparationModel(tuple(PreparedFeature(name, True, 1.0, 1.0, 1.0) for name in "xy"), {})
    after = PreparationModel(tuple(PreparedFeature(n, False, 0.0, 1.0, 1.0, yeo_johnson_lambda=0.1) for n in "xy"), {})
    model = replace(mixture_model(np.log1p(spends) - 1, 3), preparation=before)

    other = carried_over(model, after)

    points = np.expm1(0.1 * np.log1p(spends)) / 0.1
    labels = replace(model, preparation=after, means_=other.means, covariances_=other.covariances).labels(points)
    assert (labels == model.labels(np.log1p(spends) - 1)).mean() > 0.99
