"""A copy of each training in MLflow, where the configuration asks for one: parameters, figures, the model, the report.

The tables stay what the library works with. So a training does not fail where MLflow can't be reached: the stage says
that there is no copy, and why.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pyspark
from pyspark.sql import SparkSession

from customer_segmentation import __version__
from customer_segmentation.clustering import SegmentationModel, model_from_json
from customer_segmentation.clustering.dbscan import DBSCANModel
from customer_segmentation.config.schema import MLflow
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import first_line
from customer_segmentation.log import log
from customer_segmentation.stages.run import Run

FOLDER = "segmentation_model"
"""The artifact with the model."""
OUTPUTS = {
    "segment_id": "integer",
    "segment_name": "string",
    "confidence": "double",
    "is_outlier": "boolean",
    "second_segment_id": "integer",
}
"""The columns of a prediction, and their types to MLflow."""
_REPORT = "report"
_CODE = "tracked_model.py"
_TEXT, _CORE_POINTS = "model.json", "core_points.parquet"
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


def log_training(run: Run, model: SegmentationModel, row: Mapping[str, Any]) -> str:
    """Log a registered model to MLflow, and register it there under the configured name and alias.

    Args:
        row: its columns of `model_runs`: parameters and quality among them.

    Returns:
        What became of it, as the end of a sentence; empty where no copy is asked for.
    """
    settings = run.config.mlflow
    if settings.experiment is None:
        return ""

    try:
        with _tracking(settings) as mlflow:
            tags = {c.MODEL_VERSION: model.version, c.AS_OF_DATE: f"{model.trained_as_of}", "code_version": __version__}
            experiment = _experiment(mlflow, settings) or mlflow.create_experiment(settings.experiment)
            with mlflow.start_run(experiment_id=experiment, run_name=model.version, tags=tags):
                mlflow.log_params({**row["parameters"], "algorithm": model.algorithm, "k": model.k})
                mlflow.log_metrics(_figures(model, row["quality"]))
                version = _log_model(mlflow, model, settings)
    except Exception as error:  # of MLflow, of its store, of the network
        log.warning("MLflow has no copy of %s: %s", model.version, _reason(error))
        return f"MLflow has no copy of it, {_reason(error)}"
    return f"in MLflow's experiment {settings.experiment}" + (f" as {version}" if version else "")


def log_report(run: Run, model_version: str, path: Path) -> None:
    """Add the page to the training that it reports on, where MLflow has one, and that has no page yet."""
    settings = run.config.mlflow
    if settings.experiment is None:
        return
    try:
        with _tracking(settings) as mlflow:
            experiment, client = _experiment(mlflow, settings), mlflow.MlflowClient()
            if experiment is None:
                return
            of_model = f"tags.{c.MODEL_VERSION} = '{model_version}'"
            found = client.search_runs([experiment], filter_string=of_model, max_results=1)
            if found and not client.list_artifacts(found[0].info.run_id, _REPORT):
                client.log_artifact(found[0].info.run_id, str(path), _REPORT)
    except Exception as error:
        log.warning("MLflow did not get the report of %s: %s", model_version, _reason(error))


def _experiment(mlflow: Any, settings: MLflow) -> str | None:
    found = mlflow.get_experiment_by_name(settings.experiment)
    return found.experiment_id if found is not None else None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


@contextmanager
def _tracking(settings: MLflow) -> Iterator[Any]:
    """MLflow with the configured store for the block, which it does not try for minutes where it can't be reached."""
    with _in_environment(_RETRIES, "2"):
        import mlflow

        before = mlflow.get_tracking_uri()
        if settings.tracking_uri is not None:
            mlflow.set_tracking_uri(settings.tracking_uri)
        try:
            yield mlflow
        finally:
            mlflow.set_tracking_uri(before)


@contextmanager
def _in_environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment has a value in the block, unless it has one already."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def _figures(model: SegmentationModel, quality: Mapping[str, float]) -> dict[str, float]:
    """The figures of a training, those of segments by their ids."""
    return {**quality, **{f"stability_of_segment_{segment}": value for segment, value in model.stability.items()}}


def _log_model(mlflow: Any, model: SegmentationModel, settings: MLflow) -> str:
    """Log a model as one that MLflow can load and apply to pandas; its name and version where it is registered."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    numbers = set(model.preparation.numbers)
    # MLflow's double takes no whole numbers of 64 bits, and its long no column in which a value is missing, which
    # pandas makes doubles of. A number may be either, so `tracked_model` makes numbers of what is given.
    inputs = [ColSpec(AnyType() if name in numbers else "string", name) for name in model.preparation.inputs]
    outputs = [ColSpec(type_, name) for name, type_ in OUTPUTS.items()]
    with TemporaryDirectory() as folder:
        saved, python_model = Path(folder) / FOLDER, Path(folder) / _CODE
        _save(model, saved)
        # Copied, since of a library in a zip, as `--py-files` brings it, there is no such file.
        python_model.write_bytes((resources.files("customer_segmentation.stages") / _CODE).read_bytes())
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(python_model),
            artifacts={FOLDER: str(saved)},
            signature=ModelSignature(Schema(inputs), Schema(outputs)),
            pip_requirements=_requirements(),
            registered_model_name=settings.model,
        )
    if settings.model is None:
        return ""
    version = str(logged.registered_model_version)
    mlflow.MlflowClient().set_registered_model_alias(settings.model, settings.alias, version)
    return f"{settings.model} version {version}, {settings.alias}"


def _requirements() -> list[str]:
    """What a process needs that loads the model, beside the library itself, which no index has.

    Nothing where the library is not installed as a distribution.
    """
    try:
        of_library = requires("customer-segmentation") or []
    except PackageNotFoundError:
        return []
    own = [each for each in of_library if "extra ==" not in each]
    return [*own, f"pyspark=={pyspark.__version__}", "mlflow-skinny"]


def _save(model: SegmentationModel, folder: Path) -> None:
    """Write a model to a folder of this process, for `read_model`: Spark may not see it."""
    folder.mkdir()
    (folder / _TEXT).write_text(model.to_json(), encoding="utf-8")
    if isinstance(model, DBSCANModel):
        pq.write_table(model.core_points.toArrow(), folder / _CORE_POINTS)


def read_model(spark: SparkSession, folder: Path) -> SegmentationModel:
    """The model that MLflow keeps in a folder of this process.

    Raises:
        ConfigurationError: what is there is no model of this library.
    """
    text = (folder / _TEXT).read_text(encoding="utf-8")
    return model_from_json(text, lambda model: spark.createDataFrame(pq.read_table(folder / _CORE_POINTS)))
