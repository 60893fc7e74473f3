"""Order lines as the features take them: those before a date, in whole numbers, partitioned by customer.

Money and quantities are whole numbers of their smallest units from here on, so that sums are exact and do not depend on
the order of the lines. What a line counts as is a number too: where there are several dates, a line whose order is
fully returned between two of them has a further row, from which on it is taken away again.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import MONEY, TRANSACTIONS
from customer_segmentation.features.frames import OPTIONAL, REQUIRED
from customer_segmentation.spark.dates import SINCE, Dates
from customer_segmentation.spark.shuffling import shuffled_once

DAY = "day"
DAYPART = "daypart"
"""Quarter of the day: 0 from midnight, 3 to midnight."""

PLACED = "placed"
"""Whether the line is of an order that was placed, a fully returned one included: it is no return."""

ENTERED = "entered"
"""1 on the row with which the line enters, 0 on a row that changes what it counts as."""

BOUGHT = "bought"
"""Purchases that the row adds: 1 where a line is placed and its order not fully returned, -1 where it no longer is."""

RETURNS = "returns"
"""1 where it becomes known that something of the line's order was returned, -1 where it no longer holds."""

_CENTS = 100
_THOUSANDTHS = 1000
_DECIMAL_QUANTITY = "decimal(18,3)"


def lines_by_customer(
    transactions: DataFrame,
    returned_orders: DataFrame | None = None,
    *,
    dates: Dates,
    columns: Sequence[str] = OPTIONAL,
) -> DataFrame:
    """The lines before a date as the other functions of this package take them, a customer's in one partition.

    Args:
        transactions: order lines in the columns of the `transactions` table; without is_return, a negative amount is a
            return.
        returned_orders: customer_id and order_id of the orders of which something was returned before the date, and
            is_fully_returned, whether all of it was. The lines of a fully returned order are no purchases; what was
            paid and returned for them counts in net spend and in the return rates only. For a series of dates also
            as_of_date: a row holds on that date and the later ones up to that of the order's next row.
        dates: lines of the last day and later do not enter, in the time zone that the times are of.
        columns: the optional columns that the lines have; the others are null.
    """
    lines = _lines(transactions, returned_orders, dates=dates, columns=columns)
    return shuffled_once(lines, c.CUSTOMER_ID)


def sum_of(name: str, counts: Column | str = BOUGHT) -> Column:
    """The sum of a column over the lines that count, such as purchases."""
    times = F.col(counts) if isinstance(counts, str) else counts
    return F.sum(F.when(times != 0, F.col(name) * times).otherwise(F.lit(0)))


def sum_where(condition: Column, counts: str = BOUGHT) -> Column:
    """How many lines count for which a condition holds."""
    return F.sum(F.when(condition, F.col(counts)).otherwise(F.lit(0)))


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
    transactions: DataFrame, returned_orders: DataFrame | None, *, dates: Dates, columns: Sequence[str]
) -> DataFrame:
    """The lines before the date, with what is needed of them in whole numbers."""
    types = {column.name: column.type for column in TRANSACTIONS.columns}
    absent = {name: F.lit(None).cast(types[name]) for name in OPTIONAL if name not in columns}
    transactions = _without_infinite(transactions)
    has_flag = c.IS_RETURN in {name.lower() for name in transactions.columns}
    flag = [F.col(c.IS_RETURN).cast("boolean")] if has_flag else []
    added = absent | {c.IS_RETURN: F.coalesce(*flag, F.col(c.AMOUNT) < 0)}
    ordered_at = F.col(c.ORDERED_AT).cast("timestamp")
    known = F.col(c.AMOUNT).isNotNull() & F.col(c.ORDER_ID).isNotNull()
    known &= F.col(c.CUSTOMER_ID).isNotNull() & (ordered_at < F.lit(dates.last).cast("timestamp"))
    lines = transactions.withColumns(added).where(known).select(*REQUIRED, *OPTIONAL, c.IS_RETURN)
    placed = F.when(F.col(c.IS_RETURN), F.lit(0)).otherwise(F.lit(1))
    counts = {ENTERED: F.lit(1), BOUGHT: placed, RETURNS: F.lit(0)}
    if dates.is_series:
        since = dates.place(F.to_date(ordered_at))
        if returned_orders is None:
            counts[SINCE] = since
        else:
            lines = _with_changes(lines.withColumn(SINCE, since), returned_orders, dates)
            bought = placed * (F.col(ENTERED) - F.col("taken"))
            counts = {ENTERED: F.col(ENTERED), BOUGHT: bought, RETURNS: F.col(RETURNS), SINCE: F.col(SINCE)}
    elif returned_orders is not None:
        orders = returned_orders.select(c.CUSTOMER_ID, c.ORDER_ID, F.lit(1).alias(RETURNS), c.IS_FULLY_RETURNED)
        lines = lines.join(orders, on=[c.CUSTOMER_ID, c.ORDER_ID], how="left")
        is_left = F.when(F.col(c.IS_FULLY_RETURNED), F.lit(0)).otherwise(F.lit(1))
        counts |= {BOUGHT: placed * is_left, RETURNS: F.coalesce(RETURNS, F.lit(0))}
    return lines.select(
        F.col(c.CUSTOMER_ID).cast("string").alias(c.CUSTOMER_ID),
        *(c.ORDER_ID, c.PRODUCT_ID, c.CATEGORY, c.BRAND, c.CHANNEL, c.STORE_ID),
        F.to_date(ordered_at).alias(DAY),
        F.floor(F.hour(ordered_at) / 6).cast("tinyint").alias(DAYPART),
        (~F.col(c.IS_RETURN)).alias(PLACED),
        *(column.alias(name) for name, column in counts.items()),
        _whole(c.AMOUNT, MONEY, _CENTS).alias(c.AMOUNT),
        F.coalesce(_whole(c.DISCOUNT, MONEY, _CENTS), F.lit(0)).alias(c.DISCOUNT),
        (F.coalesce(F.col(c.COUPON), F.lit(0)) > 0).alias(c.COUPON),
        F.coalesce(_whole(c.QUANTITY, _DECIMAL_QUANTITY, _THOUSANDTHS), F.lit(0)).alias(c.QUANTITY),
    )


def _without_infinite(transactions: DataFrame) -> DataFrame:
    """The lines with null for numbers that are NaN or infinite: these are no values."""
    used = (c.CUSTOMER_ID, c.ORDER_ID, c.AMOUNT, c.DISCOUNT, c.COUPON, c.QUANTITY)
    floats = [name for name, type_ in transactions.dtypes if type_ in ("double", "float") and name.lower() in used]
    finite = {name: F.when(F.abs(name) < F.lit(float("inf")), F.col(name)) for name in floats}
    return transactions.withColumns(finite) if finite else transactions


def _with_changes(lines: DataFrame, returned_orders: DataFrame, dates: Dates) -> DataFrame:
    """The lines as they enter, and a row for each later change of what is known to be returned of their orders.

    Each row says from which date on it counts, and whether the line enters, is of an order with returns and is taken
    back with all of it: by 1 what starts to hold and by -1 what ends.
    """
    order = [c.CUSTOMER_ID, c.ORDER_ID]
    known = returned_orders.select(
        *(*order, c.AS_OF_DATE),
        dates.place(F.date_sub(c.AS_OF_DATE, 1)).alias("starts"),
        F.col(c.IS_FULLY_RETURNED).cast("int").alias("taken"),
    ).where(F.col("starts") < len(dates.days))
    ends = F.lead("starts", 1, len(dates.days)).over(Window.partitionBy(*order).orderBy(c.AS_OF_DATE))
    periods = known.select(*order, F.struct("starts", ends.alias("ends"), "taken").alias("period"))
    by_order = periods.groupBy(*order).agg(F.collect_list("period").alias("periods"))
    entry = "named_struct('since', since, 'entered', 1, 'returns', 0, 'taken', 0)"
    start = "named_struct('since', greatest(since, p.starts), 'entered', 0, 'returns', 1, 'taken', p.taken)"
    end = "named_struct('since', p.ends, 'entered', 0, 'returns', -1, 'taken', -p.taken)"
    changes = F.expr(
        f"coalesce(concat(array({entry}), transform(filter(periods, p -> p.ends > since), p -> {start}), "
        f"transform(filter(periods, p -> p.ends > since AND p.ends < {len(dates.days)}), p -> {end})), array({entry}))"
    )
    rows = lines.join(by_order, on=order, how="left").withColumn("change", F.explode(changes)).drop(SINCE)
    fields = (SINCE, ENTERED, RETURNS, "taken")
    return rows.select("*", *(F.col("change").getField(name).alias(name) for name in fields))


def _whole(name: str, decimal: str, units: int) -> Column:
    return (F.col(name).cast(decimal) * units).cast("bigint")
