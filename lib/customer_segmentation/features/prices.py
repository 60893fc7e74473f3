"""What is usual in a category: what an item costs and how much is bought on a discount, to compare a customer with."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.features.exact_sums import exact_sum, large_parts, of_large_parts
from customer_segmentation.features.lines_by_customer import conditional_sum
from customer_segmentation.spark.dates import Dates

_TOTALS = ("quantity", "spend", "lines", "discounted_lines")


def price_aggregates(category_totals: DataFrame, dates: Dates) -> DataFrame:
    """By customer with a known category: what the purchases are, and what they would be as all customers have them.

    priced_spend and spend_at_average_prices: what was spent, and what the same would have cost at the average prices of
    the categories, in cents. category_lines and expected_discounted_lines: the purchase lines, and how many of them
    would have a discount at the shares of the categories.

    Args:
        category_totals: customer_id, category, quantity, spend, lines and discounted_lines of purchases, see
            `assortment.category_totals`.
    """
    usual = F.broadcast(_usual(category_totals, dates))
    has_price = (F.col("quantity") > 0) & (F.col("price") > 0)
    at_average = F.when(has_price, F.col("quantity") * F.col("price")).otherwise(F.lit(0.0))
    expected = F.col("lines") * F.col("discounted_share")
    states = dates.states(category_totals, c.CUSTOMER_ID, c.CATEGORY, totals=_TOTALS)
    priced = dates.at_all(states).join(usual, on=dates.key(c.CATEGORY), how="inner").where(F.col("lines") > 0)
    return priced.groupBy(*dates.key(c.CUSTOMER_ID)).agg(
        conditional_sum("spend", has_price).alias("priced_spend"),
        exact_sum(at_average, binary_digits=24).alias("spend_at_average_prices"),
        F.sum("lines").alias("category_lines"),
        exact_sum(expected, binary_digits=40).alias("expected_discounted_lines"),
    )


def _usual(category_totals: DataFrame, dates: Dates) -> DataFrame:
    """Of each category over all customers: spend by quantity, in cents by thousandth, and discounted lines by lines."""
    (high_spend, low_spend), (high_quantity, low_quantity) = large_parts("spend"), large_parts("quantity")
    sums = {
        "high_spend": F.sum(high_spend),
        "low_spend": F.sum(low_spend),
        "high_quantity": F.sum(high_quantity),
        "low_quantity": F.sum(low_quantity),
        "all_lines": F.sum("lines"),
        "all_discounted": F.sum("discounted_lines"),
    }
    of_categories = category_totals.groupBy(*dates.summed_by(c.CATEGORY)).agg(
        *(total.alias(name) for name, total in sums.items())
    )
    spend, quantity = (of_large_parts(F.col(f"high_{name}"), F.col(f"low_{name}")) for name in ("spend", "quantity"))
    discounted, lines = F.col("all_discounted").cast("double"), F.col("all_lines").cast("double")
    return dates.at_all(dates.states(of_categories, c.CATEGORY, totals=list(sums))).select(
        *dates.key(c.CATEGORY),
        F.try_divide(spend, quantity).alias("price"),
        F.try_divide(discounted, lines).alias("discounted_share"),
    )
