"""What an item of a category costs on average, to compare a customer's prices with those of the same categories."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.features.lines_by_customer import conditional_sum, round_double

PRICED_SPEND = "priced_spend"
SPEND_AT_AVERAGE_PRICES = "spend_at_average_prices"

_DECIMALS = 4
"""Of sums in cents: what differs beyond them is the order of addition."""

_LOW_BITS = 24
"""Leaves the sum of the upper part room for 16 million rows of the largest bigint, that of the lower for 5 * 10^11."""


def price_aggregates(category_totals: DataFrame) -> DataFrame:
    """By customer with a known category: what was spent, and what the same would have cost at average prices, in cents.

    Args:
        category_totals: customer_id, category, quantity and spend of purchases, see `assortment.category_totals`.
    """
    prices = F.broadcast(_average_prices(category_totals))
    has_price = (F.col("quantity") > 0) & (F.col("price") > 0)
    at_average = F.when(has_price, F.col("quantity") * F.col("price")).otherwise(F.lit(0.0))
    priced = category_totals.join(prices, on=c.CATEGORY, how="inner")
    return priced.groupBy(c.CUSTOMER_ID).agg(
        conditional_sum("spend", has_price).alias(PRICED_SPEND),
        round_double(F.sum(at_average), _DECIMALS).alias(SPEND_AT_AVERAGE_PRICES),
    )


def _average_prices(category_totals: DataFrame) -> DataFrame:
    """The average price of each category over all customers: gross purchases by quantity, in cents by thousandth."""
    price = F.try_divide(_large_sum("spend"), _large_sum("quantity"))
    return category_totals.groupBy(c.CATEGORY).agg(price.alias("price"))


def _large_sum(name: str) -> Column:
    """The sum of whole numbers as a double, over so many rows that a bigint may not hold it.

    Summed in two parts, each exact, so that it does not depend on the order of the rows.
    """
    high, low = F.shiftright(name, _LOW_BITS), F.col(name).bitwiseAND(F.lit((1 << _LOW_BITS) - 1))
    return F.sum(high).cast("double") * F.lit(float(1 << _LOW_BITS)) + F.sum(low).cast("double")
