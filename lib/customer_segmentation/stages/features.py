"""Canonical tables to `customer_features`: one row per customer at the as-of date."""

from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.features.build import customer_features
from customer_segmentation.features.rfm import CutPoints, cut_points, with_rfm
from customer_segmentation.ingest.returns import undone_orders
from customer_segmentation.spark.holding import held
from customer_segmentation.stages.run import Run


def build_features(run: Run) -> None:
    """Compute and write the run's customers; RFM scores use the cut points of the model that will be used again.

    Raises:
        DataRefusedError: no customer has a purchase before the as-of date.
    """
    with run.progress.stage("features", "one row per customer") as stage:
        until = F.lit(run.as_of).cast("timestamp")
        lines = run.transactions().where(F.col(c.ORDERED_AT) < until)
        features = customer_features(
            lines,
            run.engagement(),
            undone_orders(lines, run.returns().where(F.col(c.RETURNED_AT) < until)),
            as_of=run.as_of,
            response_events=run.config.features.response_events,
        )
        with held(features) as kept:
            if kept.isEmpty():
                raise DataRefusedError(f"no customer has a purchase before {run.as_of}; is the as-of date right?")
            model = run.young_model
            cuts = CutPoints.from_dict(model.cut_points) if model else cut_points(kept)
            frame = with_rfm(kept, cuts).withColumn(c.RUN_ID, F.lit(run.run_id))
            run.warehouse.replace(t.CUSTOMER_FEATURES, frame, column=c.RUN_ID, value=run.run_id)
        stage.result = f"{run.features().count():,} customers as of {run.as_of}"
