"""Validation of rows of customers and events: accepted ones, and rejected ones with their reasons.

Each row is validated by itself and the tables are always replaced whole, unlike those of order lines (see `checks`).
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Source
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import ROW_REASONS
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.ingest.expressions import quoted
from customer_segmentation.ingest.files import original_name
from customer_segmentation.ingest.sources import malformed, read_source, with_lookups
from customer_segmentation.ingest.transactions import count_filtered_out, is_filtered_out, line_as_json

# Names that no source has: one may well have a column named row.
FILE, ROW, REASONS = "_segmentation_source_file", "_segmentation_row", "_segmentation_reasons"
VALIDATION_COLUMNS = (FILE, ROW, REASONS)
"""Columns of a validated row: its origin, the source's row as JSON, and the codes against it (empty: accepted)."""


def rows_of(spark: SparkSession, source: Source) -> DataFrame:
    """The rows that the source's `where` keeps, with its look-ups, and `FILE` and `ROW`."""
    rows = _read(spark, source)
    rows = rows.where(~is_filtered_out(source, rows))
    own = [name for name in rows.columns if name != FILE]
    row = F.struct(*(F.col(quoted(name)) for name in own))
    return with_lookups(spark, rows.withColumn(ROW, line_as_json(row, own, malformed(rows))), source)


def count_filtered_out_rows(spark: SparkSession, source: Source) -> int:
    """How many rows the source's `where` filters out. Reads a source that has one."""
    return 0 if source.where is None else count_filtered_out(_read(spark, source), source)


def _read(spark: SparkSession, source: Source) -> DataFrame:
    """The source's own columns, unchanged, and `FILE`; one of its own may be named source_file."""
    rows = read_source(spark, source)
    return rows.toDF(*(FILE if name == c.SOURCE_FILE else original_name(name) for name in rows.columns))


def without_order(rows: DataFrame, lines: DataFrame) -> int:
    """How many rows are of customers who have no order line. Runs one join over ids.

    Args:
        rows: with a customer_id.
        lines: order lines in the columns of the `transactions` table.
    """
    ids = lines.select(c.CUSTOMER_ID).distinct()
    return rows.select(c.CUSTOMER_ID).join(ids, on=c.CUSTOMER_ID, how="left_anti").count()


def validated_rows(rows: DataFrame, reasons: Mapping[str, Column], *columns: Column) -> DataFrame:
    """Some columns of each row, and `VALIDATION_COLUMNS`.

    Args:
        rows: of `rows_of`.
        reasons: when each holds against a row; never null.
        columns: what the row is made into.
    """
    against = F.array_compact(F.array(*(F.when(holds, F.lit(code)) for code, holds in reasons.items())))
    return rows.select(*columns, FILE, ROW, against.alias(REASONS))


def count_rows(rows: DataFrame, *, filtered_out: int = 0, suppressed: int = 0) -> RowCounts:
    """Count validated rows by outcome. Runs one aggregation.

    Args:
        filtered_out: how many more are filtered out.
        suppressed: those of them that are of suppressed customers.
    """
    row = rows.agg(
        F.count_if(F.size(REASONS) == 0).alias("accepted"),
        F.count_if(F.size(REASONS) > 0).alias("rejected"),
        *(F.count_if(F.array_contains(REASONS, code)).alias(code) for code in ROW_REASONS),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    return RowCounts(
        row["accepted"] + row["rejected"] + filtered_out,
        row["accepted"],
        row["rejected"],
        filtered_out,
        by_reason={code: row[code] for code in ROW_REASONS if row[code]},
        suppressed=suppressed,
    )


def accepted(rows: DataFrame) -> DataFrame:
    """The rows without a reason against them, without `VALIDATION_COLUMNS`."""
    return rows.where(F.size(REASONS) == 0).drop(*VALIDATION_COLUMNS)


def rejected(rows: DataFrame, *, batch_id: str) -> DataFrame:
    """The rows with a reason against them, as rows of `rejected_customers` or `rejected_engagement`."""
    return rows.where(F.size(REASONS) > 0).select(
        F.col(FILE).alias(c.SOURCE_FILE),
        F.col(ROW).alias(c.ROW),
        F.col(REASONS).alias(c.REASONS),
        F.current_timestamp().alias(c.INGESTED_AT),
        F.lit(batch_id).alias(c.BATCH_ID),
        c.CUSTOMER_ID,
    )
