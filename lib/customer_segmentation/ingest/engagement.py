"""Engagement events: what was sent to customers and how they answered."""

from functools import reduce

from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.config.schema import EngagementSource
from customer_segmentation.contract import columns as c
from customer_segmentation.ingest.sources import read_source, with_lookups
from customer_segmentation.ingest.transactions import left_out
from customer_segmentation.ingest.values import as_text, as_timestamp, mapped


def mapped_events(spark: SparkSession, sources: list[EngagementSource]) -> DataFrame:
    """Every row of the sources in the canonical columns, what can't be read as null."""
    return reduce(DataFrame.unionByName, [_mapped(spark, source) for source in sources])


def engagement_events(rows: DataFrame) -> DataFrame:
    """Those of the mapped rows that have a customer, a time and a type."""
    return rows.dropna(subset=[c.CUSTOMER_ID, c.OCCURRED_AT, c.EVENT_TYPE])


def _mapped(spark: SparkSession, source: EngagementSource) -> DataFrame:
    frame = with_lookups(spark, read_source(spark, source).where(~left_out(source)), source)
    columns = source.columns
    return frame.select(
        as_text(mapped(columns.customer_id)).alias(c.CUSTOMER_ID),
        as_timestamp(mapped(columns.occurred_at), source.timestamp_format).alias(c.OCCURRED_AT),
        as_text(mapped(columns.event_type)).alias(c.EVENT_TYPE),
        as_text(mapped(columns.channel)).alias(c.CHANNEL),
        as_text(mapped(columns.campaign_id)).alias(c.CAMPAIGN_ID),
    )
