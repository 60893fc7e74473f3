"""A copy of each training in MLflow, where the configuration asks for one: parameters, figures, the model, the report.

The tables stay what the library works with. So a training does not fail where MLflow can't be reached: the stage says
that there is no copy, and why.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from customer_segmentation import __version__
from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.clustering.dbscan import DBSCANModel
from customer_segmentation.config.schema import MLflow
from customer_segmentation.contract import columns as c
from customer_segmentation.log import log
from customer_segmentation.stages.run import Run

FOLDER = "segmentation_model"
"""The artifact with what `SegmentationModel.save` writes."""
OUTPUTS = {
    "segment_id": "integer",
    "segment_name": "string",
    "confidence": "double",
    "is_outlier": "boolean",
    "second_segment_id": "integer",
}
"""The columns of a prediction, and their types to MLflow."""
_REPORT = "report"


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

    def log_it(mlflow: Any, experiment: str) -> str:
        tags = {c.MODEL_VERSION: model.version, c.AS_OF_DATE: f"{model.trained_as_of}", "code_version": __version__}
        with mlflow.start_run(experiment_id=experiment, run_name=model.version, tags=tags):
            mlflow.log_params({**row["parameters"], "algorithm": model.algorithm, "k": model.k})
            mlflow.log_metrics(_figures(model, row["quality"]))
            version = _log_model(mlflow, model, settings)
        return f"in MLflow's experiment {settings.experiment}" + (f" as {version}" if version else "")

    return _told(model.version, settings, log_it)


def log_report(run: Run, model_version: str, path: Path) -> None:
    """Add the page to the training that it reports on, where that has none yet."""
    settings = run.config.mlflow
    if settings.experiment is None:
        return

    def log_it(mlflow: Any, experiment: str) -> str:
        client = mlflow.MlflowClient()
        of_model = f"tags.{c.MODEL_VERSION} = '{model_version}'"
        found = client.search_runs([experiment], filter_string=of_model, max_results=1)
        if found and not client.list_artifacts(found[0].info.run_id, _REPORT):
            client.log_artifact(found[0].info.run_id, str(path), _REPORT)
        return ""

    _told(model_version, settings, log_it)


def _told(version: str, settings: MLflow, log_it: Callable[[Any, str], str]) -> str:
    """What became of a copy; why there is none, where MLflow fails."""
    try:
        with _tracking(settings) as mlflow:
            experiment = mlflow.get_experiment_by_name(settings.experiment)
            created = None if experiment is not None else mlflow.create_experiment(settings.experiment)
            return log_it(mlflow, created or experiment.experiment_id)
    except Exception as error:  # of MLflow, of its store, of the network
        reason = (str(error).strip().splitlines() or [""])[0]
        log.warning("MLflow has no copy of %s: %s: %s", version, type(error).__name__, reason)
        return f"MLflow has no copy of it, {type(error).__name__}: {reason}"


@contextmanager
def _tracking(settings: MLflow) -> Iterator[Any]:
    """MLflow, with the configured store for the block."""
    import mlflow

    before = mlflow.get_tracking_uri()
    if settings.tracking_uri is not None:
        mlflow.set_tracking_uri(settings.tracking_uri)
    try:
        yield mlflow
    finally:
        mlflow.set_tracking_uri(before)


def _figures(model: SegmentationModel, quality: Mapping[str, float]) -> dict[str, float]:
    """The figures of a training, those of segments by their ids."""
    return {**quality, **{f"stability_of_segment_{segment}": value for segment, value in model.stability.items()}}


def _log_model(mlflow: Any, model: SegmentationModel, settings: MLflow) -> str:
    """Log a model as one that MLflow can load and apply to pandas; its name and version where it is registered."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    numbers = set(model.preparation.numbers)
    inputs = [ColSpec("double" if name in numbers else "string", name) for name in model.preparation.inputs]
    outputs = [ColSpec(type_, name) for name, type_ in OUTPUTS.items()]
    with TemporaryDirectory() as folder:
        saved = Path(folder) / FOLDER
        _save(model, saved)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("tracked_model.py")),
            artifacts={FOLDER: str(saved)},
            signature=ModelSignature(Schema(inputs), Schema(outputs)),
            pip_requirements=[f"customer-segmentation[spark,mlflow]=={__version__}"],
            registered_model_name=settings.model,
        )
    if settings.model is None:
        return ""
    version = str(logged.registered_model_version)
    mlflow.MlflowClient().set_registered_model_alias(settings.model, settings.alias, version)
    return f"{settings.model} version {version}, {settings.alias}"


def _save(model: SegmentationModel, folder: Path) -> None:
    """Write what `SegmentationModel.save` writes, to a folder of the driver."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "part-0.txt").write_text(model.to_json() + "\n", encoding="utf-8")
    if isinstance(model, DBSCANModel):
        (folder / "core_points").mkdir()
        pq.write_table(model.core_points.toArrow(), folder / "core_points" / "part-0.parquet")
