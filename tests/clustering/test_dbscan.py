"""DBSCAN against scikit-learn: the kernel, regions and merging in memory, and the whole on Spark."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy.spatial import cKDTree
from sklearn import cluster

from customer_segmentation.clustering import load_model
from customer_segmentation.clustering.dbscan import DBSCAN, DBSCANModel, model
from customer_segmentation.clustering.dbscan.eps import knee
from customer_segmentation.clustering.dbscan.kernel import Clusters, clusters, inverse_permutation
from customer_segmentation.clustering.dbscan.space import (
    SpacePartition,
    clustering_halo,
    component_roots,
    routed,
)
from customer_segmentation.clustering.dbscan.stability import BOOTSTRAPS, density_stability
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from tests.clustering.test_choice import whole
from tests.deployment.places import environment
from tests.generated import ROOT

TRIALS = 500
COLUMNS = ["a", "b", "c"]


def trial(seed: int) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Random points with weights, eps and min_samples.

    One in four lies on a lattice that doubles hold exactly, with many pairs at exactly eps; one in four on one that
    they don't. One in three has many equal points, one in five lies far from the origin.
    """
    g = np.random.default_rng(seed)
    d, n, kind = int(g.integers(1, 9)), int(g.integers(1, 300)), seed % 4
    scale = 2.0 ** g.integers(-20, 21) if kind == 1 else 10.0 ** g.integers(-6, 7)
    if kind == 0:
        points, eps = g.normal(size=(n, d)), g.uniform(0.1, 1.5) * np.sqrt(d)
    elif kind == 1:
        points, eps = g.integers(0, g.integers(2, 12), size=(n, d)).astype(float), float(g.integers(1, 4))
    elif kind == 2:
        centers = g.uniform(-9, 9, (int(g.integers(1, 8)), d))
        points = centers[g.integers(len(centers), size=n)] + g.normal(size=(n, d))
        eps = g.uniform(0.2, 1.2) * np.sqrt(d)
    else:
        points, eps = np.round(g.normal(size=(n, d)), 1), float(g.integers(1, 8)) / 10
    if seed % 3 == 0:
        points = points[g.integers(n, size=n)]
    if seed % 5 == 0:
        points = points + 1024.0
    return points * scale, g.integers(1, 4, size=n), float(eps * scale), int(g.choice([1, 2, 3, 5, 10, 20]))


def some_regions(points: np.ndarray, seed: int, cuts: int = 5) -> SpacePartition:
    """A partition of space cut anywhere, through crowds and at points too."""
    g = np.random.default_rng(seed)
    axis, cut, below, above = [], [], [], []
    for node in range(cuts):
        j = int(g.integers(points.shape[1]))
        axis.append(j)
        cut.append(float(g.choice(points[:, j]) if node % 2 else g.uniform(points[:, j].min(), points[:, j].max())))
        last = node == cuts - 1
        below.append(-1 - node if node % 2 or last else node + 1)
        above.append(node + 1 if node % 2 and not last else (-1 - node if not node % 2 and not last else -1 - cuts))
    return SpacePartition(tuple(axis), tuple(cut), tuple(below), tuple(above))


def clusters_by_region(
    regions: SpacePartition, points: np.ndarray, *, weights: np.ndarray, order: np.ndarray, eps: float, min_samples: int
) -> Clusters:
    """The clusters of all points, region by region: what the distributed fit does, in memory."""
    rows, region, home, shared = routed(regions, points, eps)
    core = np.zeros(len(points), dtype=bool)
    labels = np.full(len(points), -1, dtype=np.int64)
    pairs: list[np.ndarray] = []
    first = 0
    for current in np.unique(region):
        here = np.nonzero(region == current)[0]
        at = rows[here]
        fitted = clusters(points[at], weights=weights[at], order=order[at], eps=eps, min_samples=min_samples)
        numbered = np.where(fitted.labels >= 0, fitted.labels + first, -1)
        core[at[home[here]]], labels[at[home[here]]] = fitted.core[home[here]], numbered[home[here]]
        decides = fitted.core & shared[here]
        pairs.append(np.stack([at[decides], numbered[decides]]))
        first += int(fitted.labels.max(initial=-1)) + 1
    point, component = np.concatenate(pairs, axis=1)
    by_point = np.argsort(point, kind="stable")
    point, component = point[by_point], component[by_point]
    same = point[1:] == point[:-1]
    root = component_roots(np.arange(first), np.stack([component[1:][same], component[:-1][same]]))
    labels[labels >= 0] = root[labels[labels >= 0]]
    smallest = np.full(first, np.iinfo(np.int64).max)
    np.minimum.at(smallest, labels[core], order[core])
    number = inverse_permutation(np.argsort(smallest))
    labels[labels >= 0] = number[labels[labels >= 0]]
    return Clusters(core, labels)


def squares(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return sum((points[:, j] - point[j]) ** 2 for j in range(points.shape[1]))


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def differs(points: np.ndarray, weights: np.ndarray, eps: float, min_samples: int, found: Clusters) -> str:
    """What differs from scikit-learn's result, or a border point that is not its nearest core point's."""
    each = np.repeat(np.arange(len(points)), weights)
    reference = cluster.DBSCAN(eps=eps, min_samples=min_samples, algorithm="kd_tree").fit(points[each])
    core = np.zeros(len(each), dtype=bool)
    core[reference.core_sample_indices_] = True
    if (found.core[each] != core).any():
        return "core points"
    if ((found.labels[each] < 0) != (reference.labels_ < 0)).any():
        return "noise"
    if not same_partition(found.labels[each][core], reference.labels_[core]):
        return "partition"
    at = np.nonzero(found.core)[0]
    for border in np.nonzero(~found.core & (found.labels >= 0))[0]:
        nearest = at[np.lexsort((at, squares(points[at], points[border])))[0]]
        if found.labels[nearest] != found.labels[border]:
            return "border"
    return ""


@pytest.mark.parametrize("part", range(5))
def test_the_kernel_and_boxes_equal_scikit_learn_in_random_trials(part: int) -> None:
    mismatches, several = {}, 0
    for seed in range(part, TRIALS, 5):
        points, weights, eps, min_samples = trial(seed)
        _, first, position = np.unique(points + 0.0, axis=0, return_index=True, return_inverse=True)
        position = position.ravel()
        weight = np.bincount(position, weights).astype(np.int64)
        parameters = {"weights": weight, "order": first, "eps": eps, "min_samples": min_samples}
        at_once = clusters(points[first], **parameters)
        regions = some_regions(points, seed)
        by_region = clusters_by_region(regions, points[first], **parameters)
        several += len(np.unique(regions.region_of(points[first]))) > 1
        whole = Clusters(at_once.core[position], at_once.labels[position])
        told = differs(points, weights, eps, min_samples, whole)
        if not told and not (
            np.array_equal(at_once.core, by_region.core) and np.array_equal(at_once.labels, by_region.labels)
        ):
            told = "boxes"
        if told:
            mismatches[seed] = told
    assert mismatches == {}
    assert several > 0.6 * TRIALS / 5


def test_ties_go_to_the_smallest_id_and_pairs_at_exactly_eps_are_neighbours() -> None:
    points = np.array([[0.0], [0.0], [2.0], [4.0], [4.0], [7.0]])
    order = np.array([7, 8, 1, 2, 3, 4])
    weights = np.ones(6, dtype=np.int64)

    found = clusters(points, weights=weights, order=order, eps=2.0, min_samples=4)
    apart = clusters(points, weights=weights, order=order, eps=np.nextafter(2.0, 0), min_samples=2)

    assert found.core.tolist() == [False, False, True, False, False, False]
    assert found.labels.tolist() == [0, 0, 0, 0, 0, -1]
    assert apart.labels.tolist() == [1, 1, -1, 0, 0, -1]  # numbered by the smallest order of a core point


def test_a_border_point_between_two_clusters_takes_the_one_with_the_smaller_id() -> None:
    points = np.array([[-1.0, 0], [-1.25, 0], [-1.5, 0], [0, 0], [1.0, 0], [1.25, 0], [1.5, 0]])
    weights = np.ones(7, dtype=np.int64)
    for order in (np.arange(7), np.arange(7)[::-1]):
        found = clusters(points, weights=weights, order=order, eps=1.0, min_samples=4)
        assert found.core.tolist() == [True, False, False, False, True, False, False]
        assert found.labels[3] == found.labels[np.argmin(np.where(found.core, order, 99))]


@pytest.mark.parametrize("min_samples", [1, 2, 10])
def test_many_points_where_components_meet_equal_scikit_learn(min_samples: int) -> None:
    g = np.random.default_rng(8)
    rings = np.concatenate([r * np.exp(2j * np.pi * g.uniform(size=1500)) for r in (1.0, 1.6, 2.2)])
    points = np.stack([rings.real, rings.imag], axis=1) + g.normal(0, 0.04, (4500, 2))
    weights = np.ones(len(points), dtype=np.int64)
    for eps in (0.02, 0.1, 0.4, 5.0):
        found = clusters(points, weights=weights, order=np.arange(4500), eps=eps, min_samples=min_samples)
        assert differs(points, weights, eps, min_samples, found) == ""


def test_boxes_are_even_and_cut_through_gaps() -> None:
    g = np.random.default_rng(3)
    points = np.concatenate([g.uniform(0, 1, (1000, 2)) + np.array([3 * i, 0]) for i in range(4)])

    regions = SpacePartition.cut_evenly(points, halo=clustering_halo(0.2), max_points=1000)

    assert np.bincount(regions.region_of(points)).tolist() == [1000] * 4
    assert len(regions.regions_within(points, clustering_halo(0.2))[0]) == len(points)  # no point is in two regions
    assert SpacePartition.from_dict(json.loads(json.dumps(regions.to_dict()))) == regions
    assert (
        SpacePartition.cut_evenly(points, halo=clustering_halo(20.0), max_points=10).count == 1
    )  # cuts can't make it less


def test_the_knee_is_where_the_distances_turn_upwards() -> None:
    flat, steep = np.linspace(1.0, 1.5, 90), np.linspace(1.5, 9.0, 11)[1:]

    assert knee(np.concatenate([flat, steep])) == pytest.approx(1.5, abs=0.02)
    assert knee(np.array([2.0, 2.0])) == 2.0


@pytest.mark.parametrize(
    ("estimator", "arguments", "said"),
    [
        (DBSCAN(eps=0), {"columns": ["x"]}, "eps must be a finite number above 0"),
        (DBSCAN(eps=float("nan")), {"columns": ["x"]}, "eps"),
        (DBSCAN(eps=True), {"columns": ["x"]}, "eps"),
        (DBSCAN(eps="knee"), {"columns": ["x"]}, "'knee'"),
        (DBSCAN(min_samples=0), {"columns": ["x"]}, "min_samples"),
        (DBSCAN(min_samples=2.0), {"columns": ["x"]}, "min_samples"),
        (DBSCAN(max_driver_points=-1), {"columns": ["x"]}, "max_driver_points"),
        (DBSCAN(points_per_region=0), {"columns": ["x"]}, "points_per_region"),
        (DBSCAN(), {}, "either columns or a preparation"),
        (DBSCAN(), {"columns": []}, "at least one feature"),
    ],
)
def test_wrong_parameters_are_rejected_before_any_job_runs(estimator: DBSCAN, arguments: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        estimator.fit(None, **arguments)  # no frame is touched


def customers(n: int = 2500) -> pd.DataFrame:
    """Blobs and noise on a lattice of tenths, with equal customers."""
    g = np.random.default_rng(17)
    centers = g.uniform(-6, 6, (6, 3))
    points = centers[g.integers(6, size=n)] + g.normal(0, 0.7, (n, 3))
    points[: n // 10] = g.uniform(-9, 9, (n // 10, 3))
    table = pd.DataFrame(np.round(points, 1)[g.integers(n, size=n)] + 0.0, columns=COLUMNS)
    table.insert(0, "customer_id", [f"C{i:05d}" for i in g.permutation(n)])
    return table.sort_values("customer_id", ignore_index=True)


EPS, MIN_SAMPLES = 0.7, 10


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return customers()


@pytest.fixture(scope="module")
def frame_(spark: SparkSession, table: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(table)


@pytest.fixture(scope="module")
def fitted(frame_: DataFrame) -> DBSCANModel:
    return DBSCAN(EPS, MIN_SAMPLES, max_driver_points=0, points_per_region=900).fit(frame_, columns=COLUMNS)


def test_a_fit_in_boxes_gives_all_customers_what_scikit_learn_does(
    frame_: DataFrame, table: pd.DataFrame, fitted: DBSCANModel
) -> None:
    points = table[COLUMNS].to_numpy()
    reference = cluster.DBSCAN(eps=EPS, min_samples=MIN_SAMPLES).fit(points)
    core = reference.core_sample_indices_

    rows = replace(fitted, calibration=None).assign(frame_).toPandas().sort_values("customer_id")

    segments = rows.segment_id.to_numpy()
    assert fitted.regions_.count > 1
    assert ((segments < 0) == (reference.labels_ < 0)).all()
    assert same_partition(segments[core], reference.labels_[core])
    assert fitted.segment_ids == tuple(range(1, reference.labels_.max() + 2))
    assert fitted.sizes_ == tuple(sorted(np.bincount(reference.labels_[core]), reverse=True))
    assert rows.is_outlier.tolist() == (segments < 0).tolist()
    apart = np.array([np.sqrt(squares(points[core], point).min()) for point in points])
    assert rows.confidence.to_numpy() == pytest.approx(np.where(segments < 0, 0, 1 - apart / EPS), abs=1e-12)
    nearest = [core[np.lexsort((core, squares(points[core], point)))[0]] for point in points]
    assert (segments[segments > 0] == segments[nearest][segments > 0]).all()


def test_reasons_are_given_between_the_centres_and_noise_has_none(
    frame_: DataFrame, table: pd.DataFrame, fitted: DBSCANModel
) -> None:
    core = fitted.core_points_.toPandas()
    weights = table.groupby(COLUMNS).size()

    rows = fitted.assign(frame_).toPandas()

    assert not {"_id", "customer_id"} & set(core)
    for segment, center in zip(fitted.segment_ids, fitted.centers_, strict=True):
        points = core[core._segment == segment][["_x0", "_x1", "_x2"]].to_numpy()
        here = [weights[tuple(point)] for point in points]
        assert center == pytest.approx(np.average(points, axis=0, weights=here))
    away = ((rows[COLUMNS].to_numpy()[:, None] - fitted.centers_) ** 2).sum(axis=2)
    noise = rows.segment_id.to_numpy() < 0
    away[np.flatnonzero(~noise), rows.segment_id[~noise] - 1] = np.inf
    assert rows.second_segment_id.tolist() == (away.argmin(axis=1) + 1).tolist()
    assert not any(len(drivers) for drivers in rows.drivers[noise])
    assert np.mean([len(drivers) > 0 for drivers in rows.drivers[~noise]]) > 0.9
    assert fitted.labels(rows[COLUMNS].to_numpy()).tolist() == [max(segment - 1, -1) for segment in rows.segment_id]


def test_reasons_that_nobody_asks_for_are_not_worked_out(
    frame_: DataFrame, fitted: DBSCANModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assigned = fitted.assign(frame_)
    capsys.readouterr()

    assigned.select("customer_id", "segment_id").explain()
    few = capsys.readouterr().out
    assigned.explain()

    assert (few.count("EvalPython"), capsys.readouterr().out.count("EvalPython")) == (1, 2)


def test_stability_is_that_of_scikit_learns_clusters_of_customers_drawn_anew(
    table: pd.DataFrame, fitted: DBSCANModel
) -> None:
    points = table[COLUMNS].to_numpy()
    own, generator = fitted.labels(points), np.random.default_rng(3)
    overlaps = []
    for _ in range(BOOTSTRAPS):
        drawn = np.bincount(generator.integers(len(points), size=len(points)), minlength=len(points))
        here = np.flatnonzero(drawn)
        reference = cluster.DBSCAN(eps=EPS, min_samples=MIN_SAMPLES).fit(points[here], sample_weight=drawn[here])
        core = here[reference.core_sample_indices_]
        cluster_of = reference.labels_[reference.core_sample_indices_]
        apart, nearest = cKDTree(points[core]).query(points)
        label = np.where(apart <= EPS, cluster_of[nearest], -1)
        overlaps.append(
            [
                max(((own == i) & (label == j)).sum() / ((own == i) | (label == j)).sum() for j in set(cluster_of))
                for i in range(fitted.k)
            ]
        )

    found = density_stability(whole(points), fitted, 3)

    assert found is not None
    assert found.segments == pytest.approx(np.mean(overlaps, axis=0), abs=0.01)  # equally near core points
    assert 0.5 < found.rand < 1


def test_a_sample_of_the_customers_tells_nothing_of_how_dense_they_are(fitted: DBSCANModel) -> None:
    sample = Coreset(np.zeros((10, 3)), np.full(10, 5.0), 50)

    assert density_stability(sample, fitted, 1) is None


def test_segments_that_are_numbered_anew_stay_the_same_segments(frame_: DataFrame, fitted: DBSCANModel) -> None:
    other = replace(fitted, segment_ids=tuple(reversed(fitted.segment_ids)))
    number = dict(zip(fitted.segment_ids, other.segment_ids, strict=True)) | {-1: -1}

    before, after = (model.assign(frame_).orderBy("customer_id").toPandas() for model in (fitted, other))

    assert after.segment_id.tolist() == before.segment_id.map(number).tolist()
    assert after.second_segment_id.tolist() == before.second_segment_id.map(number).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("max_driver_points", [0, 1_000_000])
@pytest.mark.parametrize("columns", [["customer_id", *COLUMNS], COLUMNS])
def test_a_fit_does_not_depend_on_who_clusters_boxes_partitions_or_order(
    frame_: DataFrame, fitted: DBSCANModel, max_driver_points: int, columns: list[str]
) -> None:
    frame = frame_.select(columns).repartition(3, "b").sortWithinPartitions("a")

    other = DBSCAN(EPS, MIN_SAMPLES, max_driver_points=max_driver_points).fit(frame, columns=COLUMNS)

    assert other.regions_.count == 1
    assert other.sizes_ == fitted.sizes_
    assert (other.centers_ == fitted.centers_).all()
    assert other.calibration == fitted.calibration
    if "customer_id" in columns:
        assert other.fingerprint_ == fitted.fingerprint_


def test_new_customers_are_assigned_alike_by_task_and_by_box(
    spark: SparkSession, fitted: DBSCANModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = np.random.default_rng(5)
    new = pd.DataFrame(np.round(g.uniform(-9, 9, (400, 3)), 1), columns=COLUMNS).assign(of=[["x"]] * 400)
    new.loc[0, "a"] = np.inf
    new.loc[1, "a"] = np.nan  # counts as null, which counts as 0
    frame = spark.createDataFrame(pd.concat([new, new.iloc[:50]])).withColumnRenamed("of", "of.it")
    core = fitted.core_points_.toPandas().sort_values("_rank")
    points = core[["_x0", "_x1", "_x2"]].to_numpy()

    by_task = fitted.assign(frame).toPandas().sort_values(COLUMNS)
    monkeypatch.setattr(model, "BROADCAST_LIMIT_BYTES", 0)
    by_box = fitted.assign(frame).toPandas().sort_values(COLUMNS)

    pd.testing.assert_frame_equal(by_task.reset_index(drop=True), by_box.reset_index(drop=True))
    for row in by_task.itertuples():
        apart = squares(points, np.array([np.nan_to_num(row.a, posinf=np.inf), row.b, row.c]))
        near = not np.isinf(row.a) and apart.min() <= EPS * EPS
        assert row.segment_id == (core._segment.iloc[int(np.argmin(apart))] if near else -1)
    assert by_task.segment_id.nunique() > 2


def test_a_model_saves_and_loads_as_it_is_and_a_damaged_one_is_rejected(
    spark: SparkSession, frame_: DataFrame, fitted: DBSCANModel, tmp_path: Path
) -> None:
    path = str(tmp_path / "model")
    fitted.save(spark, path)

    loaded = load_model(spark, path)

    assert isinstance(loaded, DBSCANModel)
    assert loaded.to_json() == fitted.to_json()
    assert (
        loaded.assign(frame_).orderBy("customer_id").collect() == fitted.assign(frame_).orderBy("customer_id").collect()
    )
    fewer = loaded.core_points_.where("_x0 > 0")
    with pytest.raises(ConfigurationError, match="count and checksum"):
        DBSCANModel.from_json(fitted.to_json()).with_core_points(fewer)
    with pytest.raises(ConfigurationError, match="core points need the columns"):
        DBSCANModel.from_json(fitted.to_json()).with_core_points(fewer.drop("_x1"))
    with pytest.raises(ConfigurationError, match="holds no model"):
        DBSCANModel.load(spark, str(tmp_path / "nothing"))
    with pytest.raises(ConfigurationError, match="core points, which are not at hand"):
        DBSCANModel.from_json(fitted.to_json()).assign(frame_)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("eps"),
        lambda data: data.update(schema_version=99),
        lambda data: data.update(algorithm="kmeans"),
        lambda data: data.update(eps=0),
        lambda data: data.update(sizes=[0]),
        lambda data: data["boxes"].update(below=[0] * len(data["boxes"]["below"])),
        lambda data: data["boxes"].update(axis=[9] * len(data["boxes"]["axis"])),
    ],
)
def test_a_damaged_text_is_rejected(fitted: DBSCANModel, damage: Callable[[dict], None]) -> None:
    data = json.loads(fitted.to_json())
    damage(data)

    with pytest.raises(ConfigurationError, match="not a segmentation model"):
        DBSCANModel.from_json(json.dumps(data))


def test_eps_is_the_knee_of_the_distances_to_the_kth_neighbour(frame_: DataFrame, table: pd.DataFrame) -> None:
    points = table[COLUMNS].to_numpy()
    distinct = np.unique(points, axis=0)
    kth = np.sort([np.sort(squares(points, point))[MIN_SAMPLES - 1] for point in distinct]) ** 0.5

    fitted = DBSCAN("auto", MIN_SAMPLES).fit(frame_.repartition(3), columns=COLUMNS)

    assert fitted.eps_ == pytest.approx(knee(kth[kth > 0]), rel=1e-8)


def test_customers_that_cannot_be_clustered_are_rejected(frame: Callable[..., DataFrame]) -> None:
    with pytest.raises(DataRejectedError, match="no customers"):
        DBSCAN().fit(frame([], "x double"), columns=["x"])
    with pytest.raises(DataRejectedError, match="x has 2 values that can't be measured"):
        DBSCAN().fit(frame([(1.0,), (float("inf"),), (float("-inf"),)], "x double"), columns=["x"])


def test_customers_without_ids_and_all_noise_make_a_model_without_segments(frame: Callable[..., DataFrame]) -> None:
    data = frame([(float(x),) for x in (1, 5, 9)], "x double")

    fitted = DBSCAN(0.5, 2).fit(data, columns=["x"])

    assert fitted.segment_ids == ()
    rows = fitted.assign(data).collect()
    assert [(row.segment_id, row.second_segment_id, row.drivers) for row in rows] == [(-1, None, [])] * 3
    assert DBSCAN(4.0, 2).fit(data, columns=["x"]).sizes_ == (3,)


BY_CONNECT = """
import sys
from customer_segmentation.clustering.dbscan import DBSCAN, DBSCANModel
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session
from tests.clustering.test_dbscan import COLUMNS, EPS, MIN_SAMPLES, customers

spark = get_session(Spark(shuffle_partitions=2))
frame = spark.createDataFrame(customers())
estimator = DBSCAN(EPS, MIN_SAMPLES, max_driver_points=0, points_per_region=900)
estimator.fit(frame, columns=COLUMNS).save(spark, sys.argv[1])
DBSCANModel.load(spark, sys.argv[1]).assign(frame).write.parquet(sys.argv[2])
"""


@pytest.mark.long
@pytest.mark.slow
def test_spark_connect_gives_the_same_model_and_segments(
    spark: SparkSession, frame_: DataFrame, fitted: DBSCANModel, tmp_path: Path
) -> None:
    paths = [str(tmp_path / "model"), str(tmp_path / "assigned")]
    command = [sys.executable, "-c", BY_CONNECT, *paths]

    ended = subprocess.run(
        command, cwd=ROOT, env=environment(SPARK_REMOTE="local[2]"), capture_output=True, text=True, timeout=600
    )

    assert ended.returncode == 0, ended.stderr
    assert DBSCANModel.load(spark, paths[0]).to_json() == fitted.to_json()
    assigned = spark.read.parquet(paths[1]).orderBy("customer_id").collect()
    assert assigned == fitted.assign(frame_).orderBy("customer_id").collect()
