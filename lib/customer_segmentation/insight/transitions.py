"""Transitions: customers by the segment of the previously published run and their segment now."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c


def with_previous(assigned: DataFrame, previous: DataFrame | None) -> DataFrame:
    """The assigned customers with previous_segment_id, null for customers that the previous run did not have."""
    if previous is None:
        return assigned.withColumn(c.PREVIOUS_SEGMENT_ID, F.lit(None).cast("int"))
    before = previous.select(c.CUSTOMER_ID, F.col(c.SEGMENT_ID).alias(c.PREVIOUS_SEGMENT_ID))
    return assigned.join(before, on=c.CUSTOMER_ID, how="left")


def transitions(assigned: DataFrame) -> DataFrame:
    """Customers and net spend by previous and present segment."""
    return assigned.groupBy(
        F.col(c.PREVIOUS_SEGMENT_ID).alias("from_segment_id"), F.col(c.SEGMENT_ID).alias("to_segment_id")
    ).agg(F.count(F.lit(1)).alias("customers"), F.sum(c.MONETARY).alias("revenue"))
