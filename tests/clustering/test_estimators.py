"""Bisecting k-means, Gaussian mixtures, degenerate customers and saved models of any kind."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from scipy.stats import chi2, multivariate_normal
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as SklearnMixture

from customer_segmentation.clustering import (
    AgglomerativeClustering,
    BisectingKMeans,
    CentroidModel,
    GaussianMixture,
    KMeans,
    MixtureModel,
    SegmentationModel,
    load_model,
    model_from_json,
)
from customer_segmentation.clustering.gaussian_mixture.model import density_parts, density_scorer
from customer_segmentation.clustering.hierarchy.model import nearest_prototype_scorer
from customer_segmentation.clustering.model.calibration import calibrated_scores
from customer_segmentation.clustering.model.scoring import batch_scorer, driver_scorer, nearest_center_scorer
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.preparation import identity_preparation
from tests.clustering.test_clustering import as_frame, blobs
from tests.clustering.test_hierarchy import fitted
from tests.deployment.places import environment
from tests.generated import ROOT

COLUMNS = ["x0", "x1", "x2"]


def mixture(seed: int, k: int = 3, d: int = 2) -> MixtureModel:
    """A mixture of random shapes."""
    generator = np.random.default_rng(seed)
    roots = generator.normal(size=(k, d, d))
    weights = generator.uniform(1, 3, size=k)
    return MixtureModel(
        "gaussian_mixture",
        identity_preparation([f"x{j}" for j in range(d)]),
        tuple(range(1, k + 1)),
        weights / weights.sum(),
        generator.normal(size=(k, d)) * 2,
        roots @ roots.transpose(0, 2, 1) + 0.3 * np.eye(d),
        0.99,
        -1.0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("estimator", [BisectingKMeans(4), GaussianMixture(4)])
def test_separated_clusters_are_found(spark: SparkSession, estimator: BisectingKMeans, seed: int) -> None:
    points, truth = blobs(seed)
    frame = as_frame(spark, points)

    model = estimator.fit(frame, columns=COLUMNS)
    rows = model.assign(frame).toPandas().sort_values("customer_id")

    assert adjusted_rand_score(truth, rows.segment_id) == 1.0
    assert sorted(model.segment_ids) == [1, 2, 3, 4]
    assert (rows.segment_id != rows.second_segment_id).all()
    assert model.segment_centers.tolist() == sorted(model.segment_centers.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [BisectingKMeans(3), GaussianMixture(3, n_init=1, max_iterations=5)])
def test_a_fit_does_not_depend_on_how_the_rows_lie(spark: SparkSession, estimator: BisectingKMeans) -> None:
    frame = as_frame(spark, np.random.default_rng(5).normal(size=(300, 3)))

    models = [estimator.fit(f, columns=COLUMNS).to_json() for f in (frame, frame.repartition(5), frame.orderBy("x1"))]

    assert models[0] == models[1] == models[2]


@pytest.mark.slow
def test_a_bisected_customer_belongs_to_the_nearest_leaf(spark: SparkSession) -> None:
    points = np.random.default_rng(6).normal(size=(300, 3))
    frame = as_frame(spark, points)

    model = BisectingKMeans(5).fit(frame, columns=COLUMNS)
    rows = model.assign(frame).toPandas().sort_values("customer_id")

    squared = ((points[:, None] - model.centers_[None]) ** 2).sum(axis=2)
    assert model.algorithm == "bisecting_kmeans"
    assert rows.segment_id.tolist() == (squared.argmin(axis=1) + 1).tolist()
    assert model.cost_ == pytest.approx(squared.min(axis=1).sum(), rel=1e-6)


@pytest.mark.parametrize("seed", [1, 2])
def test_posteriors_equal_scipys(spark: SparkSession, seed: int) -> None:
    model = mixture(seed, k=4, d=3)
    points = np.random.default_rng(seed).normal(size=(200, 3)) * 3
    points[0] = 1e3  # where all densities are zero in doubles

    rows = model.assign(as_frame(spark, points)).toPandas().sort_values("customer_id")

    logs = np.stack(
        [
            np.log(weight) + multivariate_normal(mean, covariance).logpdf(points)
            for weight, mean, covariance in zip(model.weights_, model.means_, model.covariances_, strict=True)
        ],
        axis=1,
    )
    order = np.argsort(-logs, axis=1)
    best = order[:, 0]
    posterior = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    away = points - model.means_[best]
    squared = np.einsum("ij,ijk,ik->i", away, np.linalg.inv(model.covariances_)[best], away)
    assert rows.segment_id.tolist() == (best + 1).tolist()
    assert rows.second_segment_id.tolist() == (order[:, 1] + 1).tolist()
    assert rows.confidence.to_numpy() == pytest.approx(posterior.max(axis=1), rel=1e-9)
    assert rows.is_outlier.tolist() == (squared > chi2.ppf(0.99, 3)).tolist()
    assert {True, False} == set(rows.is_outlier)
    assert all(drivers is not None and len(drivers) <= 3 for drivers in rows.drivers)


@pytest.mark.slow
def test_a_mixture_is_as_likely_as_scikit_learns(spark: SparkSession) -> None:
    generator = np.random.default_rng(4)
    wide = generator.multivariate_normal([0, 0, 0], [[4, 1.5, 0], [1.5, 1, 0], [0, 0, 0.2]], 400)
    points = np.concatenate([wide, generator.normal(size=(200, 3)) * 0.5 + [5, -3, 2]])

    model = GaussianMixture(2, tolerance=1e-6).fit(as_frame(spark, points), columns=COLUMNS)

    theirs = SklearnMixture(2, n_init=3, random_state=1, tol=1e-6).fit(points)
    order = np.lexsort(theirs.means_.T[::-1])
    assert model.log_likelihood_ / 600 == pytest.approx(theirs.score(points), abs=0.01)
    assert model.weights_ == pytest.approx(theirs.weights_[order], abs=0.01)
    assert model.means_ == pytest.approx(theirs.means_[order], abs=0.05)
    assert model.covariances_ == pytest.approx(theirs.covariances_[order], abs=0.1)


@pytest.mark.slow
def test_a_feature_that_repeats_another_leaves_a_mixture_in_shape(spark: SparkSession) -> None:
    points, truth = blobs(3)
    frame = as_frame(spark, np.column_stack([points, points[:, 0]]))

    model = GaussianMixture(4).fit(frame, columns=[*COLUMNS, "x3"])

    assert adjusted_rand_score(truth, model.assign(frame).toPandas().sort_values("customer_id").segment_id) == 1.0
    assert np.linalg.eigvalsh(model.covariances_).min() > 1e-7


@pytest.mark.slow
def test_a_value_that_a_whole_segment_shares_leaves_a_mixture_in_shape(spark: SparkSession) -> None:
    points, truth = blobs(3, k=2)
    points[truth == 0, 2] = 7.0

    model = GaussianMixture(2, n_init=0).fit(as_frame(spark, points), columns=COLUMNS)

    of_shared = np.argmin(model.covariances_[:, 2, 2])
    assert model.means_[of_shared, 2] == pytest.approx(7.0, abs=1e-3)
    assert 0 < model.covariances_[of_shared, 2, 2] < 1e-3


@pytest.mark.slow
def test_a_mixture_of_single_customers_is_rejected(spark: SparkSession) -> None:
    points = np.array([[0.0, 0, 0], [100, 0, 0], [0, 100, 0], [0, 0, 100]])

    with pytest.raises(DataRejectedError, match="too few customers to have a covariance"):
        GaussianMixture(4).fit(as_frame(spark, points), columns=COLUMNS)


@pytest.mark.parametrize("estimator", [KMeans(4, n_init=1), BisectingKMeans(4), GaussianMixture(4, n_init=1)])
def test_fewer_different_customers_than_segments_are_rejected(spark: SparkSession, estimator: KMeans) -> None:
    frame = as_frame(spark, np.repeat(np.eye(3), 20, axis=0))

    with pytest.raises(DataRejectedError, match="60 customers can't make 4 segments: they have only 3 different"):
        estimator.fit(frame, columns=COLUMNS)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [KMeans(3), BisectingKMeans(3)])
def test_as_many_different_customers_as_segments_are_a_segment_each(spark: SparkSession, estimator: KMeans) -> None:
    model = estimator.fit(as_frame(spark, np.repeat(np.eye(3), 20, axis=0)), columns=COLUMNS)

    assert sorted(model.centers_.tolist()) == sorted(np.eye(3).tolist())
    assert model.cost_ == 0.0


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (BisectingKMeans(1), "k must be"),
        (BisectingKMeans(3, max_iterations=0), "max_iterations"),
        (BisectingKMeans(3, smallest_share=1.0), "smallest_share"),
        (BisectingKMeans(3, outlier_share=-0.1), "outlier_share"),
        (GaussianMixture(True), "k must be"),
        (GaussianMixture(3, n_init=-1), "n_init"),
        (GaussianMixture(3, tolerance=0), "tolerance"),
        (GaussianMixture(3, reg_covar=0), "reg_covar"),
        (GaussianMixture(3, outlier_share=True), "outlier_share"),
    ],
)
def test_wrong_parameters_are_rejected_before_any_job_runs(estimator: BisectingKMeans, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        estimator.fit(None, columns=["x0"])  # type: ignore[arg-type] # no frame is touched


def test_columns_and_values_that_can_not_be_clustered_are_rejected(frame: Callable[..., DataFrame]) -> None:
    data = frame(
        [("a", 1.0, 2.0), ("b", float("nan"), 3.0), ("c", 4.0, float("inf"))], "customer_id string, x double, y double"
    )

    with pytest.raises(ConfigurationError, match="z not among the columns customer_id, x, y"):
        KMeans(2).fit(data, columns=["x", "z"])
    with pytest.raises(ConfigurationError, match="each once"):
        KMeans(2).fit(data, columns=["x", "x"])
    with pytest.raises(DataRejectedError, match="fit: y has 1 value that can't be measured"):
        KMeans(2).fit(data, columns=["x", "y"])
    with pytest.raises(DataRejectedError, match="no customers"):
        KMeans(2).fit(data.limit(0), columns=["x"])


@pytest.mark.parametrize("model", ["centroids", "mixture", "hierarchy"])
def test_what_goes_to_the_workers_needs_no_library_there(model: str) -> None:
    """The scoring functions and their data, unpickled where the library can't be imported."""
    scorers = {
        "centroids": nearest_center_scorer(np.eye(3)),
        "mixture": density_scorer(mixture(1, k=3, d=3).densities_),
        "hierarchy": nearest_prototype_scorer(np.eye(3), np.arange(3), np.eye(3), by_centers=True),
    }
    calibrate = calibrated_scores([[0.0, 1.0]] * 3, [[0.5, 1.0]] * 3, [9.0] * 3)
    parts = density_parts(np.stack([np.eye(3)] * 3), np.eye(3)) if model == "mixture" else None
    drive = driver_scorer(mixture(1, k=3, d=3), parts)
    sent = cloudpickle.dumps(batch_scorer(scorers[model], calibrate, drive, np.zeros(3)))
    script = (
        "import sys, pickle, pyarrow as pa; sys.modules['customer_segmentation'] = None; "
        "score = pickle.loads(bytes.fromhex(sys.stdin.read())); "
        "scored = score(*[pa.array([1.0, 0.2]) for _ in range(3)]); print(len(scored), scored.type.num_fields)"
    )
    ended = subprocess.run([sys.executable, "-c", script], input=sent.hex(), capture_output=True, text=True)
    assert ended.stdout == "2 20\n", ended.stderr


def centroids() -> CentroidModel:
    return CentroidModel(
        "bisecting_kmeans", identity_preparation(["x0"]), (1, 2), np.array([[0.0], [1]]), (1.0, 1.0), 3.0, 0.5
    )


@pytest.mark.parametrize(
    "model", [centroids(), mixture(3), fitted(np.random.default_rng(1).normal(size=(12, 2)), 3, macro_k=2)]
)
def test_a_saved_model_is_read_by_what_it_says(spark: SparkSession, tmp_path: Path, model: SegmentationModel) -> None:
    model = replace(model, names={1: "Ä"}, stability={1: 0.5}, cut_points={"recency": [1.0]}, version="v1")
    path = str(tmp_path / "model [1] of {us}")
    model.save(spark, path)

    loaded = load_model(spark, path)

    assert type(loaded) is type(model)
    assert loaded.to_json() == model.to_json()
    with pytest.raises(ConfigurationError, match="needs the features"):
        loaded.assign(spark.range(2))


@pytest.mark.parametrize("text", (ROOT / "tests" / "models" / "release_0_1.jsonl").read_text().splitlines())
def test_models_that_an_earlier_release_saved_are_read_and_written_as_they_were(text: str) -> None:
    assert model_from_json(text).to_json() == text


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"algorithm": "os.system"}', '{"algorithm": []}', '{"algorithm": "kmeans"}']
)
def test_what_is_no_model_is_rejected(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a segmentation model"):
        model_from_json(text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data["weights"].__setitem__(0, 0.9),
        lambda data: data["weights"].__setitem__(0, -data["weights"][0]),
        lambda data: data["means"].pop(),
        lambda data: data["covariances"][0][0].__setitem__(1, 7.0),
        lambda data: data["covariances"][0].__setitem__(slice(None), [[1.0, 2.0], [2.0, 1.0]]),
        lambda data: data["covariances"][0][0].__setitem__(0, None),
        lambda data: data.update(outlier_quantile=1.5),
        lambda data: data.update(algorithm="bisecting_kmeans"),
        lambda data: data.update(schema_version=2),
    ],
)
def test_a_damaged_mixture_is_rejected(damage: Callable[[dict], None]) -> None:
    data = json.loads(mixture(5).to_json())
    assert model_from_json(json.dumps(data)).k == 3
    damage(data)

    with pytest.raises(ConfigurationError, match="not a segmentation model"):
        model_from_json(json.dumps(data))


def estimators() -> dict[str, GaussianMixture | AgglomerativeClustering]:
    """Fitted on Spark Connect and on classic Spark; the mixture twice, so that a fit follows another's cleaning up."""
    return {
        "mixture": GaussianMixture(3, seed=2),
        "hierarchy": AgglomerativeClustering(3, micro_clusters=120, seed=2),
        "mixture again": GaussianMixture(3, seed=2),
    }


def overlapping() -> np.ndarray:
    return np.random.default_rng(9).normal(size=(300, 3)) + 2.5 * np.repeat(np.eye(3), 100, axis=0)


BY_CONNECT = """
import sys
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session
from tests.clustering.test_clustering import as_frame
from tests.clustering.test_estimators import COLUMNS, estimators, overlapping

spark = get_session(Spark(shuffle_partitions=2, driver_memory="1g"))
frame = as_frame(spark, overlapping())
for name, estimator in estimators().items():
    model = estimator.fit(frame, columns=COLUMNS)
    model.save(spark, f"{sys.argv[1]}/{name}")
    model.assign(frame).write.parquet(f"{sys.argv[1]}/{name}/assigned")
"""


@pytest.mark.long
@pytest.mark.slow
def test_spark_connect_gives_the_same_mixture_hierarchy_and_segments(spark: SparkSession, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BY_CONNECT, str(tmp_path)]

    ended = subprocess.run(
        command, cwd=ROOT, env=environment(SPARK_REMOTE="local[2]"), capture_output=True, text=True, timeout=600
    )

    assert ended.returncode == 0, ended.stderr
    frame = as_frame(spark, overlapping())
    for name, estimator in estimators().items():
        model = estimator.fit(frame, columns=COLUMNS)
        assert load_model(spark, f"{tmp_path}/{name}").to_json() == model.to_json(), name
        by_connect = spark.read.parquet(f"{tmp_path}/{name}/assigned").orderBy("customer_id").collect()
        assert by_connect == model.assign(frame).orderBy("customer_id").collect(), name
        assert {row.segment_id for row in by_connect} == {1, 2, 3}
