"""What is usual in a category: what an item costs and how much is bought on a discount, to compare a customer with."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.features.large_sums import large_sum
from customer_segmentation.features.lines_by_customer import conditional_sum, round_double

_SPEND_DECIMALS = 4
_LINE_DECIMALS = 9
"""Of sums in cents and in lines: what differs beyond them is the order of addition."""


def price_aggregates(category_totals: DataFrame) -> DataFrame:
    """By customer with a known category: what the purchases are, and what they would be as all customers have them.

    priced_spend and spend_at_average_prices: what was spent, and what the same would have cost at the average prices of
    the categories, in cents. category_lines and expected_discounted_lines: the purchase lines, and how many of them
    would have a discount at the shares of the categories.

    Args:
        category_totals: customer_id, category, quantity, spend, lines and discounted_lines of purchases, see
            `assortment.category_totals`.
    """
    usual = F.broadcast(_usual(category_totals))
    has_price = (F.col("quantity") > 0) & (F.col("price") > 0)
    at_average = F.when(has_price, F.col("quantity") * F.col("price")).otherwise(F.lit(0.0))
    expected = F.col("lines") * F.col("discounted_share")
    priced = category_totals.join(usual, on=c.CATEGORY, how="inner")
    return priced.groupBy(c.CUSTOMER_ID).agg(
        conditional_sum("spend", has_price).alias("priced_spend"),
        round_double(F.sum(at_average), _SPEND_DECIMALS).alias("spend_at_average_prices"),
        F.sum("lines").alias("category_lines"),
        round_double(F.sum(expected), _LINE_DECIMALS).alias("expected_discounted_lines"),
    )


def _usual(category_totals: DataFrame) -> DataFrame:
    """Of each category over all customers: spend by quantity, in cents by thousandth, and discounted lines by lines."""
    return category_totals.groupBy(c.CATEGORY).agg(
        F.try_divide(large_sum("spend"), large_sum("quantity")).alias("price"),
        F.try_divide(F.sum("discounted_lines").cast("double"), F.sum("lines").cast("double")).alias("discounted_share"),
    )
