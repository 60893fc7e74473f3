"""A batch of order lines beside those that were read before: which orders it concerns, and what changes in the tables.

What is said of a line depends on the other lines of its order and on no more (see `ingest.orders`). So a batch takes
the lines of its orders out of the tables, adds the inserted lines, removes the deleted ones, resolves the result,
and changes in the tables what is no longer the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import CHECKS, NOT_KNOWN_YET
from customer_segmentation.contract.tables import REJECTED_TRANSACTIONS, TRANSACTIONS
from customer_segmentation.ingest.orders import BROADCAST_LIMIT, FILLED, order_key, unfilled
from customer_segmentation.ingest.values import storable
from customer_segmentation.spark.local_time import UTC, start_of_day
from customer_segmentation.spark.persistence import checkpointed

_ORDER = "_order"
_LINE = [*REJECTED_TRANSACTIONS.column_names]
_HAD = ("had_reasons", "had_warnings", "had_customer", "had_date")


@dataclass(frozen=True)
class Orders:
    """Orders to look up: digests of their numbers, how many, and the range of the numbers, for files to be skipped.

    first, last: None where no line has a number.
    """

    keys: DataFrame
    count: int
    first: str | None
    last: str | None


def multiset_difference(lines: DataFrame, subtracted: DataFrame) -> DataFrame:
    """The lines less as many equal ones as are subtracted, of those rejected before those accepted.

    Args:
        lines: as `orders.resolved` gives them, or `transactions.validated_lines`.
        subtracted: has `line_id`, once for each line to take away.
    """
    counts = subtracted.groupBy(c.LINE_ID).agg(F.count(F.lit(1)).alias("_subtracted"))
    equal = Window.partitionBy(c.LINE_ID).orderBy(F.size(c.REASONS).desc(), F.desc_nulls_last(c.SOURCE_FILE))
    numbered = lines.join(counts, on=c.LINE_ID, how="left").withColumn("_number", F.row_number().over(equal))
    is_kept = F.col("_subtracted").isNull() | (F.col("_number") > F.col("_subtracted"))
    return numbered.where(is_kept).drop("_subtracted", "_number")


def orders_of(lines: DataFrame) -> DataFrame:
    """The order of each line: its digest and its number."""
    return lines.select(order_key().alias(_ORDER), c.ORDER_ID)


def distinct_orders(lines: Sequence[DataFrame]) -> Orders:
    """The orders among rows of `orders_of`. Reads the lines once."""
    distinct = checkpointed(reduce(DataFrame.unionByName, lines).distinct())
    row = distinct.agg(F.count(F.lit(1)), F.min(c.ORDER_ID), F.max(c.ORDER_ID)).first()
    assert row is not None, "an aggregation without grouping has one row"
    return Orders(distinct.select(_ORDER), *row)


def known_by_now(lines: DataFrame, codes: str, known_before: date, timezone: str = UTC) -> DataFrame:
    """The lines that were ordered too late to be known when they were read, and are known now.

    Args:
        codes: the column that says so, reasons of rejected lines or warnings of accepted ones.
    """
    is_late = F.array_contains(codes, NOT_KNOWN_YET)
    return lines.where(is_late & (F.col(c.ORDERED_AT) < start_of_day(known_before, timezone)))


def existing_rows(
    transactions: DataFrame, rejected: DataFrame, orders: Orders, *, known_before: date, timezone: str = UTC
) -> DataFrame:
    """The lines of some orders that were read before, as they were before they were resolved with each other.

    Runs one aggregation over the numbers and times of the accepted lines: a day's orders are mostly new, and then all
    columns are read of no line.

    Args:
        transactions, rejected: the tables.
        orders: whose lines.
        known_before: lines before this day are known now.
        timezone: whose day it is.

    Returns:
        The columns of `transactions.validated_lines`, of a rejected line with when it was read and by which batch; and
        what the tables have: `had_reasons`, `had_warnings`, `had_customer`, `had_date`.
    """
    near = _near(transactions.select(TRANSACTIONS.column_names), orders)
    accepted = _lines_of(near, orders).select(
        *TRANSACTIONS.column_names,
        F.lit(None).cast("string").alias(c.SOURCE_FILE),
        F.lit(None).cast("string").alias(c.ROW),
        F.array().cast("array<string>").alias(c.REASONS),
        F.lit(None).cast("timestamp").alias(c.INGESTED_AT),
        F.lit(None).cast("string").alias(c.BATCH_ID),
    )
    lines = accepted.unionByName(_lines_of(rejected.select(_LINE), orders))
    is_known = F.col(c.ORDERED_AT) < start_of_day(known_before, timezone)
    stored_columns = dict(zip(_HAD, (c.REASONS, c.WARNINGS, c.CUSTOMER_ID, c.ORDERED_AT), strict=True))
    as_read = unfilled(lines.withColumns({name: F.col(column) for name, column in stored_columns.items()}))
    codes_of_orders = F.array(*(F.lit(check.code) for check in CHECKS if check.condition is None))
    own = F.array_except(c.REASONS, codes_of_orders)
    warnings = F.array_except(c.WARNINGS, codes_of_orders)
    return as_read.withColumns(
        {
            column: F.when(is_known, F.array_remove(codes, NOT_KNOWN_YET)).otherwise(codes)
            for column, codes in ((c.REASONS, own), (c.WARNINGS, warnings))
        }
    )


def together(existing: DataFrame, inserted: DataFrame) -> DataFrame:
    """The lines that were read before and those of the batch, in the columns of the former."""
    return existing.select(_LINE).unionByName(inserted.select(_LINE))


def changed_lines(before: DataFrame, after: DataFrame) -> DataFrame:
    """The `line_id`s of which the two have other lines: another number of them, other codes, other filled-in fields.

    Args:
        before: as `existing_rows` gives them.
        after: the same lines with those of the batch, resolved.
    """
    removed = before.select(c.LINE_ID, _outcome(*_HAD).alias("outcome"), F.lit(1).alias("n"))
    outcome = _outcome(c.REASONS, c.WARNINGS, c.CUSTOMER_ID, c.ORDERED_AT)
    added = after.select(c.LINE_ID, outcome.alias("outcome"), F.lit(-1).alias("n"))
    differences = removed.unionByName(added).groupBy(c.LINE_ID, "outcome").agg(F.sum("n").alias("n"))
    return differences.where("n <> 0").select(c.LINE_ID).distinct()


def as_accepted(lines: DataFrame) -> DataFrame:
    """The lines without a reason against them, as rows of `transactions`."""
    return lines.where(F.size(c.REASONS) == 0).select(TRANSACTIONS.column_names)


def as_rejected(lines: DataFrame, *, batch_id: str) -> DataFrame:
    """The lines with reasons against them, as rows of `rejected_transactions`.

    The source row of a line that was accepted before is not kept: its columns in `transactions` stand for it, without
    what it took from the other lines of its order.
    """
    own = {
        column: F.when(~F.array_contains(c.WARNINGS, code), F.col(column)).alias(column)
        for code, (column, _) in FILLED.items()
    }
    columns = F.to_json(F.struct(*(own.get(name, F.col(name)) for name in TRANSACTIONS.column_names)))
    return (
        lines.where(F.size(c.REASONS) > 0)
        .withColumns(
            {
                c.ORDERED_AT: storable(F.col(c.ORDERED_AT)),
                c.SOURCE_FILE: F.coalesce(c.SOURCE_FILE, F.lit(TRANSACTIONS.name)),
                c.ROW: F.coalesce(c.ROW, columns),
                c.INGESTED_AT: F.coalesce(c.INGESTED_AT, F.current_timestamp()),
                c.BATCH_ID: F.coalesce(c.BATCH_ID, F.lit(batch_id)),
            }
        )
        .select(REJECTED_TRANSACTIONS.column_names)
    )


def made_of_columns(name: str) -> Column:
    """A column in the row of a rejected line that was accepted before; null in the rows of others."""
    return F.when(F.col(c.SOURCE_FILE) == TRANSACTIONS.name, F.get_json_object(c.ROW, f"$.{name}"))


def _near(transactions: DataFrame, orders: Orders) -> DataFrame:
    """The lines between the first and the last line of some orders, by number and time; none where they have none."""
    if orders.count == 0:
        return transactions.where(F.lit(False))
    lines = _lines_of(transactions.select(c.LINE_ID, c.ORDER_ID, c.ORDERED_AT), orders)
    at = F.unix_micros(c.ORDERED_AT)  # a number comes back as it is, a local time may be there twice
    row = lines.agg(F.count(F.lit(1)), F.min(c.ORDER_ID), F.max(c.ORDER_ID), F.min(at), F.max(at)).first()
    assert row is not None, "an aggregation without grouping has one row"
    lines_found, first, last, since, until = row
    if lines_found == 0:
        return transactions.where(F.lit(False))
    by_number = F.col(c.ORDER_ID).between(F.lit(first), F.lit(last))
    by_time = F.col(c.ORDERED_AT).between(*(F.timestamp_micros(F.lit(each)) for each in (since, until)))
    return transactions.where((F.col(c.ORDER_ID).isNull() | by_number) & (F.col(c.ORDERED_AT).isNull() | by_time))


def _lines_of(table: DataFrame, orders: Orders) -> DataFrame:
    if orders.first is None or orders.last is None:
        numbered = F.lit(False)
    else:
        numbered = F.col(c.ORDER_ID).between(orders.first, orders.last)
    # The keys decide; the range lets files be skipped that have none of them.
    lines = table.where(numbered | F.col(c.ORDER_ID).isNull()).withColumn(_ORDER, order_key())
    keys = F.broadcast(orders.keys) if orders.count <= BROADCAST_LIMIT else orders.keys
    return lines.join(keys, on=_ORDER, how="left_semi").drop(_ORDER)


def _outcome(reasons: str, warnings: str, customer: str, ordered_at: str) -> Column:
    """What the order makes of a line, as one text."""
    return F.concat_ws(" ", reasons, F.lit("|"), warnings, customer, F.col(ordered_at).cast("string"))
