"""Transitions: customers by the segment of the previously published run and their segment now, and why they moved."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.contract import columns as c

UNCHANGED_MODEL_SEGMENT_ID = "_unchanged_model_segment_id"
"""The segment that the previous run's model gives a customer today."""


def with_previous(assigned: DataFrame, previous: DataFrame | None) -> DataFrame:
    """The assigned customers with previous_segment_id, null for customers that the previous run did not have."""
    if previous is None:
        return assigned.withColumn(c.PREVIOUS_SEGMENT_ID, F.lit(None).cast("int"))
    before = previous.select(c.CUSTOMER_ID, F.col(c.SEGMENT_ID).alias(c.PREVIOUS_SEGMENT_ID))
    return assigned.join(before, on=c.CUSTOMER_ID, how="left")


def assigned_by_both(features: DataFrame, model: SegmentationModel, previous: SegmentationModel | None) -> DataFrame:
    """What the model's `assign` returns, with the segment that the previous run's model gives each customer today.

    Args:
        previous: that model; None where it is not known. The model itself where it has not changed.
    """
    if previous is None:
        return model.assign(features).withColumn(UNCHANGED_MODEL_SEGMENT_ID, F.lit(None).cast("int"))
    if previous.version == model.version:
        return model.assign(features).withColumn(UNCHANGED_MODEL_SEGMENT_ID, F.col(c.SEGMENT_ID))
    by_previous = previous.assign(features).withColumn(UNCHANGED_MODEL_SEGMENT_ID, F.col(c.SEGMENT_ID))
    return model.assign(by_previous)


def transitions(assigned: DataFrame) -> DataFrame:
    """Customers and net spend by previous and present segment, and why those who changed segment did.

    A change is the customer's where the previous model would have ended it too, and the model's where by that model the
    customer would be where it was: like is compared with like.

    Args:
        assigned: of `assigned_by_both`, with previous_segment_id.
    """
    before, now, unchanged = (F.col(name) for name in (c.PREVIOUS_SEGMENT_ID, c.SEGMENT_ID, UNCHANGED_MODEL_SEGMENT_ID))

    def moved(because: Column) -> Column:
        # Null where one of the segments is.
        return F.sum(((before != now) & because).cast("bigint"))

    return assigned.groupBy(before.alias("from_segment_id"), now.alias("to_segment_id")).agg(
        F.count(F.lit(1)).alias("customers"),
        F.sum(c.MONETARY).alias("revenue"),
        moved(before != unchanged).alias(c.MOVED_BY_BEHAVIOUR),
        moved(before == unchanged).alias(c.MOVED_BY_MODEL),
    )
