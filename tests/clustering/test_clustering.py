"""Preparation, k-means and models against NumPy and scikit-learn."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import adjusted_rand_score

from customer_segmentation.clustering import CentroidModel, KMeans, Preparation
from customer_segmentation.clustering.estimator.layout import hashed_share
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.preparation import PreparationModel, PreparedFeature


def blobs(seed: int, k: int = 4, per: int = 60, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Well separated clusters with their labels."""
    generator = np.random.default_rng(seed)
    centers = 12 * np.stack([np.roll(np.arange(d) + i, i) for i in range(k)]).astype(float)
    labels = np.repeat(np.arange(k), per)
    return centers[labels] + generator.normal(size=(k * per, d)), labels


def as_frame(spark: SparkSession, points: np.ndarray) -> DataFrame:
    table = pd.DataFrame(points, columns=[f"x{j}" for j in range(points.shape[1])])
    table.insert(0, "customer_id", [f"C{i:05d}" for i in range(len(table))])
    return spark.createDataFrame(table)


def labels_of(model: CentroidModel, frame: DataFrame) -> np.ndarray:
    return model.assign(frame).toPandas().sort_values("customer_id").segment_id.to_numpy()


def test_a_preparation_equals_numpy_and_its_inverse_gives_the_value_back(frame: Callable[..., DataFrame]) -> None:
    values = [-3.0, 0.0, 1.0, 5.0, 40.0, 40.0, 900.0, None]
    rows = [(value, 7.0, None, 2.0 if i == 3 else 1.0) for i, value in enumerate(values)]
    data = frame(rows, "skewed double, constant double, empty double, mostly double")

    preparation = Preparation(columns=["skewed", "constant", "empty", "mostly"], skewed=["skewed"]).fit(data)
    prepared = preparation.transform(data).toPandas()

    known = np.array(values[:-1], dtype=float)
    shaped = np.sign(known) * np.log1p(np.abs(known))
    low, median, high = np.percentile(shaped, [25, 50, 75])
    assert preparation.names == ["skewed", "mostly"]
    assert set(preparation.dropped_) == {"constant", "empty"}
    assert prepared.z_skewed[:-1].to_numpy() == pytest.approx((shaped - median) / (high - low), rel=1e-7, abs=1e-8)
    assert prepared.z_skewed.iloc[-1] == 0.0  # a missing value counts as the centre
    assert prepared.z_mostly.abs().max() > 0.5  # no interquartile range: scaled by the standard deviation
    assert [preparation.features_[0].inverse_transform(z) for z in prepared.z_skewed[:-1]] == pytest.approx(
        known, abs=1e-6
    )
    assert PreparationModel.from_dict(json.loads(json.dumps(preparation.to_dict()))) == preparation


def test_the_ml_stage_prepares_as_the_plain_expressions_do(spark: SparkSession) -> None:
    frame = as_frame(spark, blobs(1)[0])
    preparation = Preparation(columns=["x0", "x2"], skewed=["x2"]).fit(frame)

    by_stage = preparation.stage().transform(frame).toPandas()

    pd.testing.assert_frame_equal(by_stage, preparation.transform(frame).toPandas())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_kmeans_finds_separated_clusters(spark: SparkSession, seed: int) -> None:
    points, truth = blobs(seed)
    frame = as_frame(spark, points)

    model = KMeans(4, seed=seed).fit(frame, columns=["x0", "x1", "x2"])

    assert adjusted_rand_score(truth, labels_of(model, frame)) == 1.0
    assert sorted(model.segment_ids) == [1, 2, 3, 4]
    nearest = ((points[:, None, :] - model.centers_[None]) ** 2).sum(axis=2).min(axis=1)
    assert model.cost_ == pytest.approx(nearest.sum(), rel=1e-6)


@pytest.mark.slow
def test_a_fit_does_not_depend_on_how_the_rows_lie(spark: SparkSession) -> None:
    frame = as_frame(spark, np.random.default_rng(5).normal(size=(300, 3)))
    estimator = KMeans(5, seed=3, n_init=1)

    models = [estimator.fit(f, columns=["x0", "x1", "x2"]) for f in (frame, frame.repartition(5), frame.orderBy("x1"))]

    assert models[0].to_json() == models[1].to_json() == models[2].to_json()


def test_an_assignment_equals_numpy_and_its_drivers_add_up(spark: SparkSession) -> None:
    generator = np.random.default_rng(11)
    points, centers = generator.normal(size=(80, 4)), generator.normal(size=(5, 4))
    preparation = PreparationModel(tuple(PreparedFeature(f"x{j}", False, 0.0, 1.0, 1.0) for j in range(4)), {})
    model = CentroidModel("kmeans", preparation, (4, 9, 2, 7, 5), centers, (0.8,) * 5, 2.0, 0.0)

    rows = model.assign(as_frame(spark, points)).toPandas().sort_values("customer_id")

    squared = ((points[:, None, :] - centers[None]) ** 2).sum(axis=2)
    order = squared.argsort(axis=1)
    nearest, second = order[:, 0], order[:, 1]
    d1, d2 = (np.sqrt(squared[np.arange(80), i]) for i in (nearest, second))
    assert rows.segment_id.tolist() == np.array([4, 9, 2, 7, 5])[nearest].tolist()
    assert rows.confidence.to_numpy() == pytest.approx(1 - d1 / d2)
    assert rows.is_outlier.tolist() == (d1 > 1.6).tolist()
    # What each feature adds to the customer's preference, as against a customer at the other centre in it.
    parts = np.maximum((centers[nearest] - centers[second]) * (points - centers[second]), 0)
    shares = parts / parts.sum(axis=1, keepdims=True)
    for i, drivers in enumerate(rows.drivers):
        order = np.argsort(-shares[i])
        listed = order[: min(3, 1 + int((np.cumsum(shares[i][order]) < 0.5).sum()))]
        assert [d["feature"] for d in drivers] == [f"x{j}" for j in listed]
        assert [d["effect"] for d in drivers] == pytest.approx(shares[i][listed])
        assert [d["value"] for d in drivers] == pytest.approx(points[i][listed])
        assert [d["segment_value"] for d in drivers] == pytest.approx(centers[nearest[i]][listed])
        assert [d["other_value"] for d in drivers] == pytest.approx(centers[second[i]][listed])
        assert [d["direction"] == "high" for d in drivers] == (points[i] > centers[second[i]])[listed].tolist()


def test_a_model_saves_and_loads_as_it_is(spark: SparkSession, tmp_path) -> None:
    model = KMeans(3, n_init=1).fit(as_frame(spark, blobs(2)[0]), columns=["x0", "x1"])
    model = replace(model, names={1: "Ä", 2: "b", 3: "c"}, stability={1: 0.5}, cut_points={"recency": [1.0]})

    model.save(spark, str(tmp_path / "model"))

    assert CentroidModel.load(spark, str(tmp_path / "model")).to_json() == model.to_json()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("centers"),
        lambda data: data.update(schema_version=99),
        lambda data: data["centers"].pop(),
        lambda data: data["centers"][0].__setitem__(0, None),
        lambda data: data["preparation"]["features"][0].update(scale=0),
        lambda data: data["preparation"]["features"][0].update(cls="os.system"),
        lambda data: data.update(segment_ids=[1, 1]),
    ],
)
def test_a_damaged_model_is_rejected(damage: Callable[[dict], None]) -> None:
    preparation = PreparationModel((PreparedFeature("x", False, 0.0, 1.0, 1.0),), {})
    model = CentroidModel("kmeans", preparation, (1, 2), np.array([[0.0], [1.0]]), (1.0, 1.0), 3.0, 0.0)
    data = json.loads(model.to_json())
    assert CentroidModel.from_json(json.dumps(data)).k == 2
    damage(data)

    with pytest.raises(ConfigurationError):
        CentroidModel.from_json(json.dumps(data))


def test_a_model_says_which_features_it_misses(spark: SparkSession) -> None:
    preparation = PreparationModel((PreparedFeature("spend", False, 0.0, 1.0, 1.0),), {})
    model = CentroidModel("kmeans", preparation, (1, 2), np.array([[0.0], [1.0]]), (1.0, 1.0), 3.0, 0.0)

    with pytest.raises(ConfigurationError, match="spend"):
        model.assign(spark.range(3))


@pytest.mark.parametrize(
    ("estimator", "arguments", "said"),
    [
        (KMeans(1), {"columns": ["x0"]}, "k must be"),
        (KMeans(2.5), {"columns": ["x0"]}, "k must be"),
        (KMeans(3, n_init=0), {"columns": ["x0"]}, "n_init"),
        (KMeans(3, outlier_share=0.3), {"columns": ["x0"]}, "outlier_share"),
        (KMeans(3, seed=-1), {"columns": ["x0"]}, "seed must be a whole number from 0 to 4,294,967,295"),
        (KMeans(3, seed="x"), {"columns": ["x0"]}, "seed must be a whole number"),
        (KMeans(3), {}, "either columns or a preparation"),
    ],
)
def test_wrong_parameters_are_rejected_before_any_job_runs(estimator: KMeans, arguments: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        estimator.fit(None, **arguments)  # no frame is touched


@pytest.mark.slow
def test_parameters_may_be_numbers_of_numpy(spark: SparkSession) -> None:
    frame = as_frame(spark, np.array([[0.0], [0.1], [5.0], [5.1]]))

    model = KMeans(np.int64(2), seed=np.int32(1), outlier_share=np.float32(0), bootstraps=np.int8(0)).fit(
        frame, columns=["x0"]
    )

    assert model.to_json() == KMeans(2, seed=1, outlier_share=0.0, bootstraps=0).fit(frame, columns=["x0"]).to_json()


def test_too_few_customers_are_rejected(spark: SparkSession) -> None:
    with pytest.raises(DataRejectedError, match="3 customers"):
        KMeans(4).fit(as_frame(spark, np.eye(3)), columns=["x0"])


def test_a_hashed_share_is_the_same_whatever_the_partitions(spark: SparkSession) -> None:
    frame = as_frame(spark, np.zeros((200, 1)))

    first = hashed_share(frame, share=0.25, seed=7, by=["customer_id"]).orderBy("customer_id").collect()
    again = hashed_share(frame.repartition(6), share=0.25, seed=7, by=["customer_id"]).orderBy("customer_id").collect()
    other = hashed_share(frame, share=0.25, seed=8, by=["customer_id"]).collect()

    assert 25 <= len(first) <= 75
    assert first == again
    assert set(first) != set(other)
