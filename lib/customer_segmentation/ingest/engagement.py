"""Engagement events: what was sent to customers and how they answered."""

from functools import reduce

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from customer_segmentation.config.schema import EngagementSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import ENGAGEMENT
from customer_segmentation.ingest.expressions import gives_local_time
from customer_segmentation.ingest.rejections import FILE, REASONS, ROW, rows_of, validated_rows
from customer_segmentation.ingest.sources import malformed, require_columns
from customer_segmentation.ingest.values import as_id, as_text, as_timestamp, mapped, source_value
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
    at = mapped(columns.occurred_at, rows)
    given = source_value(columns.occurred_at, rows)
    customer_id, event_type = as_id(mapped(columns.customer_id, rows)), as_text(mapped(columns.event_type, rows))
    is_local = gives_local_time(columns.occurred_at)
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
