"""Customer attributes: one row per customer, whatever the source knows of them."""

from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import CustomerSource
from customer_segmentation.contract import columns as c
from customer_segmentation.ingest.sources import CORRUPT, read_source, with_lookups
from customer_segmentation.ingest.transactions import left_out
from customer_segmentation.ingest.values import as_text


def mapped_customers(spark: SparkSession, sources: list[CustomerSource]) -> DataFrame:
    """Every row of the sources: customer_id, then the mapped attributes, or all of the source's with none mapped."""
    frames = [_mapped(spark, source) for source in sources]
    return reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), frames)


def customer_attributes(rows: DataFrame) -> DataFrame:
    """One of the mapped rows per customer.

    Of several rows for one customer the largest is kept, so the choice does not depend on their order. Rows without
    a customer are left out.
    """
    known = rows.where(F.col(c.CUSTOMER_ID).isNotNull())
    attributes = [name for name in rows.columns if name != c.CUSTOMER_ID]
    if not attributes:
        return known.distinct()
    largest = F.max(F.struct(*attributes)).alias("_row")
    return known.groupBy(c.CUSTOMER_ID).agg(largest).select(c.CUSTOMER_ID, "_row.*")


def _mapped(spark: SparkSession, source: CustomerSource) -> DataFrame:
    frame = with_lookups(spark, read_source(spark, source).where(~left_out(source)), source)
    attributes = dict(source.columns.__pydantic_extra__ or {})
    if attributes:
        carried = [F.expr(text).alias(name) for name, text in attributes.items()]
    else:
        others = [name for name in frame.columns if name not in (c.SOURCE_FILE, CORRUPT, source.columns.customer_id)]
        carried = [F.col(f"`{name}`").alias(_safe(name)) for name in others]
    return frame.select(as_text(F.expr(source.columns.customer_id)).alias(c.CUSTOMER_ID), *carried)


def _safe(name: str) -> str:
    """A name Delta takes: anything but letters, digits and underscores becomes an underscore."""
    return "".join(character if character.isalnum() or character == "_" else "_" for character in name)
