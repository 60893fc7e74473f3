"""Customer attributes: one row per customer, whatever the source knows of them."""

from functools import reduce

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from customer_segmentation.config.schema import CustomerSource
from customer_segmentation.contract import columns as c
from customer_segmentation.ingest.refusals import FILE, JUDGEMENT, REASONS, ROW, refused_where, rows_of
from customer_segmentation.ingest.sources import CORRUPT, malformed
from customer_segmentation.ingest.values import as_text


def mapped_customers(spark: SparkSession, sources: list[CustomerSource]) -> DataFrame:
    """Every row that the sources' `where` keep.

    Returns:
        customer_id, then the mapped attributes, or all of the source's with none mapped; and the columns of
        `refusals.JUDGEMENT`: a row without a customer is refused.
    """
    frames = [_mapped(spark, source) for source in sources]
    rows = reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), frames)
    return rows.select(c.CUSTOMER_ID, *attributes(rows), *JUDGEMENT)


def judged_customers(spark: SparkSession, sources: list[CustomerSource]) -> DataFrame:
    """Like `mapped_customers`, with one row per customer kept.

    Of several rows for one customer the one with the largest values is kept, so the choice does not depend on their
    order; the others are refused.
    """
    rows = mapped_customers(spark, sources)
    names = attributes(rows)
    largest_first = [F.struct(*names).desc()] if names else []
    good = F.size(REASONS) == 0
    place = F.row_number().over(Window.partitionBy(c.CUSTOMER_ID, good).orderBy(*largest_first, ROW, FILE))
    is_another = good & (place > 1)
    against = F.when(is_another, F.array(F.lit("another_row"))).otherwise(F.col(REASONS))
    return rows.withColumn(REASONS, against)


def attributes(rows: DataFrame) -> list[str]:
    """The names of the attributes in rows of `mapped_customers`."""
    return [name for name in rows.columns if name not in (c.CUSTOMER_ID, *JUDGEMENT)]


def _mapped(spark: SparkSession, source: CustomerSource) -> DataFrame:
    rows = rows_of(spark, source)
    given = dict(source.columns.__pydantic_extra__ or {})
    if given:
        carried = [F.expr(text).alias(name) for name, text in given.items()]
    else:
        own = {c.SOURCE_FILE, CORRUPT, source.columns.customer_id, *JUDGEMENT}
        carried = [F.col(f"`{name}`").alias(_safe(name)) for name in rows.columns if name not in own]
    customer_id = as_text(F.expr(source.columns.customer_id))
    return refused_where(
        rows,
        {"malformed_line": malformed(rows), "missing_customer": customer_id.isNull()},
        customer_id.alias(c.CUSTOMER_ID),
        *carried,
    )


def _safe(name: str) -> str:
    """A name Delta takes: anything but letters, digits and underscores becomes an underscore."""
    return "".join(character if character.isalnum() or character == "_" else "_" for character in name)
