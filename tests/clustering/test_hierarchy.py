"""Micro-clusters, Ward's tree and its cuts against NumPy and SciPy."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy.cluster.hierarchy import fcluster, is_valid_linkage, linkage
from sklearn.metrics import adjusted_rand_score

from customer_segmentation.clustering import AgglomerativeClustering, HierarchyModel
from customer_segmentation.clustering.hierarchy.micro import MicroClusters, place_prototypes
from customer_segmentation.clustering.hierarchy.ward import clusters_within, labels, ward
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.preparation import identity_preparation
from tests.clustering.test_clustering import as_frame, blobs


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = len({*zip(first.tolist(), second.tolist(), strict=True)})
    return pairs == len(set(first.tolist())) == len(set(second.tolist()))


def random_points(seed: int) -> np.ndarray:
    """Points of random number, dimension and scales."""
    generator = np.random.default_rng(seed)
    n, d = generator.integers(2, 60), generator.integers(1, 6)
    return generator.normal(size=(n, d)) * generator.lognormal(size=d)


def fitted(points: np.ndarray, k: int, **more: object) -> HierarchyModel:
    """A model whose micro-clusters are these points, made without Spark."""
    micro = MicroClusters(points, points, np.ones(len(points)), np.zeros(len(points)))
    names = [f"x{j}" for j in range(points.shape[1])]
    ids = tuple(range(1, k + 1))
    tree = ward(points, np.ones(len(points)))
    return HierarchyModel("agglomerative", identity_preparation(names), ids, micro, tree, 3.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(60))
def test_the_tree_of_single_customers_is_scipys(seed: int) -> None:
    points = random_points(seed)

    ours, theirs = ward(points, np.ones(len(points))), linkage(points, "ward")

    assert is_valid_linkage(ours)
    assert ours[:, [0, 1, 3]].tolist() == theirs[:, [0, 1, 3]].tolist(), f"seed {seed}"
    assert ours[:, 2] == pytest.approx(theirs[:, 2], rel=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_a_weight_counts_as_that_many_equal_customers_at_every_cut(seed: int) -> None:
    points = random_points(seed)
    weights = np.random.default_rng(seed).integers(1, 6, size=len(points))

    ours, theirs = ward(points, weights), linkage(np.repeat(points, weights, axis=0), "ward")

    assert ours[:, 2] == pytest.approx(theirs[-len(ours) :, 2], rel=1e-9), f"seed {seed}"
    assert ours[-1, 3] == weights.sum()
    for k in range(1, len(points) + 1):
        assert same_partition(np.repeat(labels(ours, k), weights), fcluster(theirs, k, "maxclust")), f"seed {seed}, {k}"


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_at_a_distance_is_scipys(seed: int) -> None:
    points = random_points(seed)
    tree = linkage(points, "ward")

    for distance in [0.0, *tree[:, 2], *(tree[:, 2] * 1.01), tree[-1, 2] * 2]:
        within = clusters_within(tree, distance)
        assert same_partition(labels(tree, within), fcluster(tree, distance, "distance")), f"seed {seed}, {distance}"


def test_equal_points_merge_first_at_distance_zero() -> None:
    points = np.array([[0.0], [5.0], [0.0], [5.0], [9.0]])

    tree = ward(points, np.ones(5))

    assert tree[:2, 2].tolist() == [0.0, 0.0]
    assert same_partition(labels(tree, 3), np.array([0, 1, 0, 1, 2]))


def quantised(points: np.ndarray, prototypes: np.ndarray) -> float:
    """Mean squared distance of the points to the nearest site."""
    return float(((points[:, None] - prototypes[None]) ** 2).sum(axis=2).min(axis=1).mean())


def test_sites_are_the_different_points_where_these_are_few_and_else_as_many_as_asked() -> None:
    generator = np.random.default_rng(3)
    few = generator.integers(0, 3, size=(500, 2)).astype(float)
    many = generator.normal(size=(3000, 3))

    assert place_prototypes(few, 20).tolist() == np.unique(few, axis=0).tolist()
    prototypes = place_prototypes(many, 200)
    assert 190 <= len(prototypes) <= 200
    assert prototypes.tolist() == place_prototypes(generator.permutation(many), 200).tolist()
    by_chance = generator.choice(many, 200, replace=False)
    assert quantised(many, prototypes) < 0.8 * quantised(many, by_chance)


def test_with_few_customers_the_fit_is_scipys_ward(spark: SparkSession) -> None:
    points = np.random.default_rng(5).normal(size=(150, 3))
    points[100:] = points[:50]  # each of these twice
    frame = as_frame(spark, points)

    model = AgglomerativeClustering(5).fit(frame, columns=["x0", "x1", "x2"])
    assigned = model.assign(frame).toPandas().sort_values("customer_id")

    theirs = linkage(points, "ward")
    assert model.linkage_[:, 2] == pytest.approx(theirs[-99:, 2], rel=1e-9)
    assert model.compression_loss_ == 0.0
    assert same_partition(assigned.segment_id.to_numpy(), fcluster(theirs, 5, "maxclust"))
    assert model.sizes_.tolist() == np.bincount(assigned.segment_id)[1:].tolist()
    centers = np.stack([points[assigned.segment_id == i].mean(axis=0) for i in model.segment_ids])
    assert model.segment_centers == pytest.approx(centers)
    assert centers.tolist() == sorted(centers.tolist())  # numbered in the order of the coordinates
    assert model.cost_ == pytest.approx(((points - centers[assigned.segment_id - 1]) ** 2).sum())


def test_micro_clusters_count_all_rows_and_an_assignment_equals_numpy(spark: SparkSession) -> None:
    points, truth = blobs(7, k=5, per=200)
    frame = as_frame(spark, points)

    model = AgglomerativeClustering(5, micro_clusters=40, macro_k=2, bootstraps=0).fit(
        frame, columns=["x0", "x1", "x2"]
    )
    rows = model.assign(frame).toPandas().sort_values("customer_id")

    micro, position = model.micro, model.labels_
    distance = np.sqrt(((points[:, None] - micro.prototypes[None]) ** 2).sum(axis=2))
    site = distance.argmin(axis=1)
    count = len(micro.prototypes)
    means = np.stack([points[site == i].mean(axis=0) for i in range(count)])
    assert micro.weights.tolist() == np.bincount(site, minlength=count).tolist()
    assert micro.means == pytest.approx(means, abs=1e-9)
    within = np.bincount(site, ((points - means[site]) ** 2).sum(axis=1))
    assert micro.squares == pytest.approx(within, abs=1e-5)
    assert model.compression_loss_ == pytest.approx(within.sum() / ((points - points.mean(axis=0)) ** 2).sum())

    assert adjusted_rand_score(truth, rows.segment_id) == 1.0
    best = position[site]
    by_segment = np.stack([distance[:, position == i].min(axis=1) for i in range(5)], axis=1)
    nearest, second = np.sort(by_segment, axis=1)[:, :2].T
    assert rows.segment_id.tolist() == (best + 1).tolist()
    assert rows.second_segment_id.tolist() == (by_segment.argsort(axis=1)[:, 1] + 1).tolist()
    assert rows.confidence.to_numpy() == pytest.approx(1 - nearest / second)
    away = np.sqrt(((points - model.centers_[best]) ** 2).sum(axis=1))
    radii = np.array([np.sqrt((away[best == i] ** 2).mean()) for i in range(5)])
    assert model.radii_ == pytest.approx(radii)
    assert rows.is_outlier.tolist() == (away > 3 * radii[best]).tolist()
    assert rows.macro_segment_id.tolist() == [model.macro_segments_[i] for i in rows.segment_id]
    assert set(rows.macro_segment_id) == {1, 2}


@pytest.mark.slow
def test_a_fit_does_not_depend_on_how_the_rows_lie(spark: SparkSession) -> None:
    frame = as_frame(spark, np.random.default_rng(8).normal(size=(1200, 2)))
    estimator = AgglomerativeClustering(4, micro_clusters=30)  # a sample of about half of the customers

    models = [estimator.fit(f, columns=["x0", "x1"]) for f in (frame, frame.repartition(5), frame.orderBy("x1"))]

    assert models[0].to_json() == models[1].to_json() == models[2].to_json()


def test_cuts_of_a_tree_are_nested() -> None:
    model = fitted(np.random.default_rng(9).normal(size=(50, 3)), 8, macro_k=3)

    coarse = model.cut(3)

    assert coarse.k == 3
    assert len({*zip(model.labels_.tolist(), coarse.labels_.tolist(), strict=True)}) == 8
    assert model.cut(8, macro_k=3).to_json() == model.to_json()
    assert model.cut(distance=model.linkage_[-3, 2]).k == 3
    assert model.cut(1).cost_ == pytest.approx(((model.micro.means - model.micro.means.mean(axis=0)) ** 2).sum())
    assert [model.macro_segments_[i + 1] - 1 for i in model.labels_] == coarse.labels_.tolist()


@pytest.mark.parametrize(
    "arguments", [{}, {"k": 2, "distance": 1.0}, {"k": 0}, {"k": 51}, {"k": 3, "macro_k": 4}, {"k": 3, "macro_k": 0}]
)
def test_a_cut_that_there_is_not_is_rejected(arguments: dict) -> None:
    with pytest.raises(ConfigurationError, match="cut"):
        fitted(np.random.default_rng(9).normal(size=(50, 2)), 4).cut(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "either k or distance_threshold"),
        ({"k": 3, "distance_threshold": 1.0}, "either k or distance_threshold"),
        ({"k": 1}, "k must be"),
        ({"k": 30, "micro_clusters": 20}, "micro_clusters = 20"),
        ({"k": 3, "macro_k": 4}, "macro_k must be"),
        ({"k": 3, "micro_clusters": 1.5}, "micro_clusters must be"),
        ({"distance_threshold": -1.0}, "distance_threshold must be"),
        ({"k": 3, "outlier_share": "few"}, "outlier_share must be"),
    ],
)
def test_wrong_parameters_are_rejected_before_any_job_runs(arguments: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        AgglomerativeClustering(**arguments).fit(None, columns=["x0"])  # type: ignore[arg-type] # no frame is touched


def test_fewer_different_customers_than_segments_are_rejected(frame: Callable[..., DataFrame]) -> None:
    data = frame([(f"C{i}", float(i % 3)) for i in range(30)], "customer_id string, x double")

    with pytest.raises(DataRejectedError, match="only 3 different values in x"):
        AgglomerativeClustering(4).fit(data, columns=["x"])
    assert AgglomerativeClustering(distance_threshold=0.5).fit(data, columns=["x"]).k == 3
    with pytest.raises(DataRejectedError, match="only 3 different"):
        AgglomerativeClustering(distance_threshold=0.5, macro_k=5).fit(data, columns=["x"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("sites"),
        lambda data: data["sites"].pop(),
        lambda data: data["weights"].__setitem__(0, 0),
        lambda data: data["means"][0].__setitem__(0, "far"),
        lambda data: data["linkage"][3].__setitem__(0, data["linkage"][4][0]),
        lambda data: data["linkage"][3].__setitem__(2, 1e9),
        lambda data: data["linkage"].__setitem__(0, data["linkage"][-1]),
        lambda data: data.update(macro_k=9),
        lambda data: data.update(segment_ids=list(range(100))),
        lambda data: data.update(algorithm="kmeans"),
        lambda data: data.update(outlier_distance=None),
    ],
)
def test_a_damaged_model_is_rejected(damage: Callable[[dict], None]) -> None:
    model = fitted(np.random.default_rng(2).normal(size=(20, 2)), 4, macro_k=2)
    data = json.loads(model.to_json())
    assert HierarchyModel.from_json(json.dumps(data)).to_json() == model.to_json()
    damage(data)

    with pytest.raises(ConfigurationError, match="not a segmentation model"):
        HierarchyModel.from_json(json.dumps(data))
