"""Order lines as the features see them: those before a date, in whole numbers, a customer's together.

Money and quantities are whole numbers of their smallest units from here on, so that sums are exact and do not depend on
the order of the lines.
"""

from datetime import date

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

DAY = "day"
DAYPART = "daypart"
"""Quarter of the day: 0 from midnight, 3 to midnight."""

PLACED = "placed"
"""Whether the line is of an order that was placed, one given back whole included: it is no return."""

BOUGHT = "bought"
"""Whether the line is a purchase that stands: placed, and its order not given back whole."""

GIVEN_BACK = "is_given_back"
"""Whether something of the line's order was given back."""

_UNDONE = "is_undone"
_CENTS = 100
_THOUSANDTHS = 1000


def customer_lines(transactions: DataFrame, given_back: DataFrame | None = None, *, as_of: date) -> DataFrame:
    """The lines before a date as the other functions here take them, those of a customer together.

    Args:
        transactions: order lines in the columns of the `transactions` table.
        given_back: customer_id and order_id of the orders of which something was given back before `as_of`, and
            is_undone, whether all of it was. The lines of an undone order are no purchases; what was paid and given
            back for them counts in net spend and in the return rates only.
        as_of: lines of this day and later do not enter, in the time zone that the times are of.
    """
    together = _lines(transactions, given_back, as_of=as_of).repartition(c.CUSTOMER_ID)
    # Branches of a plan share a shuffle only where it is the same one. What is observed names every column, so that no
    # branch's shuffle goes without the columns that only another one reads; as no id is empty, it costs a comparison.
    odd = (F.col(c.CUSTOMER_ID) == "") & (F.hash(*together.columns) == 0)
    return together.observe(Observation(), F.count_if(odd).alias("odd"))


def total(name: str, condition: Column) -> Column:
    """The sum of a column where a condition holds; 0 where it never does."""
    return F.sum(F.when(condition, F.col(name)).otherwise(F.lit(0)))


def rounded(value: Column, decimals: int) -> Column:
    """A double to so many decimals, ties to even: what differs beyond them is the order in which doubles were added.

    Spark's own `round` goes by decimal numbers, at many times the cost.
    """
    scale = F.lit(10.0**decimals)
    return F.rint(value * scale) / scale


def _lines(transactions: DataFrame, given_back: DataFrame | None, *, as_of: date) -> DataFrame:
    """The lines before the date, with what is needed of them in whole numbers."""
    known = transactions.where(F.col(c.ORDERED_AT) < F.lit(as_of).cast("timestamp"))
    if given_back is None:
        known = known.withColumns({GIVEN_BACK: F.lit(False), _UNDONE: F.lit(False)})
    else:
        orders = given_back.select(c.CUSTOMER_ID, c.ORDER_ID, F.lit(True).alias(GIVEN_BACK), _UNDONE)
        known = known.join(orders, on=[c.CUSTOMER_ID, c.ORDER_ID], how="left")
    placed = ~F.col(c.IS_RETURN)
    return known.select(
        *(c.CUSTOMER_ID, c.ORDER_ID, c.PRODUCT_ID, c.CATEGORY, c.BRAND, c.CHANNEL, c.STORE_ID),
        F.to_date(c.ORDERED_AT).alias(DAY),
        F.floor(F.hour(c.ORDERED_AT) / 6).cast("tinyint").alias(DAYPART),
        placed.alias(PLACED),
        (placed & ~F.coalesce(_UNDONE, F.lit(False))).alias(BOUGHT),
        F.coalesce(GIVEN_BACK, F.lit(False)).alias(GIVEN_BACK),
        (F.col(c.AMOUNT) * _CENTS).cast("bigint").alias(c.AMOUNT),
        F.coalesce((F.col(c.DISCOUNT) * _CENTS).cast("bigint"), F.lit(0)).alias(c.DISCOUNT),
        (F.coalesce(c.COUPON, F.lit(0)) > 0).alias(c.COUPON),
        F.coalesce((F.col(c.QUANTITY) * _THOUSANDTHS).cast("bigint"), F.lit(0)).alias(c.QUANTITY),
    )
