"""What an item of a category costs on average, so that a customer's prices can be told dear or cheap for what it is."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.features.lines_by_customer import BOUGHT, rounded, total

CATEGORY_MIX = "category_mix"
PRICED_SPEND = "priced_spend"
SPEND_AT_AVERAGE_PRICES = "spend_at_average_prices"

_DECIMALS = 4
"""Of sums in cents: what differs beyond them is the order of addition."""

_LOW_BITS = 24
"""Leaves the sum of the upper part room for 16 million rows of the largest bigint, that of the lower for 5 * 10^11."""


def category_prices(bought: DataFrame) -> DataFrame:
    """The average price of each category over all customers: gross purchases by quantity, in cents by thousandth.

    Args:
        bought: category, quantity and spend of purchases.
    """
    price = F.try_divide(_large_sum("spend"), _large_sum("quantity"))
    return bought.groupBy(c.CATEGORY).agg(price.alias("price"))


def _large_sum(name: str) -> Column:
    """The sum of whole numbers as a double, over so many rows that a bigint may not hold it.

    Summed in two parts, each exact, so that it does not depend on the order of the rows.
    """
    high, low = F.shiftright(name, _LOW_BITS), F.col(name).bitwiseAND(F.lit((1 << _LOW_BITS) - 1))
    return F.sum(high).cast("double") * F.lit(float(1 << _LOW_BITS)) + F.sum(low).cast("double")


def bought_in_lines(lines: DataFrame) -> DataFrame:
    """The category, quantity and spend of purchases, from lines as `lines.customer_lines` gives them."""
    known = lines.where(F.col(BOUGHT) & F.col(c.CATEGORY).isNotNull())
    return known.select(c.CATEGORY, c.QUANTITY, F.col(c.AMOUNT).alias("spend"))


def price_sums() -> list[Column]:
    """What was spent and what it would have cost at average prices; over categories with their quantity and price."""
    has_price = (F.col("quantity") > 0) & (F.col("price") > 0)
    at_average = F.when(has_price, F.col("quantity") * F.col("price")).otherwise(F.lit(0.0))
    return [
        total("spend", has_price).alias(PRICED_SPEND),
        rounded(F.sum(at_average), _DECIMALS).alias(SPEND_AT_AVERAGE_PRICES),
    ]


def prices_paid(history: DataFrame) -> DataFrame:
    """One row per customer: the `price_sums`, from rows of `customer_history`."""
    mixes = history.select(c.CUSTOMER_ID, F.inline(CATEGORY_MIX))
    priced = mixes.join(F.broadcast(category_prices(mixes)), on=c.CATEGORY)
    return priced.groupBy(c.CUSTOMER_ID).agg(*price_sums())
