"""Canonical tables to `customer_features`: one row per customer at the as-of date."""

from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.display.formatting import count, share
from customer_segmentation.features.attributes import with_has_attributes
from customer_segmentation.features.build import features_of
from customer_segmentation.features.rfm import CutPoints, cut_points, with_rfm
from customer_segmentation.features.sums import sums_that_fit
from customer_segmentation.spark.holding import held
from customer_segmentation.stages.history import bring_up_to_date
from customer_segmentation.stages.run import Run


def build_features(run: Run) -> None:
    """Compute and write the run's customers; RFM scores use the cut points of the model that will be used again.

    Raises:
        DataRefusedError: no customer has a purchase before the as-of date, or the sums of one are too large.
    """
    settings = run.config.features
    with run.progress.stage("features", "one row per customer") as stage, sums_that_fit(run.transactions()):
        told = bring_up_to_date(run)
        features = features_of(
            run.warehouse.read(t.CUSTOMER_HISTORY),
            run.warehouse.read(t.CUSTOMER_DAYS),
            run.engagement(),
            as_of=run.as_of,
            response_events=settings.response_events,
            windows=settings.windows.days(),
        )
        with held(features) as kept:
            if kept.isEmpty():
                raise DataRefusedError(f"no customer has a purchase before {run.as_of}; is the as-of date right?")
            model = run.young_model
            cuts = CutPoints.from_dict(model.cut_points) if model else cut_points(kept)
            frame = with_has_attributes(with_rfm(kept, cuts), run.customers()).withColumn(c.RUN_ID, F.lit(run.run_id))
            run.warehouse.replace(t.CUSTOMER_FEATURES, frame, column=c.RUN_ID, value=run.run_id)
        stage.result = "; ".join([_counted(run), told, *run.as_of_remarks()])


def _counted(run: Run) -> str:
    """How many customers there are, and how many of them have no row among those with attributes."""
    rows = run.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=run.run_id)
    counts = rows.agg(F.count(F.lit(1)), F.count_if(~F.col(c.HAS_ATTRIBUTES))).first()
    assert counts is not None, "an aggregation without grouping has one row"
    customers, unknown = counts
    told = f"{count(customers)} customers as of {run.as_of}"
    if run.customers() is None or not unknown:
        return told
    hint = "" if unknown < customers else ": do the ids of the sources fit?"
    return f"{told}; {count(unknown)} of them ({share(unknown / customers)}) have no row in customers{hint}"
