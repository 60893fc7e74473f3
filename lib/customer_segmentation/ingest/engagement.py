"""Engagement events: what was sent to customers and how they answered."""

from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import NullType

from customer_segmentation.config.schema import EngagementSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.tables import ENGAGEMENT
from customer_segmentation.ingest.expressions import gives_local_time
from customer_segmentation.ingest.rejections import FILE, REASONS, ROW, rows_of, validated_rows
from customer_segmentation.ingest.sources import malformed, place_of, require_columns
from customer_segmentation.ingest.values import TIME, as_id, as_text, as_timestamp, mapped, source_value, time_text
from customer_segmentation.spark.local_time import UTC


def validated_events(spark: SparkSession, sources: list[EngagementSource], *, timezone: str = UTC) -> DataFrame:
    """Every row that the sources' `where` keep in the canonical columns, what can't be read as null.

    Args:
        timezone: of times without an offset, where a source names none.

    Returns:
        The columns of `engagement`, and `rejections.VALIDATION_COLUMNS`: a row without a customer, a time or a type is
        rejected, and so is one that equals another row in every column of `engagement`.
    """
    rows = reduce(DataFrame.unionByName, [_validated(spark, source, source.timezone or timezone) for source in sources])
    # Rejected rows are no copies of each other; their texts keep them from meeting in one place.
    event = [*map(F.col, ENGAGEMENT.column_names), F.when(F.size(REASONS) > 0, F.xxhash64(ROW))]
    number = F.row_number().over(Window.partitionBy(*event).orderBy(FILE, ROW))
    is_copy = (F.size(REASONS) == 0) & (number > 1)
    rows = rows.withColumn(REASONS, F.when(is_copy, F.array(F.lit("duplicate"))).otherwise(F.col(REASONS)))
    # The source row is serialised for those alone: there are many events.
    return rows.withColumn(ROW, F.when(F.size(REASONS) > 0, F.col(ROW)))


def _validated(spark: SparkSession, source: EngagementSource, timezone: str) -> DataFrame:
    columns = source.columns
    rows = rows_of(spark, source)
    require_columns(source, columns.model_dump(exclude_none=True).values(), rows)
    text = time_text(columns.occurred_at, rows, source)
    at, given = mapped(text, rows), source_value(text, rows)
    _require_time(at, rows, source)
    customer_id, event_type = as_id(mapped(columns.customer_id, rows)), as_text(mapped(columns.event_type, rows))
    is_local = gives_local_time(text)
    occurred_at = as_timestamp(at, source.timestamp_format, timezone=timezone, is_local=is_local)
    return validated_rows(
        rows,
        {
            "malformed_line": malformed(rows),
            "missing_customer": customer_id.isNull(),
            "missing_date": given.isNull(),
            "unreadable_date": given.isNotNull() & occurred_at.isNull(),
            "missing_event_type": event_type.isNull(),
        },
        customer_id.alias(c.CUSTOMER_ID),
        occurred_at.alias(c.OCCURRED_AT),
        event_type.alias(c.EVENT_TYPE),
        as_text(mapped(columns.channel, rows)).alias(c.CHANNEL),
        as_text(mapped(columns.campaign_id, rows)).alias(c.CAMPAIGN_ID),
    )


def _require_time(at: Column, rows: DataFrame, source: EngagementSource) -> None:
    """Reject a mapping of occurred_at that can't be a time: a number would become one of seconds since 1970."""
    type_, (kinds, expected) = rows.select(at).schema[0].dataType, TIME
    if not isinstance(type_, (*kinds, NullType)):
        raise DataRejectedError(
            f"{place_of(source)}: the mapping does not fit the source: occurred_at must be {expected}, but "
            f"{source.columns.occurred_at!r} is {type_.simpleString()}"
        )
