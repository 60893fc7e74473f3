"""Matches returns with purchases: last bought, first returned.

The lines of a customer and a product are read in order of time with the purchases still open as a stack. Since a match
depends on earlier lines only, it never changes when later lines arrive. The function that matches them is sent to the
workers by its value, so the library need not be installed there.
"""

import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain, islice, starmap
from typing import NamedTuple

import pyarrow as pa
from pyspark import cloudpickle
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import RETURNS, TOTAL
from customer_segmentation.spark.dates import PLACE, SINCE, Dates

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]

_CUSTOMER_KEY = "_customer"
_PRODUCT_KEY = "_product"
_PIECES_PER_BATCH = 10_000


class Line(NamedTuple):
    """A line of `transactions` in whole units, so that nothing is rounded on the way.

    ordered_at: microseconds since 1970.
    quantity: thousandths of an item, negative on a return.
    amount: cents, negative on a return.
    """

    customer_id: str | None
    product_id: str | None
    ordered_at: int
    is_return: bool
    line_id: int
    order_id: str
    quantity: int
    amount: int


class Piece(NamedTuple):
    """A piece of a return and its purchase, in the units of `Line`; the columns are those of `returns`."""

    customer_id: str | None
    product_id: str | None
    return_line_id: int
    return_order_id: str
    returned_at: int
    line_id: int | None
    order_id: str | None
    ordered_at: int | None
    quantity: int
    amount: int
    is_matched: bool


_ARROW_TYPES = {"string": pa.string(), "boolean": pa.bool_()}
"""The types of `returns` that a piece has too; times, items and money are whole numbers in it."""
_PIECE_DDL = ", ".join(
    f"{column.name} {column.type if column.type in _ARROW_TYPES else 'bigint'}" for column in RETURNS.columns
)
_PIECE = pa.schema([(column.name, _ARROW_TYPES.get(column.type, pa.int64())) for column in RETURNS.columns])


def matched_returns(transactions: DataFrame) -> DataFrame:
    """Every return line with the purchases it is matched with, as rows of `returns`.

    A return is matched with purchases of the same product by the same customer: the latest one before it that has
    items left, then the next latest, until its items are used up. At the same instant purchases come before returns,
    and lines of a kind in the order of their `line_id`. Items that no purchase explains are one row without a
    purchase, and so is a return line without items, such as a correction of a price. A line without a product matches
    nothing. The value of a return is shared out by items, each piece rounded down to a cent and the last one taking
    the rest.

    A match depends on earlier lines only. The matches of the lines before a date are therefore the matches of all
    lines, of which the returns before that date are kept.

    Args:
        transactions: order lines in the columns of the `transactions` table, and their `line_id`. Read twice.

    Returns:
        The columns of `contract.tables.RETURNS`: one or more rows for each return line.
    """
    pieces = (
        _lines_that_matter(transactions)
        # The join above has other keys on purpose. With these it could stand in for the repartitioning, and adaptive
        # execution splits the partitions of a join where one customer and product have very many lines.
        .repartition(c.CUSTOMER_ID, c.PRODUCT_ID)
        # The fields of a line in their order: lines that still tie are equal in all that is read of them.
        .sortWithinPartitions(*Line._fields)
        .mapInArrow(_matched, _PIECE_DDL)
    )
    return RETURNS.conform(
        pieces.withColumns(
            {
                c.RETURNED_AT: F.timestamp_micros(c.RETURNED_AT),
                c.ORDERED_AT: F.timestamp_micros(c.ORDERED_AT),
                c.QUANTITY: _in_units(c.QUANTITY, Decimal("0.001")),
                c.AMOUNT: _in_units(c.AMOUNT, Decimal("0.01")),
            }
        )
    )


def touched_pairs(changes: DataFrame, returns: DataFrame) -> DataFrame:
    """The customers and products whose matches may be others after changes of lines.

    Args:
        changes: lines that were inserted or deleted, in the columns of `transactions`.
        returns: the matches before.

    Returns:
        customer_id and product_id, each pair once: those of the changes that have a return, then or now.
    """
    pairs = changes.groupBy(c.CUSTOMER_ID, c.PRODUCT_ID).agg(F.bool_or(c.IS_RETURN).alias("_returned"))
    returned_before = of_pairs(pairs.where("not _returned"), returns)
    return pairs.where("_returned").unionByName(returned_before).select(c.CUSTOMER_ID, c.PRODUCT_ID)


def of_pairs(frame: DataFrame, pairs: DataFrame) -> DataFrame:
    """The rows of some customers and products; a null is equal to a null."""
    wanted = pairs.select(F.col(c.CUSTOMER_ID).alias(_CUSTOMER_KEY), F.col(c.PRODUCT_ID).alias(_PRODUCT_KEY))
    is_wanted = F.col(c.CUSTOMER_ID).eqNullSafe(F.col(_CUSTOMER_KEY)) & F.col(c.PRODUCT_ID).eqNullSafe(
        F.col(_PRODUCT_KEY)
    )
    return frame.join(wanted, on=is_wanted, how="left_semi")


def returned_orders(
    transactions: DataFrame, returns: DataFrame, dates: Dates | None = None, *, are_few: bool = False
) -> DataFrame:
    """The orders of which something was returned.

    To know them as of a date, pass the lines and the returns before it; the matches stay the same, see
    `matched_returns`.

    Args:
        transactions: order lines in the columns of the `transactions` table.
        returns: rows of `returns`, matched on the same lines.
        dates: a series to know them as of each of its dates.
        are_few: whether the returns fit in each task: at a single date neither the lines here nor those that the result
            is joined to are then shuffled by order.

    Returns:
        customer_id, order_id, returned_amount (decimal(28,2), money), and is_fully_returned, whether every item was
        returned. Of a series of dates also as_of_date: what a row says holds from there up to the order's next row.
    """
    order = [c.CUSTOMER_ID, c.ORDER_ID]
    matched = returns.where(c.IS_MATCHED)
    if dates is not None and dates.is_series:
        return _returned_orders_by_date(transactions, matched, dates)
    returned = matched.groupBy(order).agg(
        F.sum(c.QUANTITY).alias("returned"), F.sum(c.AMOUNT).cast(TOTAL).alias(c.RETURNED_AMOUNT)
    )
    known = (
        transactions.where(~F.col(c.IS_RETURN) & (F.col(c.QUANTITY) > 0))
        .join(F.broadcast(returned) if are_few else returned, on=order, how="inner")
        .groupBy(*order, "returned", c.RETURNED_AMOUNT)
        .agg(F.sum(c.QUANTITY).alias("bought"))
        # No purchase has more returned than it had, so that equal sums mean equal lines.
        .select(*order, c.RETURNED_AMOUNT, (F.col("returned") == F.col("bought")).alias(c.IS_FULLY_RETURNED))
    )
    return F.broadcast(known) if are_few else known


def _returned_orders_by_date(transactions: DataFrame, matched: DataFrame, dates: Dates) -> DataFrame:
    order = [c.CUSTOMER_ID, c.ORDER_ID]
    purchases = transactions.where(~F.col(c.IS_RETURN) & (F.col(c.QUANTITY) > 0))
    bought = purchases.join(matched.select(*order).distinct(), on=order, how="left_semi").select(
        *order,
        dates.place(F.to_date(c.ORDERED_AT)).alias(SINCE),
        F.col(c.QUANTITY).alias("bought"),
        *(F.lit(0).alias(name) for name in ("returned", c.RETURNED_AMOUNT)),
    )
    returned = matched.select(
        *order,
        dates.place(F.to_date(c.RETURNED_AT)).alias(SINCE),
        F.lit(0).alias("bought"),
        F.col(c.QUANTITY).alias("returned"),
        F.col(c.AMOUNT).alias(c.RETURNED_AMOUNT),
    )
    names = ("bought", "returned", c.RETURNED_AMOUNT)
    sums = bought.unionByName(returned).groupBy(*order, SINCE).agg(*(F.sum(name).alias(name) for name in names))
    states = dates.states(sums, *order, totals=names).withColumn(PLACE, F.col(SINCE))
    known = states.where((F.col("returned") > 0) & (F.col(PLACE) < len(dates.days)))
    return known.select(
        *order,
        dates.day.alias(c.AS_OF_DATE),
        F.col(c.RETURNED_AMOUNT).cast(TOTAL).alias(c.RETURNED_AMOUNT),
        (F.col("returned") == F.col("bought")).alias(c.IS_FULLY_RETURNED),
    )


def match_lines(lines: Iterable[Line]) -> Iterator[Piece]:
    """The pieces of every return among the lines, by the rules of `matched_returns`.

    Args:
        lines: sorted by their fields, so that a customer and product lie together in order of time. Read as they are
            asked for; only the open purchases of one customer and product are in memory.
    """
    pair: tuple[str | None, str | None] | None = None
    open_purchases: list[tuple[Line, int]] = []
    for line in lines:
        if pair != (line.customer_id, line.product_id):
            pair = (line.customer_id, line.product_id)
            open_purchases = []
        if line.is_return:
            yield from _match_return(line, open_purchases)
        elif line.quantity > 0 and None not in pair:
            open_purchases.append((line, line.quantity))


def _match_return(line: Line, open_purchases: list[tuple[Line, int]]) -> Iterator[Piece]:
    """The pieces of a return line; takes their items from the purchases at the end of the list."""
    items, value = abs(line.quantity), abs(line.amount)
    items_left, value_left = items, value
    while items_left and open_purchases:
        purchase, available = open_purchases.pop()
        taken = min(items_left, available)
        if taken < available:
            open_purchases.append((purchase, available - taken))
        items_left -= taken
        worth = value * taken // items if items_left else value_left
        value_left -= worth
        yield _piece(line, purchase, taken, worth)
    if items_left or not items:
        yield _piece(line, None, items_left, value_left)


def _piece(line: Line, purchase: Line | None, items: int, worth: int) -> Piece:
    return Piece(
        line.customer_id,
        line.product_id,
        line.line_id,
        line.order_id,
        line.ordered_at,
        purchase and purchase.line_id,
        purchase and purchase.order_id,
        purchase and purchase.ordered_at,
        items,
        worth,
        purchase is not None,
    )


def _matched(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """`match_lines` over Arrow batches, whose boundaries may lie within a customer and product."""
    rows = chain.from_iterable(zip(*(column.to_pylist() for column in batch.columns), strict=True) for batch in batches)
    pieces = match_lines(starmap(Line, rows))
    while batch := list(islice(pieces, _PIECES_PER_BATCH)):
        columns = zip(*batch, strict=True)
        yield pa.record_batch(
            [pa.array(values, field.type) for values, field in zip(columns, _PIECE, strict=True)], schema=_PIECE
        )


def _lines_that_matter(transactions: DataFrame) -> DataFrame:
    """The returns, and the purchases of a customer and product that has one, as fields of `Line`.

    Most lines are of customers and products without a return: they go before anything is moved to Python.
    """
    could_match = F.col(c.IS_RETURN) | F.col(c.PRODUCT_ID).isNotNull()
    keyed = transactions.where(could_match).withColumns(
        {_CUSTOMER_KEY: _never_null(c.CUSTOMER_ID), _PRODUCT_KEY: _never_null(c.PRODUCT_ID)}
    )
    returned = keyed.where(c.IS_RETURN).select(_CUSTOMER_KEY, _PRODUCT_KEY)
    return keyed.join(returned, on=[_CUSTOMER_KEY, _PRODUCT_KEY], how="left_semi").select(
        c.CUSTOMER_ID,
        c.PRODUCT_ID,
        F.unix_micros(c.ORDERED_AT).alias(c.ORDERED_AT),
        c.IS_RETURN,
        c.LINE_ID,
        c.ORDER_ID,
        (F.col(c.QUANTITY).cast("decimal(18,3)") * 1000).cast("bigint").alias(c.QUANTITY),
        (F.col(c.AMOUNT).cast("decimal(18,2)") * 100).cast("bigint").alias(c.AMOUNT),
    )


def _never_null(name: str) -> Column:
    """The value, for a join that keeps the returns without one; `match_lines` keeps nulls as they are."""
    return F.coalesce(F.col(name), F.lit(""))


def _in_units(name: str, unit: Decimal) -> Column:
    return F.col(name).cast("decimal(18,0)") * F.lit(unit)
