"""A batch of order lines beside those that were read before: which orders it concerns, and what changes in the tables.

What is said of a line depends on the other lines of its order and on no more (see `ingest.repeats`). So a batch takes
the lines of its orders out of the tables, adds what came and takes away what went, compares them anew, and changes in
the tables what is no longer the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.reasons import NOT_KNOWN_YET
from customer_segmentation.contract.tables import REJECTED_TRANSACTIONS, TRANSACTIONS
from customer_segmentation.ingest.repeats import FEW, IN_CONTEXT, order_key
from customer_segmentation.ingest.values import storable
from customer_segmentation.spark.holding import settled
from customer_segmentation.spark.local_time import UTC, start_of_day

_ORDER = "_order"
_LINE = [*REJECTED_TRANSACTIONS.column_names]


@dataclass(frozen=True)
class Orders:
    """Orders to look up: digests of their numbers, how many, and the range of the numbers, for files to be skipped.

    first, last: None where no line has a number.
    """

    keys: DataFrame
    count: int
    first: str | None
    last: str | None


def without(lines: DataFrame, taken: DataFrame) -> DataFrame:
    """The lines less as many equal ones as are taken away, of those refused before those accepted.

    Args:
        lines: as `repeats.compared` gives them, or `transactions.judged_lines`.
        taken: has `line_id`, once for each line to take away.
    """
    counts = taken.groupBy(c.LINE_ID).agg(F.count(F.lit(1)).alias("_taken"))
    equal = Window.partitionBy(c.LINE_ID).orderBy(F.size(c.REASONS).desc(), F.desc_nulls_last(c.SOURCE_FILE))
    numbered = lines.join(counts, on=c.LINE_ID, how="left").withColumn("_number", F.row_number().over(equal))
    return numbered.where(F.col("_taken").isNull() | (F.col("_number") > F.col("_taken"))).drop("_taken", "_number")


def orders_of(lines: DataFrame) -> DataFrame:
    """The order of each line: its digest and its number."""
    return lines.select(order_key().alias(_ORDER), c.ORDER_ID)


def orders(lines: Sequence[DataFrame]) -> Orders:
    """The orders among rows of `orders_of`. Reads the lines once."""
    every = settled(reduce(DataFrame.unionByName, lines).distinct())
    found = every.agg(F.count(F.lit(1)), F.min(c.ORDER_ID), F.max(c.ORDER_ID)).first()
    assert found is not None, "an aggregation without grouping has one row"
    return Orders(every.select(_ORDER), *found)


def known_by_now(rejected: DataFrame, latest: date, *, timezone: str = UTC) -> DataFrame:
    """The refused lines that were ordered too late to be known when they were read, and are known now."""
    return rejected.where(F.array_contains(c.REASONS, NOT_KNOWN_YET)).where(_is_before(latest, timezone))


def standing(
    transactions: DataFrame, rejected: DataFrame, among: Orders, *, latest: date, timezone: str = UTC
) -> DataFrame:
    """The lines of some orders that were read before, as they were before they were compared with each other.

    Args:
        transactions, rejected: the tables.
        among: orders.
        latest: lines before this day are known now.
        timezone: whose day it is.

    Returns:
        The columns of `transactions.judged_lines`; `was_refused` and `was_warned`, the codes that the tables have; and
        of a refused line when it was read, and by which batch.
    """
    accepted = _lines_of(transactions, among).select(
        *TRANSACTIONS.column_names,
        F.lit(None).cast("string").alias(c.SOURCE_FILE),
        F.lit(None).cast("string").alias(c.ROW),
        F.array().cast("array<string>").alias(c.REASONS),
        F.lit(None).cast("timestamp").alias(c.INGESTED_AT),
        F.lit(None).cast("string").alias(c.BATCH_ID),
    )
    lines = accepted.unionByName(_lines_of(rejected, among).select(REJECTED_TRANSACTIONS.column_names))
    later = F.array(*(F.lit(code) for code in IN_CONTEXT))
    own = F.array_except(c.REASONS, later)
    return lines.withColumns(
        {
            "was_refused": F.col(c.REASONS),
            "was_warned": F.col(c.WARNINGS),
            c.REASONS: F.when(_is_before(latest, timezone), F.array_remove(own, NOT_KNOWN_YET)).otherwise(own),
            c.WARNINGS: F.array_except(c.WARNINGS, later),
        }
    )


def together(standing_lines: DataFrame, came: DataFrame) -> DataFrame:
    """The lines that were read before and those of the batch, in the columns of the former."""
    return standing_lines.select(_LINE).unionByName(came.select(_LINE))


def changed(before: DataFrame, after: DataFrame) -> DataFrame:
    """The `line_id`s of which the two have other lines: another number of them, or other codes on them.

    Args:
        before: as `standing` gives them.
        after: the same lines with those of the batch, compared.
    """
    then = before.select(c.LINE_ID, _codes("was_refused", "was_warned").alias("codes"), F.lit(1).alias("n"))
    now = after.select(c.LINE_ID, _codes(c.REASONS, c.WARNINGS).alias("codes"), F.lit(-1).alias("n"))
    differences = then.unionByName(now).groupBy(c.LINE_ID, "codes").agg(F.sum("n").alias("n"))
    return differences.where("n <> 0").select(c.LINE_ID).distinct()


def as_accepted(lines: DataFrame) -> DataFrame:
    """The lines without a reason against them, as rows of `transactions`."""
    return lines.where(F.size(c.REASONS) == 0).select(TRANSACTIONS.column_names)


def as_refused(lines: DataFrame, *, batch_id: str) -> DataFrame:
    """The lines with reasons against them, as rows of `rejected_transactions`.

    A line that was accepted before is no longer there as it came: its columns in `transactions` stand for it.
    """
    columns = F.to_json(F.struct(*TRANSACTIONS.column_names))
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


def _lines_of(table: DataFrame, among: Orders) -> DataFrame:
    if among.first is None or among.last is None:
        numbered = F.lit(False)
    else:
        numbered = F.col(c.ORDER_ID).between(among.first, among.last)
    # The keys decide; the range lets files be skipped that have none of them.
    lines = table.where(numbered | F.col(c.ORDER_ID).isNull()).withColumn(_ORDER, order_key())
    keys = F.broadcast(among.keys) if among.count <= FEW else among.keys
    return lines.join(keys, on=_ORDER, how="left_semi").drop(_ORDER)


def _is_before(day: date, timezone: str) -> Column:
    return F.col(c.ORDERED_AT) < start_of_day(day, timezone)


def _codes(reasons: str, warnings: str) -> Column:
    return F.concat_ws(" ", reasons, F.lit("|"), warnings)
