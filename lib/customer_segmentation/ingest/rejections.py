"""Rows of customers and events, told apart: those that are kept, and those that are refused, with their reasons.

They are judged by themselves and never changed in part, so they need none of what order lines do (see `checks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Source
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.reasons import RowReason
from customer_segmentation.ingest.sources import malformed, read_source, with_lookups
from customer_segmentation.ingest.transactions import as_it_came, count_left_out, left_out

# Names that no source has: one may well have a column named row.
FILE, ROW, REASONS = "_segmentation_source_file", "_segmentation_row", "_segmentation_reasons"
JUDGEMENT = (FILE, ROW, REASONS)
"""The columns that say of a row where it came from, what it was (JSON), and the codes against it (empty: kept)."""


def rows_of(spark: SparkSession, source: Source) -> DataFrame:
    """The rows that the source's `where` keeps, with its look-ups, and `FILE` and `ROW`."""
    rows = _read(spark, source)
    rows = rows.where(~left_out(source, rows=rows))
    own = [name for name in rows.columns if name != FILE]
    row = F.struct(*(F.col(f"`{name}`") for name in own))
    return with_lookups(spark, rows.withColumn(ROW, as_it_came(row, own, malformed(rows))), source)


def rows_left_out(spark: SparkSession, source: Source) -> int:
    """How many rows the source's `where` leaves out. Reads a source that has one."""
    return count_left_out(_read(spark, source), source)


def _read(spark: SparkSession, source: Source) -> DataFrame:
    """The source's own columns as they came, and `FILE`; one of its own may be named source_file."""
    rows = read_source(spark, source)
    last = len(rows.columns) - 1 - rows.columns[::-1].index(c.SOURCE_FILE)
    return rows.toDF(*rows.columns[:last], FILE, *rows.columns[last + 1 :])


def without_order(rows: DataFrame, lines: DataFrame) -> int:
    """How many rows are of customers who have no order line. Runs one join over ids.

    Args:
        rows: with a customer_id.
        lines: order lines in the columns of the `transactions` table.
    """
    ids = lines.select(c.CUSTOMER_ID).distinct()
    return rows.select(c.CUSTOMER_ID).join(ids, on=c.CUSTOMER_ID, how="left_anti").count()


def refused_where(rows: DataFrame, reasons: Mapping[RowReason, Column], *columns: Column) -> DataFrame:
    """The columns of each row and its judgement.

    Args:
        rows: of `rows_of`.
        reasons: when each holds against a row; never null.
        columns: what the row is made into.
    """
    against = F.array_compact(F.array(*(F.when(holds, F.lit(code)) for code, holds in reasons.items())))
    return rows.select(*columns, FILE, ROW, against.alias(REASONS))


@dataclass(frozen=True)
class RowAccount:
    """How many rows are kept and refused, and how many of those by reason; a row counts under each of its reasons."""

    kept: int
    refused: int
    by_reason: dict[RowReason, int]


def account(judged: DataFrame) -> RowAccount:
    """Count rows by their judgement. Runs one aggregation."""
    codes = get_args(RowReason)
    row = judged.agg(
        F.count_if(F.size(REASONS) == 0).alias("kept"),
        F.count_if(F.size(REASONS) > 0).alias("refused"),
        *(F.count_if(F.array_contains(REASONS, code)).alias(code) for code in codes),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    return RowAccount(row["kept"], row["refused"], {code: row[code] for code in codes if row[code]})


def kept(judged: DataFrame) -> DataFrame:
    """The rows that nothing is against, without their judgement."""
    return judged.where(F.size(REASONS) == 0).drop(*JUDGEMENT)


def refused(judged: DataFrame, *, batch_id: str) -> DataFrame:
    """The rows that something is against, as rows of `rejected_customers` or `rejected_engagement`."""
    return judged.where(F.size(REASONS) > 0).select(
        F.col(FILE).alias(c.SOURCE_FILE),
        F.col(ROW).alias(c.ROW),
        F.col(REASONS).alias(c.REASONS),
        F.current_timestamp().alias(c.INGESTED_AT),
        F.lit(batch_id).alias(c.BATCH_ID),
    )
