"""Order lines as the features take them: those before a date, in whole numbers, partitioned by customer.

Money and quantities are whole numbers of their smallest units from here on, so that sums are exact and do not depend on
the order of the lines.
"""

import difflib
from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.tables import MONEY, TRANSACTIONS

REQUIRED = (c.CUSTOMER_ID, c.ORDER_ID, c.ORDERED_AT, c.AMOUNT)
OPTIONAL = (c.PRODUCT_ID, c.CATEGORY, c.QUANTITY, c.DISCOUNT, c.CHANNEL, c.BRAND, c.STORE_ID, c.COUPON)
"""A frame without one of these has no features that rest on it."""

DAY = "day"
DAYPART = "daypart"
"""Quarter of the day: 0 from midnight, 3 to midnight."""

PLACED = "placed"
"""Whether the line is of an order that was placed, a fully returned one included: it is no return."""

BOUGHT = "bought"
"""Whether the line is a purchase: placed, and its order not fully returned."""

HAS_RETURNS = "has_returns"
"""Whether something of the line's order was returned."""


_CENTS = 100
_THOUSANDTHS = 1000
_DECIMAL_QUANTITY = "decimal(18,3)"


def lines_by_customer(
    transactions: DataFrame, returned_orders: DataFrame | None = None, *, as_of: date, columns: Sequence[str] = OPTIONAL
) -> DataFrame:
    """The lines before a date as the other functions of this package take them, a customer's in one partition.

    Args:
        transactions: order lines in the columns of the `transactions` table; without is_return, a negative amount is a
            return.
        returned_orders: customer_id and order_id of the orders of which something was returned before `as_of`, and
            is_fully_returned, whether all of it was. The lines of a fully returned order are no purchases; what was
            paid and returned for them counts in net spend and in the return rates only.
        as_of: lines of this day and later do not enter, in the time zone that the times are of.
        columns: the optional columns that the lines have; the others are null.
    """
    lines = _lines(transactions, returned_orders, as_of=as_of, columns=columns).repartition(c.CUSTOMER_ID)
    # Branches of a plan share a shuffle only where it is the same one. What is observed names every column, so that no
    # branch's shuffle goes without the columns that only another one reads; as no id is empty, it costs a comparison.
    odd = (F.col(c.CUSTOMER_ID) == "") & (F.hash(*lines.columns) == 0)
    return lines.observe(Observation(), F.count_if(odd).alias("odd"))


def columns_of_lines(transactions: DataFrame) -> list[str]:
    """The optional columns that a frame of order lines has.

    Raises:
        DataRejectedError: it lacks a column that it must have.
    """
    present = {name.lower() for name in transactions.columns}
    missing = [name for name in REQUIRED if name not in present]
    if missing:
        others = [name for name in transactions.columns if name.lower() not in (*REQUIRED, *OPTIONAL)]
        raise DataRejectedError(
            f"order lines need the columns {', '.join(REQUIRED)}; not there: "
            f"{', '.join(name + _hint(name, others) for name in missing)}; the columns are "
            f"{', '.join(transactions.columns)}"
        )
    return [name for name in OPTIONAL if name in present]


def conditional_sum(name: str, condition: Column) -> Column:
    """The sum of a column where a condition holds; 0 where it never does."""
    return F.sum(F.when(condition, F.col(name)).otherwise(F.lit(0)))


def round_double(value: Column, decimals: int) -> Column:
    """A double to so many decimals, ties to even: what differs beyond them is the order in which doubles were added.

    Spark's own `round` goes by decimal numbers, at many times the cost.
    """
    scale = F.lit(10.0**decimals)
    return F.rint(value * scale) / scale


def _lines(
    transactions: DataFrame, returned_orders: DataFrame | None, *, as_of: date, columns: Sequence[str]
) -> DataFrame:
    """The lines before the date, with what is needed of them in whole numbers."""
    types = {column.name: column.type for column in TRANSACTIONS.columns}
    absent = {name: F.lit(None).cast(types[name]) for name in OPTIONAL if name not in columns}
    if c.IS_RETURN not in {name.lower() for name in transactions.columns}:
        absent[c.IS_RETURN] = F.col(c.AMOUNT) < 0
    ordered_at = F.col(c.ORDERED_AT).cast("timestamp")
    known = F.col(c.CUSTOMER_ID).isNotNull() & (ordered_at < F.lit(as_of).cast("timestamp"))
    complete = transactions.withColumns(absent) if absent else transactions  # Connect takes no empty mapping
    lines = complete.where(known)
    if returned_orders is None:
        lines = lines.withColumns({HAS_RETURNS: F.lit(False), c.IS_FULLY_RETURNED: F.lit(False)})
    else:
        orders = returned_orders.select(c.CUSTOMER_ID, c.ORDER_ID, F.lit(True).alias(HAS_RETURNS), c.IS_FULLY_RETURNED)
        lines = lines.join(orders, on=[c.CUSTOMER_ID, c.ORDER_ID], how="left")
    placed = ~F.col(c.IS_RETURN)
    return lines.select(
        F.col(c.CUSTOMER_ID).cast("string").alias(c.CUSTOMER_ID),
        *(c.ORDER_ID, c.PRODUCT_ID, c.CATEGORY, c.BRAND, c.CHANNEL, c.STORE_ID),
        F.to_date(ordered_at).alias(DAY),
        F.floor(F.hour(ordered_at) / 6).cast("tinyint").alias(DAYPART),
        placed.alias(PLACED),
        (placed & ~F.coalesce(c.IS_FULLY_RETURNED, F.lit(False))).alias(BOUGHT),
        F.coalesce(HAS_RETURNS, F.lit(False)).alias(HAS_RETURNS),
        _whole(c.AMOUNT, MONEY, _CENTS).alias(c.AMOUNT),
        F.coalesce(_whole(c.DISCOUNT, MONEY, _CENTS), F.lit(0)).alias(c.DISCOUNT),
        (F.coalesce(F.col(c.COUPON), F.lit(0)) > 0).alias(c.COUPON),
        F.coalesce(_whole(c.QUANTITY, _DECIMAL_QUANTITY, _THOUSANDTHS), F.lit(0)).alias(c.QUANTITY),
    )


def _whole(name: str, decimal: str, units: int) -> Column:
    return (F.col(name).cast(decimal) * units).cast("bigint")


def _hint(name: str, columns: Sequence[str]) -> str:
    """The column that may be meant, such as CustomerID or customer for customer_id."""
    plain = {column.lower().replace("_", "").replace(" ", ""): column for column in columns}
    close = difflib.get_close_matches(name.replace("_", ""), plain, n=1)
    return f" (did you mean {plain[close[0]]}?)" if close else ""
