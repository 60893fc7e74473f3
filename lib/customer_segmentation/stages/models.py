"""The registered models: `model_runs`."""

from datetime import timedelta

from pyspark.sql import functions as F

from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.contract import tables as t
from customer_segmentation.stages.run import Run


def newest_model(run: Run) -> CentroidModel | None:
    """The newest model of the run's settings that was trained at or before its as-of date."""
    if not run.warehouse.exists(t.MODEL_RUNS):
        return None
    row = (
        run.warehouse.read(t.MODEL_RUNS)
        .where((F.col("configuration") == run.model_settings) & (F.col("trained_as_of") <= F.lit(run.as_of)))
        .orderBy(F.desc("trained_as_of"))
        .select("model")
        .first()
    )
    return CentroidModel.from_json(row["model"]) if row else None


def reusable_model(run: Run) -> CentroidModel | None:
    """The newest model, as long as it is less than `clustering.retrain_after_days` old at the as-of date."""
    model = newest_model(run)
    if model is None:
        return None
    age = run.as_of - model.trained_as_of
    return model if age < timedelta(days=run.config.clustering.retrain_after_days) else None
