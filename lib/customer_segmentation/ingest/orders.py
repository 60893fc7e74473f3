"""What an order line is validated on beside the other lines of its order.

Exact copies, later versions, orders of several customers, and fields that stand on the first line of an order only: all
lie within an order, and good data has few of them. So only digests and keys of the lines are shuffled, to find the
lines and the orders that are concerned. Those, and the lines that their own checks reject, are resolved with each
other; all others go straight to their table.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import IS_MALFORMED, MALFORMED, NOT_KNOWN_YET, Severity
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.spark.persistence import persisted

BROADCAST_LIMIT = 1_000_000
"""Keys that are sent to every task rather than shuffled with the lines."""

FILLED: dict[str, tuple[str, str]] = {
    "customer_from_order": (c.CUSTOMER_ID, "missing_customer"),
    "date_from_order": (c.ORDERED_AT, "missing_date"),
}
"""What a line takes from the other lines of its order: the code that says so, the column, and the reason without it."""

_DATE_BOUNDS = ("date_too_early", NOT_KNOWN_YET)
_ORDER = "_order"
_IS_CONCERNED = "_is_concerned"
_IS_MIXED = "_is_mixed"


@dataclass(frozen=True)
class Keys:
    """Values of a column that single lines out, and at most how many there are; 0 where there are none."""

    values: DataFrame
    count: int


@dataclass(frozen=True)
class Suspects:
    """What the lines to be resolved are known by.

    lines: digests of lines that have copies, and of lines with the customer that other lines of their order lack.
    mixed: orders whose lines may not agree, all of whose lines are resolved.
    """

    lines: Keys
    mixed: Keys


@contextmanager
def suspects(lines: DataFrame, suite: CheckSuite) -> Iterator[Suspects]:
    """Find lines that others concern; the result is persisted for the block. Reads the lines once.

    Args:
        lines: have the columns of `transactions` but warnings, and whether each is malformed.
        suite: the checks; those that are off are passed over.
    """
    is_apart = F.col(IS_MALFORMED) & F.lit(suite.severity_of(MALFORMED) == "reject")
    narrow = lines.select(
        c.LINE_ID,
        order_key(is_apart).alias(_ORDER),
        # A hash passes over nulls; here they must stay what they are.
        F.when(F.col(c.CUSTOMER_ID).isNotNull(), F.xxhash64(c.CUSTOMER_ID)).alias("customer"),
        F.when(F.col(c.LINE_NUMBER).isNotNull(), F.xxhash64(c.LINE_NUMBER)).alias("number"),
        F.col(c.ORDERED_AT).isNull().alias("undated"),
    )
    order = Window.partitionBy(_ORDER).orderBy("number", c.LINE_ID)
    before = order.rowsBetween(Window.unboundedPreceding, -1)
    customer_before = F.last("customer", ignorenulls=True).over(before)
    is_copy = F.lag(c.LINE_ID).over(order) == F.col(c.LINE_ID)
    is_revised = ~is_copy & (F.lag("number").over(order) == F.col("number"))
    is_torn = customer_before != F.col("customer")
    # A gap that another line could fill shows where a line with the field lies beside one without it, on either side.
    # Where all customers of an order agree, one line that has the customer is enough for those that lack it.
    customer_gap = F.lag(F.col("customer").isNull()).over(order) != F.col("customer").isNull()
    known_line = F.when(F.col("customer").isNotNull(), F.col(c.LINE_ID)).otherwise(F.lag(c.LINE_ID).over(order))
    date_gap = F.lag("undated").over(order) != F.col("undated")
    is_mixed = (
        _unless_off(is_revised, "superseded", suite)
        | _unless_off(is_torn, "order_changes_customer", suite)
        | _unless_off(is_torn, "customer_from_order", suite)
        | _unless_off(date_gap, "date_from_order", suite)
    )
    marked = narrow.select(
        F.when(_unless_off(customer_gap, "customer_from_order", suite), known_line)
        .when(_unless_off(is_copy, "duplicate", suite), F.col(c.LINE_ID))
        .alias(c.LINE_ID),
        F.when(is_mixed, F.col(_ORDER)).alias(_ORDER),
    )
    with persisted(marked.where(F.col(c.LINE_ID).isNotNull() | F.col(_ORDER).isNotNull())) as suspected:
        keys = (c.LINE_ID, _ORDER)
        counts = suspected.agg(*(F.count(key) for key in keys)).first()
        assert counts is not None, "an aggregation without grouping has one row"
        yield Suspects(
            *(
                Keys(suspected.select(key).where(F.col(key).isNotNull()).distinct(), rows)
                for key, rows in zip(keys, counts, strict=True)
            )
        )


def order_key(is_apart: Column | None = None) -> Column:
    """What keeps the lines of an order together: a digest of its number; a line without one is by itself.

    Args:
        is_apart: which other lines are by themselves too, such as rejected malformed ones: what stands for their order,
            customer or date may be something else.
    """
    is_known = F.col(c.ORDER_ID).isNotNull()
    is_known = is_known if is_apart is None else is_known & ~is_apart
    return F.when(is_known, F.xxhash64(c.ORDER_ID)).otherwise(F.col(c.LINE_ID))


def split_suspects(lines: DataFrame, suspects: Suspects, is_rejected: Column) -> tuple[DataFrame, DataFrame]:
    """The lines that are accepted whatever the others are, and those to be resolved with others or rejected.

    Args:
        lines: as `transactions.checked_lines` gives them.
        suspects: of these lines.
        is_rejected: whether a line's own checks reject it.
    """
    lines = lines.withColumn(_ORDER, order_key())
    marked = _marked(_marked(lines, suspects.lines, c.LINE_ID, _IS_CONCERNED), suspects.mixed, _ORDER, _IS_MIXED)
    concerned = is_rejected | F.col(_IS_CONCERNED) | F.col(_IS_MIXED)
    return marked.where(~concerned), marked.where(concerned)


def resolved(lines: DataFrame, suite: CheckSuite) -> DataFrame:
    """Validate lines beside the others of their order: fill in fields, and add codes to `reasons` and `warnings`.

    Of equal lines one is kept, the one from the file first by name; the others are copies of it. Of the versions of a
    line, those with its order and line number, the one changed last stands. A line without a customer or a date takes
    that of its order's other lines where all of them that have one agree. An order is one customer's: where the lines
    that stand say otherwise, all lines of the order are concerned. Malformed lines that are rejected concern no others.

    Args:
        lines: as `transactions.validated_lines` gives them: whole orders, or what `split_suspects` leaves of them.
        suite: the checks.
    """
    is_apart = F.array_contains(c.REASONS, MALFORMED)
    lines = lines.withColumn(_ORDER, order_key(is_apart)).repartition(_ORDER)
    lines = _filled(lines, suite)
    order = Window.partitionBy(_ORDER, c.ORDER_ID)
    equal = Window.partitionBy(_ORDER, c.ORDER_ID, c.LINE_ID).orderBy(c.SOURCE_FILE)
    last_first = F.desc_nulls_last(c.CHANGED_AT), F.desc(c.LINE_ID)
    versions = Window.partitionBy(_ORDER, c.ORDER_ID, c.LINE_NUMBER).orderBy(*last_first)
    is_numbered = F.col(c.ORDER_ID).isNotNull() & F.col(c.LINE_NUMBER).isNotNull()
    # Equal lines share a rank: a copy is no other version of what it copies.
    is_old = is_numbered & (F.dense_rank().over(versions) > 1)
    lines = lines.withColumn("_is_old", _unless_off(is_old, "superseded", suite))
    customer = F.when(~F.col("_is_old") & F.col(c.ORDER_ID).isNotNull(), F.col(c.CUSTOMER_ID))
    failed = {
        "duplicate": F.row_number().over(equal) > 1,
        "superseded": F.col("_is_old"),
        "order_changes_customer": F.col(c.ORDER_ID).isNotNull()
        & (F.min(customer).over(order) != F.max(customer).over(order)),
    }
    return lines.withColumns(
        {
            c.REASONS: suite.in_order(_appended(F.col(c.REASONS), failed, "reject", suite)),
            c.WARNINGS: suite.in_order(_appended(F.col(c.WARNINGS), failed, "warn", suite)),
        }
    )


def unfilled(lines: DataFrame) -> DataFrame:
    """The lines as they were before `resolved` filled in fields from the others of their order."""
    changes: dict[str, Column] = {}
    reasons, warnings = F.col(c.REASONS), F.col(c.WARNINGS)
    for code, (column, reason) in FILLED.items():
        is_filled = F.array_contains(c.WARNINGS, code)
        changes[column] = F.when(~is_filled, F.col(column))
        bounds = F.array(*map(F.lit, _DATE_BOUNDS)) if column == c.ORDERED_AT else F.array().cast("array<string>")
        own = F.array_append(F.array_except(reasons, bounds), F.lit(reason))
        reasons = F.when(is_filled, own).otherwise(reasons)
        warnings = F.when(is_filled, F.array_except(F.array_remove(warnings, code), bounds)).otherwise(warnings)
    return lines.withColumns(changes | {c.REASONS: CheckSuite().in_order(reasons), c.WARNINGS: warnings})


def _filled(lines: DataFrame, suite: CheckSuite) -> DataFrame:
    """The lines with the customer and the date of their order where they have none and the others agree."""
    order = Window.partitionBy(_ORDER, c.ORDER_ID)
    values: dict[str, Column] = {}
    reasons, warnings = F.col(c.REASONS), F.col(c.WARNINGS)
    for code, (column, reason) in FILLED.items():
        if suite.severity_of(code) != "warn":
            continue
        first, last = F.min(column).over(order), F.max(column).over(order)
        is_filled = F.array_contains(c.REASONS, reason) & F.col(c.ORDER_ID).isNotNull() & (first == last)
        is_filled = F.coalesce(is_filled, F.lit(False))
        values[column] = F.when(is_filled, first).otherwise(F.col(column))
        reasons = F.when(is_filled, F.array_remove(reasons, reason)).otherwise(reasons)
        warnings = F.when(is_filled, F.array_append(warnings, F.lit(code))).otherwise(warnings)
        if column == c.ORDERED_AT:
            is_early, is_late = (first < F.expr(suite.limits["earliest"]), first >= F.expr(suite.limits["latest"]))
            failed = dict(zip(_DATE_BOUNDS, (is_filled & is_early, is_filled & is_late), strict=True))
            reasons = _appended(reasons, failed, "reject", suite)
            warnings = _appended(warnings, failed, "warn", suite)
    if not values:
        return lines
    return lines.withColumns(values | {c.REASONS: suite.in_order(reasons), c.WARNINGS: warnings})


def _appended(codes: Column, failed: Mapping[str, Column], severity: Severity, suite: CheckSuite) -> Column:
    """An array of codes with those of the failed checks that have a severity."""
    more = [F.when(fails, F.lit(code)) for code, fails in failed.items() if suite.severity_of(code) == severity]
    return F.concat(codes, F.array_compact(F.array(*more))) if more else codes


def _unless_off(condition: Column, code: str, suite: CheckSuite) -> Column:
    """The condition, null as false; false where its check is off, or fills nothing in."""
    is_off = suite.severity_of(code) == "off" or (code in FILLED and suite.severity_of(code) != "warn")
    return F.lit(False) if is_off else F.coalesce(condition, F.lit(False))


def _marked(lines: DataFrame, keys: Keys, name: str, mark: str) -> DataFrame:
    """The lines with whether their key is among the values; no join where there are none."""
    if keys.count == 0:
        return lines.withColumn(mark, F.lit(False))
    values = keys.values.withColumn(mark, F.lit(True))
    joined = lines.join(F.broadcast(values) if keys.count <= BROADCAST_LIMIT else values, on=name, how="left")
    return joined.withColumn(mark, F.coalesce(mark, F.lit(False)))
