"""What an order line is judged on beside the others: exact copies, later versions, orders of several customers.

All three lie within an order, and good data has few of them. So only digests and keys of the lines are shuffled, to
find the lines and the orders that may be concerned. Those, and the lines that their own checks refuse, are set apart
and compared with each other; all others go straight to their table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks, Severity
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.reasons import MEANING, NOT_KNOWN_YET, Reason
from customer_segmentation.spark.holding import held

FEW = 1_000_000
"""Keys that are sent to every task rather than shuffled with the lines."""

IN_CONTEXT: tuple[Reason, ...] = ("duplicate", "superseded", "order_changes_customer")
"""The reasons that depend on the other lines of an order."""

_ORDER = "_order"
_IS_COPIED = "_is_copied"
_IS_MIXED = "_is_mixed"


@dataclass(frozen=True)
class Key:
    """Values of a column that single lines out, and how many there are."""

    values: DataFrame
    count: int


@dataclass(frozen=True)
class Suspects:
    """What the narrow pass found: digests of lines that are there again, and orders whose lines may not agree."""

    copied: Key
    mixed: Key


@contextmanager
def suspects(lines: DataFrame, settings: Checks) -> Iterator[Suspects]:
    """Look for lines that others concern; what is found is kept for the block. Reads the lines once.

    Args:
        lines: have the columns of `transactions` but warnings.
        settings: a check that is off is not looked for.
    """
    narrow = lines.select(
        c.LINE_ID,
        order_key().alias(_ORDER),
        # A hash passes over nulls; here they must stay what they are.
        F.when(F.col(c.CUSTOMER_ID).isNotNull(), F.xxhash64(c.CUSTOMER_ID)).alias("customer"),
        F.when(F.col(c.LINE_NUMBER).isNotNull(), F.xxhash64(c.LINE_NUMBER)).alias("number"),
    )
    order = Window.partitionBy(_ORDER).orderBy("number", c.LINE_ID)
    customer_before = F.last("customer", ignorenulls=True).over(order.rowsBetween(Window.unboundedPreceding, -1))
    is_again = F.lag(c.LINE_ID).over(order) == F.col(c.LINE_ID)
    is_revised = ~is_again & (F.lag("number").over(order) == F.col("number"))
    is_torn = customer_before != F.col("customer")
    found = narrow.select(
        c.LINE_ID,
        _ORDER,
        _where(is_again, "duplicate", settings).alias(_IS_COPIED),
        (_where(is_revised, "superseded", settings) | _where(is_torn, "order_changes_customer", settings)).alias(
            _IS_MIXED
        ),
    )
    with held(found.where(F.col(_IS_COPIED) | F.col(_IS_MIXED))) as suspected:
        copied = suspected.where(_IS_COPIED).select(c.LINE_ID).distinct()
        mixed = suspected.where(_IS_MIXED).select(_ORDER).distinct()
        yield Suspects(Key(copied, copied.count()), Key(mixed, mixed.count()))


def order_key() -> Column:
    """What keeps the lines of an order together: a digest of its number; a line without one is by itself."""
    return F.when(F.col(c.ORDER_ID).isNotNull(), F.xxhash64(c.ORDER_ID)).otherwise(F.col(c.LINE_ID))


def set_apart(lines: DataFrame, found: Suspects, is_refused: Column) -> tuple[DataFrame, DataFrame]:
    """The lines that are good whatever the others are, and those to be compared or refused.

    Args:
        lines: as `transactions.checked_lines` gives them.
        found: what `suspects` found among them.
        is_refused: whether a line's own checks refuse it.
    """
    lines = lines.withColumn(_ORDER, order_key())
    marked = _marked(_marked(lines, found.copied, c.LINE_ID, _IS_COPIED), found.mixed, _ORDER, _IS_MIXED)
    concerned = is_refused | F.col(_IS_COPIED) | F.col(_IS_MIXED)
    return marked.where(~concerned), marked.where(concerned)


def compared(lines: DataFrame, settings: Checks) -> DataFrame:
    """Compare lines with each other and add what is found to their `reasons` and `warnings`.

    Of equal lines one is kept, the one from the file first by name; the others are copies of it. Of the versions of a
    line, those with its order and line number, the one changed last stands. An order is one customer's: where the
    lines that stand say otherwise, all lines of the order are concerned.

    Args:
        lines: as `transactions.judged_lines` gives them: whole orders, or lines that no other line concerns.
    """
    lines = lines.withColumn(_ORDER, order_key()).repartition(_ORDER)
    order = Window.partitionBy(_ORDER, c.ORDER_ID)
    equal = Window.partitionBy(_ORDER, c.ORDER_ID, c.LINE_ID).orderBy(c.SOURCE_FILE)
    last_first = F.desc_nulls_last(c.CHANGED_AT), F.desc(c.LINE_ID)
    versions = Window.partitionBy(_ORDER, c.ORDER_ID, c.LINE_NUMBER).orderBy(*last_first)
    is_numbered = F.col(c.ORDER_ID).isNotNull() & F.col(c.LINE_NUMBER).isNotNull()
    # Equal lines share a rank: a copy is no other version of what it copies.
    is_old = is_numbered & (F.dense_rank().over(versions) > 1)
    lines = lines.withColumn("_is_old", _where(is_old, "superseded", settings))
    standing = F.when(~F.col("_is_old") & F.col(c.ORDER_ID).isNotNull(), F.col(c.CUSTOMER_ID))
    found: dict[Reason, Column] = {
        "duplicate": F.row_number().over(equal) > 1,
        "superseded": F.col("_is_old"),
        "order_changes_customer": F.col(c.ORDER_ID).isNotNull()
        & (F.min(standing).over(order) != F.max(standing).over(order)),
    }

    def added(column: str, severity: Severity) -> Column:
        more = [F.when(holds, F.lit(code)) for code, holds in found.items() if settings.severity_of(code) == severity]
        return F.concat(column, F.array_compact(F.array(*more))) if more else F.col(column)

    return lines.withColumns({c.REASONS: added(c.REASONS, "reject"), c.WARNINGS: added(c.WARNINGS, "warn")})


@dataclass(frozen=True)
class Account:
    """How many lines there are and are refused, for no more than a date that is not known yet, and by reason."""

    lines: int
    refused: int
    not_known_yet: int
    by_reason: dict[str, int]


def account(lines: DataFrame) -> Account:
    """Count lines by their `reasons`. Runs one aggregation."""
    row = lines.agg(
        F.count(F.lit(1)).alias("lines"),
        F.count_if(F.size(c.REASONS) > 0).alias("refused"),
        F.count_if(F.col(c.REASONS) == F.array(F.lit(NOT_KNOWN_YET))).alias("not_known_yet"),
        *(F.count_if(F.array_contains(c.REASONS, code)).alias(code) for code in MEANING),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    by_reason: dict[str, int] = {code: row[code] for code in MEANING if row[code]}
    return Account(row["lines"], row["refused"], row["not_known_yet"], by_reason)


def _where(condition: Column, reason: Reason, settings: Checks) -> Column:
    """Whether the condition holds, which it does not where its check is off."""
    return F.lit(False) if settings.severity_of(reason) == "off" else F.coalesce(condition, F.lit(False))


def _marked(lines: DataFrame, key: Key, name: str, mark: str) -> DataFrame:
    """The lines with whether their key is among the values; no join where there are none."""
    if key.count == 0:
        return lines.withColumn(mark, F.lit(False))
    values = key.values.withColumn(mark, F.lit(True))
    joined = lines.join(F.broadcast(values) if key.count <= FEW else values, on=name, how="left")
    return joined.withColumn(mark, F.coalesce(mark, F.lit(False)))
