"""How sure an assignment is, who is an outlier, and why this segment: against fresh bootstraps, rates and deletions."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.stats import multivariate_normal
from sklearn import cluster, mixture

from customer_segmentation.clustering import (
    DBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    CentroidModel,
    GaussianMixture,
    HierarchyModel,
    KMeans,
    MixtureModel,
    Preparation,
    SegmentationEstimator,
    SegmentationModel,
    model_from_json,
)
from customer_segmentation.clustering.calibrating import calibrated, matched
from customer_segmentation.clustering.gaussian_mixture.model import density_parts
from customer_segmentation.clustering.hierarchy.micro import MicroClusters
from customer_segmentation.clustering.hierarchy.ward import ward
from customer_segmentation.clustering.model.calibration import Calibration, calibration_of, outlier_limits
from customer_segmentation.clustering.model.scoring import center_parts, driver_scorer, score_calibration
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.config.schema import Tables
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import identity_preparation
from customer_segmentation.storage import Warehouse
from tests.clustering.test_clustering import as_frame

ALGORITHMS = ["kmeans", "bisecting_kmeans", "gaussian_mixture", "agglomerative"]
EPS, MIN_SAMPLES = 1.0, 8
FRESH = 50
"""Bootstraps that a calibration has not seen."""


def separated(generator: np.random.Generator, n: int) -> np.ndarray:
    centers = 10 * np.eye(4)
    return centers[np.arange(n) % 4] + generator.normal(size=(n, 4))


def overlapping(generator: np.random.Generator, n: int) -> np.ndarray:
    centers = 2.2 * np.eye(4)
    return centers[np.arange(n) % 4] + generator.normal(size=(n, 4))


def continuum(generator: np.random.Generator, n: int) -> np.ndarray:
    cloud = np.exp(generator.normal(size=(n, 3)) @ generator.normal(size=(3, 3)) / 2)
    return np.log1p(cloud) / np.log1p(cloud).std(axis=0)


def fit(algorithm: str, points: np.ndarray, k: int, seed: int) -> SegmentationModel:
    """A model by scikit-learn's fit, without a calibration."""
    preparation = identity_preparation([f"x{j}" for j in range(points.shape[1])])
    ids = tuple(range(1, k + 1))
    if algorithm == "agglomerative":
        distinct, weights = np.unique(points, axis=0, return_counts=True)
        micro = MicroClusters(distinct, distinct, weights.astype(float), np.zeros(len(distinct)))
        return HierarchyModel(algorithm, preparation, ids, micro, ward(micro.means, micro.weights), 3.0)
    if algorithm == "gaussian_mixture":
        fitted = mixture.GaussianMixture(k, n_init=2, random_state=seed).fit(points)
        weights = fitted.weights_ / fitted.weights_.sum()
        return MixtureModel(algorithm, preparation, ids, weights, fitted.means_, fitted.covariances_, 0.999, 0.0)
    estimator = cluster.KMeans(k, n_init=3, random_state=seed)
    if algorithm == "bisecting_kmeans":
        estimator = cluster.BisectingKMeans(k, random_state=seed)
    return CentroidModel(algorithm, preparation, ids, estimator.fit(points).cluster_centers_, (1.0,) * k, 3.0, 0.0)


def refitted(algorithm: str, drawn: np.ndarray, points: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The clusters of all points by scikit-learn's fit of those drawn, -1 for noise."""
    if algorithm == "agglomerative":
        labels = cluster.AgglomerativeClustering(k).fit_predict(drawn)
        return labels[cKDTree(drawn).query(points)[1]]
    if algorithm == "dbscan":
        fitted = cluster.DBSCAN(eps=EPS, min_samples=MIN_SAMPLES).fit(drawn)
        core = fitted.core_sample_indices_
        distance, nearest = cKDTree(drawn[core]).query(points)
        return np.where(distance <= EPS, fitted.labels_[core][nearest], -1)
    if algorithm == "gaussian_mixture":
        return mixture.GaussianMixture(k, n_init=2, random_state=seed).fit(drawn).predict(points)
    if algorithm == "bisecting_kmeans":
        centers = cluster.BisectingKMeans(k, n_init=3, random_state=seed).fit(drawn).cluster_centers_
        return cKDTree(centers).query(points)[1]
    return cluster.KMeans(k, n_init=3, random_state=seed).fit(drawn).predict(points)


def fresh_shares(algorithm: str, points: np.ndarray, segments: np.ndarray, seed: int) -> np.ndarray:
    """In how many fresh bootstraps each customer, in segments from 0, is in the segment that matches its own."""
    generator, k = np.random.default_rng(seed), int(segments.max()) + 1
    shares = np.zeros(len(points))
    for b in range(FRESH):
        drawn = points[generator.integers(len(points), size=len(points))]
        labels = refitted(algorithm, drawn, points, k, seed + b)
        overlap = np.array(
            [[((segments == i) & (labels == j)).sum() for j in range(labels.max() + 1)] for i in range(k)]
        )
        for i, j in zip(*linear_sum_assignment(-overlap), strict=True):
            shares[(segments == i) & (labels == j)] += 1 / FRESH
    return shares


def calibration_error(confidence: np.ndarray, shares: np.ndarray) -> float:
    """The expected calibration error over ten bins."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [abs(confidence[bins == b].mean() - shares[bins == b].mean()) for b in np.unique(bins)]
    return float(np.average(gaps, weights=np.unique(bins, return_counts=True)[1]))


def everybody(points: np.ndarray) -> Coreset:
    return Coreset(points, np.ones(len(points)), len(points))


def scored(model: SegmentationModel, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Best and second position, confidence, whether an outlier."""
    best, second, margin, distance = model.scorer(np.ascontiguousarray(points.T))
    return best, second, *score_calibration(model)(best, margin, distance)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("drawn", [separated, overlapping, continuum])
def test_the_confidence_is_the_share_of_bootstraps_it_has_not_seen(
    drawn: Callable[[np.random.Generator, int], np.ndarray], algorithm: str
) -> None:
    points = drawn(np.random.default_rng(1), 600)
    model = calibrated(fit(algorithm, points, 4, 1), everybody(points), seed=5)

    best, _, confidence, _ = scored(model, points)

    shares = fresh_shares(algorithm, points, best, seed=900)
    assert calibration_error(confidence, shares) <= 0.05
    if drawn is separated:
        assert confidence.min() > 0.98
    else:
        assert np.corrcoef(confidence, shares)[0, 1] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [
        KMeans(4, n_init=1),
        BisectingKMeans(4),
        GaussianMixture(4, n_init=0),
        AgglomerativeClustering(4),
        DBSCAN(EPS, MIN_SAMPLES),
    ],
)
def test_an_assigned_confidence_is_the_share_of_fresh_bootstraps(
    spark: SparkSession, estimator: SegmentationEstimator
) -> None:
    points = overlapping(np.random.default_rng(2), 600)
    frame = as_frame(spark, points)

    model = estimator.fit(frame, columns=[f"x{j}" for j in range(4)])
    rows = model.assign(frame).toPandas().sort_values("customer_id")

    segments, confidence = rows.segment_id.to_numpy(), rows.confidence.to_numpy()
    shares = fresh_shares(model.algorithm, points, np.maximum(segments - 1, -1), seed=700)
    inside = segments > 0
    assert calibration_error(confidence[inside], shares[inside]) <= 0.05
    assert (confidence[~inside] == 0).all()
    assert model_from_json(model.to_json()).to_json() == model.to_json()


@pytest.mark.slow
def test_without_bootstraps_the_confidence_is_the_margin(spark: SparkSession) -> None:
    frame = as_frame(spark, overlapping(np.random.default_rng(3), 120))

    models = [KMeans(3, n_init=1, bootstraps=b).fit(frame, columns=["x0", "x1"]) for b in (0, 5)]

    assert models[0].calibration is None
    assert models[0].to_json() == replace(models[1], calibration=None).to_json()


@pytest.mark.parametrize("seed", range(5))
def test_a_calibration_rises_and_keeps_the_mean_of_the_shares(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n, k = 3_000, 4
    segments, margins = generator.integers(k, size=n), np.round(generator.uniform(-1, 1, n), 2)
    segments[segments == 3] = np.where(np.arange((segments == 3).sum()) < 20, 3, 0)  # a small one: the function of all
    shares = np.clip(margins + segments / 4 + generator.normal(size=n) / 5, 0, 1)
    weights = generator.uniform(1, 5, n)

    made = calibration_of(segments, margins, abs(margins), shares, weights, k=k, outlier_share=0.01)

    for own, levels in zip(made.margins, made.shares, strict=True):
        assert (np.diff(own) > 0).all()
        assert (np.diff(levels) >= 0).all()
        assert 0 <= levels[0] <= levels[-1] <= 1
    for segment in range(3):
        here = segments == segment
        confidence = np.interp(margins[here], made.margins[segment], made.shares[segment])
        assert np.average(confidence, weights=weights[here]) == pytest.approx(
            np.average(shares[here], weights=weights[here]), abs=0.02
        )
    assert len(made.margins[3]) > 1
    assert Calibration.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data["margins"].pop(),
        lambda data: data["margins"][0].reverse(),
        lambda data: data["shares"][0].reverse(),
        lambda data: data["shares"][0].__setitem__(-1, 1.5),
        lambda data: data["margins"][0].clear(),
        lambda data: data["limits"].__setitem__(0, -1),
        lambda data: data.update(outlier_share=1),
        lambda data: data.pop("limits"),
        lambda data: [data[key].pop() for key in ("margins", "shares", "limits")],
    ],
)
def test_a_damaged_calibration_is_rejected(damage: Callable[[dict], None]) -> None:
    points = overlapping(np.random.default_rng(3), 300)
    data = json.loads(calibrated(fit("kmeans", points, 3, 1), everybody(points), seed=1).to_json())
    damage(data["calibration"])

    with pytest.raises(ConfigurationError, match="not a segmentation model"):
        model_from_json(json.dumps(data))


def test_bootstraps_are_matched_one_to_one_by_overlap() -> None:
    segments = np.array([0, 0, 0, 1, 1, 1, 2, -1])

    assert matched(segments, np.array([2, 2, 2, 0, 0, 0, 1, 1]), np.ones(8)).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert matched(segments, np.array([0, 0, 0, 0, 0, 0, 1, -1]), np.ones(8)).tolist() == [0, 0, 0, 0, 0, 0, 2, -2]
    weights = np.array([1, 1, 1, 5, 5, 5, 1, 1])  # all in one cluster: it is that of the heavier segment
    assert matched(segments, np.zeros(8, dtype=int), weights).tolist() == [1] * 8
    assert matched(segments, np.array([0, 1, 2, 3, 3, 3, 4, 5]), np.ones(8)).tolist()[3:7] == [1, 1, 1, 2]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("d", [1, 4, 20])
def test_one_share_of_fresh_customers_are_outliers_in_any_dimension(algorithm: str, d: int) -> None:
    generator = np.random.default_rng(d)
    points, fresh = generator.normal(size=(2_000, d)), generator.normal(size=(20_000, d))

    model = calibrated(fit(algorithm, points, 3, 1), everybody(points), seed=1, bootstraps=1)

    assert 0.005 <= scored(model, fresh)[3].mean() <= 0.02
    assert scored(model, np.full((1, d), 100.0))[3].all()


def test_outliers_are_a_share_of_each_segment_and_a_small_segment_is_none() -> None:
    generator = np.random.default_rng(4)
    distances = np.concatenate([generator.uniform(0, 1, 5_000), generator.exponential(3, 5_000), [0.3] * 5, [0.0]])
    segments = np.repeat([0, 1, 2, 3], [5_000, 5_000, 5, 1])

    limits = np.array(outlier_limits(segments, distances, np.ones(len(segments)), k=4, share=0.02))

    beyond = distances > limits[segments]
    assert [beyond[segments == i].mean() for i in range(2)] == pytest.approx([0.02, 0.02], abs=2e-4)
    assert not beyond[segments >= 2].any()
    assert 0.3 < limits[2] < 5
    assert limits[3] > 0
    half = outlier_limits(segments, distances, np.where(segments == 0, 0.5, 2.0), k=4, share=0.02)
    assert half[:2] == pytest.approx(limits[:2], rel=0.05)


@pytest.mark.slow
def test_a_share_of_zero_leaves_no_outliers_but_those_that_can_not_be_measured(spark: SparkSession) -> None:
    points = overlapping(np.random.default_rng(5), 300)
    model = KMeans(3, n_init=1, outlier_share=0).fit(as_frame(spark, points), columns=["x0", "x1", "x2", "x3"])
    far = np.array([[1e6, 0, 0, 0], [np.inf, 0, 0, 0]])

    rows = model.assign(as_frame(spark, np.concatenate([points, far]))).toPandas().sort_values("customer_id")

    assert rows.is_outlier.tolist() == [False] * 301 + [True]
    assert model_from_json(model.to_json()).to_json() == model.to_json()


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_of_a_mixture_add_up_to_the_difference_of_the_log_odds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(50, 3)) * 3
    model = fit("gaussian_mixture", generator.normal(size=(200, 3)) @ generator.normal(size=(3, 3)), 3, seed)
    logs = [multivariate_normal(mean, shape) for mean, shape in zip(model.means_, model.covariances_, strict=True)]
    best, second, _, _ = scored(model, points)

    parts = density_parts(model.densities_.factors, model.means_)(points.T, best, second)

    def log_odds(at: np.ndarray, i: int) -> float:
        return float(logs[best[i]].logpdf(at) - logs[second[i]].logpdf(at))

    expected = [log_odds(point, i) - log_odds(model.means_[second[i]], i) for i, point in enumerate(points)]
    assert parts.sum(axis=0) == pytest.approx(np.array(expected), rel=1e-6, abs=1e-6)


def test_the_parts_of_round_densities_are_those_of_centres() -> None:
    generator = np.random.default_rng(6)
    centers, points = generator.normal(size=(4, 5)), generator.normal(size=(5, 60))
    best, second = generator.integers(4, size=60), generator.integers(4, size=60)

    by_density = density_parts(np.stack([np.eye(5) / 2] * 4), centers)(points, best, second)

    assert by_density == pytest.approx(center_parts(centers)(points, best, second) / 4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_drivers_are_the_largest_shares_that_lie_on_the_segments_side(algorithm: str) -> None:
    generator = np.random.default_rng(7)
    points = overlapping(generator, 400)
    model = fit(algorithm, points, 4, 1)
    is_known = generator.uniform(size=(4, 400)) > 0.3
    best, second, _, _ = scored(model, points)
    make = density_parts(model.densities_.factors, model.means_) if algorithm == "gaussian_mixture" else None
    parts = (make or center_parts(model.segment_centers))(points.T, best, second)
    shares = np.where(is_known, np.maximum(parts, 0), 0)
    shares /= np.maximum(shares.sum(axis=0), 1e-300)

    drivers = driver_scorer(model, make)(points.T, is_known, best, second)

    assert drivers["drivers"].min() >= 0
    assert set(drivers["drivers"]) >= {1, 2}
    for i, count in enumerate(drivers["drivers"]):
        features = [int(drivers[f"driver{rank}"][i]) for rank in range(count)]
        effects = [drivers[f"effect{rank}"][i] for rank in range(count)]
        assert effects == pytest.approx(sorted(shares[:, i], reverse=True)[:count])
        assert shares[features, i] == pytest.approx(effects)
        assert is_known[features, i].all()
        assert sum(effects[:-1]) < 0.5
        assert count == 3 or sum(effects) >= 0.5 or shares[:, i].sum() == 0
        for rank, j in enumerate(features):
            assert drivers[f"is_high{rank}"][i] == (points[i, j] > model.segment_centers[second[i], j])
            if make is None:  # and so does the segment's centre
                assert drivers[f"is_high{rank}"][i] == (
                    drivers[f"segment_value{rank}"][i] > drivers[f"other_value{rank}"][i]
                )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("informative", [3, 8])
def test_without_its_drivers_a_customer_leaves_twice_as_often_as_without_others(
    algorithm: str, informative: int
) -> None:
    generator = np.random.default_rng(8)
    centers = 1.2 * generator.normal(size=(5, 8)) * np.where(np.arange(8) < informative, 8 / informative, 0.2)
    points = centers[np.arange(1_500) % 5] + generator.normal(size=(1_500, 8))
    model = fit(algorithm, points, 5, 1)
    best, second, _, _ = scored(model, points)
    make = density_parts(model.densities_.factors, model.means_) if algorithm == "gaussian_mixture" else None
    drivers = driver_scorer(model, make)(points.T, np.ones_like(points.T, dtype=bool), best, second)
    listed = np.stack([drivers[f"driver{rank}"] for rank in range(3)])
    at_random = np.argsort(generator.uniform(size=points.T.shape), axis=0)

    def leaving(features: np.ndarray) -> float:
        changed = points.copy()
        for rank in range(3):
            rows = np.flatnonzero(drivers["drivers"] > rank)
            columns = features[rank, rows]
            changed[rows, columns] = model.segment_centers[second[rows], columns]
        return float((scored(model, changed)[0] != best).mean())

    assert leaving(listed) >= 2 * leaving(at_random)


@pytest.mark.slow
@pytest.mark.parametrize("variance", [None, 0.9])
@pytest.mark.parametrize("estimator", [KMeans(3, n_init=1, bootstraps=5), DBSCAN(1.5, 3, bootstraps=5)])
def test_a_missing_value_is_no_driver(
    spark: SparkSession, estimator: SegmentationEstimator, variance: float | None
) -> None:
    generator = np.random.default_rng(9)
    group = np.arange(240) % 3
    values = 6.0 * np.eye(3)[group] + generator.normal(size=(240, 3))
    values[generator.uniform(size=values.shape) < 0.2] = np.nan
    table = pd.DataFrame(values, columns=["a", "b", "c"]).assign(
        customer_id=[f"C{i:03d}" for i in range(240)],
        city=[("Bonn", "Rome", "Oslo", None)[g if i % 4 else 3] for i, g in enumerate(group)],
    )
    frame = spark.createDataFrame(table)
    preparation = Preparation(["a", "b", "c"], attributes=["city"], weights={"city": 3.0}, variance=variance)

    rows = estimator.fit(frame, preparation=preparation).assign(frame).toPandas()

    features = set()
    for row in rows.itertuples():
        for driver in row.drivers:
            name = driver["feature"].split("=")[0]
            features.add(name)
            assert not pd.isna(getattr(row, name))
            assert not pd.isna(driver["value"])
            assert driver["direction"] == ("high" if driver["value"] > driver["other_value"] else "low")
            assert (driver["segment_value"] > driver["other_value"]) == (driver["direction"] == "high")
    assert {"city"} < features


@pytest.mark.slow
def test_segments_of_an_earlier_release_are_read_and_written_on(spark: SparkSession, tmp_path) -> None:  # type: ignore[no-untyped-def]
    warehouse, table = Warehouse(spark, Tables(root=str(tmp_path))), t.CUSTOMER_SEGMENTS_HISTORY
    types = {column.name: column.type for column in table.columns}
    now = "array(named_struct('feature', 'b', 'value', 3D, 'effect', 0.5D, 'direction', 'high', 'segment_value', 2D, "
    now += "'other_value', 1D))"
    former = "array(named_struct('feature', 'a', 'value', 1D, 'effect', 0.7D))"

    def rows(drivers: str, run: str, kinds: dict[str, str]):  # type: ignore[no-untyped-def]
        key = {"customer_id": "'C'", "segment_id": "1", "run_id": f"'{run}'", "as_of_date": "'2024-01-01'"}
        given = key | {"drivers": drivers}
        return spark.range(1).selectExpr(
            *(f"CAST({given.get(name, 'NULL')} AS {kind}) AS {name}" for name, kind in kinds.items())
        )

    old = rows(former, "old", types | {"drivers": "array<struct<feature:string,value:double,effect:double>>"})
    old.write.format("delta").partitionBy("run_id").save(warehouse.location(table))
    warehouse.overwrite(t.CUSTOMER_SEGMENTS, warehouse.rows(table, column="run_id", value="old"))

    warehouse.replace(table, rows(now, "new", types), column="run_id", value="new")

    written = {row.run_id: row.drivers[0].asDict() for row in warehouse.read(table).collect()}
    missing = {"direction": None, "segment_value": None, "other_value": None}
    assert written["old"] == {"feature": "a", "value": 1.0, "effect": 0.7, **missing}
    assert written["new"]["other_value"] == 1.0
    for run in ("new", "old"):
        warehouse.overwrite(t.CUSTOMER_SEGMENTS, warehouse.rows(table, column="run_id", value=run))
        assert warehouse.read(t.CUSTOMER_SEGMENTS).collect()[0].drivers[0].asDict() == written[run]
