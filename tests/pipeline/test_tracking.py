"""A copy of each training in MLflow: a real one, with a store in SQLite."""

import io
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient, pyfunc
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.clustering import DBSCAN, KMeans, SegmentationModel
from customer_segmentation.config.schema import MLflow
from customer_segmentation.contract import tables as t
from customer_segmentation.stages import write_report
from customer_segmentation.stages.tracking import FOLDER, OUTPUTS, log_report, log_training
from tests.deployment.connect_server import free_port
from tests.deployment.places import environment
from tests.generated import ROOT, configured, quiet
from tests.warehouse import read

MODEL = "segments"
PARAMETERS = {"seed": "42", "k": "auto"}
QUALITY = {"silhouette": 0.5, "stability": 0.9}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MLflow:
    monkeypatch.chdir(tmp_path)  # where MLflow keeps artifacts of a store in SQLite
    return MLflow(experiment="shop", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", model=MODEL)


def fitted(spark: SparkSession, algorithm: str) -> SegmentationModel:
    rows = [(f"C{i:02}", float(i % 5 + 40 * (i % 2)), float(i % 3)) for i in range(40)]
    frame = spark.createDataFrame(rows, "customer_id string, recency_days double, frequency double")
    estimator = KMeans(k=2) if algorithm == "kmeans" else DBSCAN(eps=3.0, min_samples=3)
    model = estimator.fit(frame, columns=["recency_days", "frequency"])
    names = {segment: f"Segment {segment}" for segment in model.segment_ids}
    return replace(model, version=f"{algorithm}-1", names=names, stability=dict.fromkeys(names, 0.75))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["kmeans", "dbscan"])
def test_a_training_is_logged_with_a_model_that_assigns_as_the_library_does(
    spark: SparkSession, generated: Path, store: MLflow, algorithm: str
) -> None:
    run = quiet(spark, configured(generated, "tables").model_copy(update={"mlflow": store}))
    model = fitted(spark, algorithm)

    said = log_training(run, model, {"parameters": PARAMETERS, "quality": QUALITY})

    assert said == f"in MLflow's experiment shop as {MODEL} version 1, serving"
    client = MlflowClient(store.tracking_uri)
    experiment = client.get_experiment_by_name("shop")
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.data.tags["model_version"] == model.version
    assert logged.data.params == {**PARAMETERS, "algorithm": model.algorithm, "k": str(model.k)}
    of_segments = {f"stability_of_segment_{segment}": 0.75 for segment in model.segment_ids}
    assert logged.data.metrics == {**QUALITY, **of_segments}
    assert str(client.get_model_version_by_alias(MODEL, "serving").version) == "1"

    loaded = pyfunc.load_model(client.get_model_version_download_uri(MODEL, "1"))
    customers = spark.createDataFrame([(0.0, 1.0), (41.0, None), (500.0, 0.0)], "recency_days double, frequency double")
    predicted = loaded.predict(customers.toPandas())
    expected = model.assign(customers).toPandas()
    assert predicted.columns.tolist() == list(OUTPUTS)
    for name in ("segment_id", "confidence", "is_outlier"):
        assert predicted[name].tolist() == expected[name].tolist(), name
    assert not list(Path(store.tracking_uri.removeprefix("sqlite:///")).parent.rglob("*.pkl"))
    assert FOLDER in {path.name for path in Path.cwd().rglob("*")}


@pytest.mark.slow
def test_a_logged_model_takes_features_as_their_table_has_them_and_as_json_does(
    spark: SparkSession, generated: Path, store: MLflow
) -> None:
    run = quiet(spark, configured(generated, "tables").model_copy(update={"mlflow": store}))
    features = run.warehouse.read(t.CUSTOMER_FEATURES)
    columns = ["recency_days", "frequency", "monetary", "average_order_value", "distinct_categories"]
    assert {kind.split("(")[0] for _, kind in features.select(columns).dtypes} == {"int", "bigint", "decimal", "double"}
    fit = KMeans(k=3).fit(features, columns=columns)
    model = replace(fit, version="kmeans-1", names=dict.fromkeys(fit.segment_ids, "Segment"))
    log_training(run, model, {"parameters": PARAMETERS, "quality": QUALITY})
    client = MlflowClient(store.tracking_uri)
    loaded = pyfunc.load_model(client.get_model_version_download_uri(MODEL, "1"))

    customers = features.select("customer_id", *columns).orderBy("customer_id").limit(50)
    expected = [row.segment_id for row in model.assign(customers).orderBy("customer_id").collect()]
    table = customers.toPandas()
    assert loaded.predict(table)["segment_id"].tolist() == expected
    of_json = pd.read_json(io.StringIO(table.astype(dict.fromkeys(columns, float)).to_json(orient="records")))
    assert loaded.predict(of_json)["segment_id"].tolist() == expected

    missing = table.head(2).assign(frequency=[None, 3])
    assert missing["frequency"].dtype == "float64"
    assert len(loaded.predict(missing)) == 2


FROM_A_ZIP = """
import sys
from types import SimpleNamespace
import customer_segmentation
from customer_segmentation.clustering import model_from_json
from customer_segmentation.config.schema import MLflow
from customer_segmentation.stages.tracking import log_training
assert "customer_segmentation.zip" in customer_segmentation.__file__
model = model_from_json(open(sys.argv[1], encoding="utf-8").readline(), lambda model: None)
settings = MLflow(experiment="shop", tracking_uri=sys.argv[2], model="segments")
run = SimpleNamespace(config=SimpleNamespace(mlflow=settings))
print("SAID", log_training(run, model, {"parameters": {}, "quality": {}}))
"""


@pytest.mark.slow
def test_a_library_in_a_zip_logs_its_models_too(store: MLflow, tmp_path: Path) -> None:
    library = shutil.make_archive(str(tmp_path / "customer_segmentation"), "zip", ROOT / "lib", "customer_segmentation")
    model = ROOT / "tests" / "models" / "release_0_1.jsonl"

    command = [sys.executable, "-c", FROM_A_ZIP, str(model), store.tracking_uri]
    ended = subprocess.run(command, cwd=tmp_path, env=environment(PYTHONPATH=library), capture_output=True, text=True)

    assert f"SAID in MLflow's experiment shop as {MODEL} version 1, serving" in ended.stdout, ended.stderr
    assert [path.name for path in tmp_path.rglob("tracked_model.py")], "the file that loads the model is beside it"


@pytest.mark.slow
def test_the_report_joins_the_training_it_reports_on_once(
    spark: SparkSession, generated: Path, store: MLflow, tmp_path: Path
) -> None:
    run = quiet(spark, configured(generated, "tables").model_copy(update={"mlflow": store}))
    version = read(generated / "tables", "customer_segments").model_version[0]
    model = run.models.registered(version)
    assert model is not None
    log_training(run, model, {"parameters": PARAMETERS, "quality": QUALITY})

    page = write_report(run, Console(quiet=True))
    other = tmp_path / "other.html"
    other.write_text("another page")
    log_report(run, version, other)

    client = MlflowClient(store.tracking_uri)
    (logged,) = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    assert [each.path for each in client.list_artifacts(logged.info.run_id, "report")] == [f"report/{page.name}"]


@pytest.mark.slow
def test_where_mlflow_can_not_be_reached_the_stage_says_so(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = MLflow(experiment="shop", tracking_uri=f"http://127.0.0.1:{free_port()}")
    run = quiet(spark, configured(tmp_path, "tables").model_copy(update={"mlflow": nowhere}))

    said = log_training(run, fitted(spark, "kmeans"), {"parameters": PARAMETERS, "quality": QUALITY})

    assert said.startswith("MLflow has no copy of it")
    assert "MLflow has no copy of kmeans-1" in caplog.text
    log_report(run, "kmeans-1", tmp_path / "report.html")
    assert "MLflow did not get the report of kmeans-1" in caplog.text


@pytest.mark.slow
def test_without_the_setting_mlflow_is_not_asked(spark: SparkSession, tmp_path: Path) -> None:
    run = quiet(spark, configured(tmp_path, "tables"))

    assert log_training(run, fitted(spark, "kmeans"), {"parameters": PARAMETERS, "quality": QUALITY}) == ""
    assert not list(tmp_path.iterdir())
