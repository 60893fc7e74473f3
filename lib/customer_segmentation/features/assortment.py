"""How wide a customer's choice is: how many orders, products, categories and so on, and how the spend is spread."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import TOP_CATEGORIES
from customer_segmentation.features.lines_by_customer import BOUGHT, HAS_RETURNS, PLACED, conditional_sum, round_double

CATEGORY_MIX = "category_mix"
_TOTALS = ("quantity", "spend", "lines", "discounted_lines")

_SPEND_DECIMALS = 7
"""Of sums of logarithms of spend in cents: what differs beyond them is the order of addition."""


class Dimension(NamedTuple):
    """A column that lines are grouped by, and what one and several of its values are called in `customer_history`."""

    column: str
    one: str
    many: str


CATEGORIES = Dimension(c.CATEGORY, "category", "categories")
OTHER_DIMENSIONS = (
    Dimension(c.BRAND, "brand", "brands"),
    Dimension(c.CHANNEL, "channel", "channels"),
    Dimension(c.STORE_ID, "store", "stores"),
)


def order_aggregates(lines: DataFrame) -> DataFrame:
    """By customer: how many orders were placed, have returns, have a purchase, one with a coupon, one of a product."""
    orders = _by(
        c.ORDER_ID,
        lines,
        F.count_if(BOUGHT).alias("lines"),
        F.bool_or(HAS_RETURNS).alias(HAS_RETURNS),
        F.count_if(F.col(BOUGHT) & F.col(c.COUPON)).alias("coupons"),
        F.count_if(F.col(BOUGHT) & F.col(c.PRODUCT_ID).isNotNull()).alias("product_lines"),
    )
    return orders.groupBy(c.CUSTOMER_ID).agg(
        F.count(F.lit(1)).alias("orders_placed"),
        F.count_if(HAS_RETURNS).alias("orders_given_back"),
        F.count_if(F.col("lines") > 0).alias("orders"),
        F.count_if(F.col("coupons") > 0).alias("coupon_orders"),
        F.count_if(F.col("product_lines") > 0).alias("orders_with_product"),
    )


def product_aggregates(lines: DataFrame) -> DataFrame:
    """By customer: how many products were bought, in how many orders each, and in how many pairs of orders."""
    bought = lines.where(F.col(BOUGHT) & F.col(c.PRODUCT_ID).isNotNull())
    in_orders = bought.select(c.CUSTOMER_ID, c.PRODUCT_ID, c.ORDER_ID).distinct()
    products = in_orders.groupBy(c.CUSTOMER_ID, c.PRODUCT_ID).agg(F.count(F.lit(1)).alias("orders"))
    return products.groupBy(c.CUSTOMER_ID).agg(
        F.count(F.lit(1)).alias("products"),
        F.sum("orders").alias("product_orders"),
        F.sum(F.col("orders") * (F.col("orders") - 1)).alias("product_order_pairs"),
    )


def dimension_aggregates(lines: DataFrame, dimension: Dimension) -> DataFrame:
    """By customer: how many values of the dimension were bought, and how the spend is spread over them."""
    values = _by(dimension.column, lines, F.count_if(BOUGHT).alias("lines"), _spend())
    return values.groupBy(c.CUSTOMER_ID).agg(*_spread(dimension))


def category_aggregates(lines: DataFrame) -> DataFrame:
    """By customer: the `dimension_aggregates` of categories, those with most spend, and the totals of each."""
    first = Window.partitionBy(c.CUSTOMER_ID).orderBy(F.desc("spend"), c.CATEGORY)
    place = F.when(F.col("spend") > 0, F.row_number().over(first))
    ranked = _by_category(lines).withColumn("place", place)
    top = [
        column
        for place, name in enumerate(TOP_CATEGORIES, start=1)
        for column in (
            F.max(F.when(F.col("place") == place, F.col(c.CATEGORY))).alias(name),
            conditional_sum("spend", F.col("place") == place).alias(f"{name}_spend"),
        )
    ]
    totals = F.when(F.col("lines") > 0, F.struct(F.col(c.CATEGORY).alias("category"), *_TOTALS))
    mix = F.sort_array(F.collect_list(totals)).alias(CATEGORY_MIX)
    return ranked.groupBy(c.CUSTOMER_ID).agg(*_spread(CATEGORIES), *top, mix)


def category_totals(lines: DataFrame) -> DataFrame:
    """The totals of purchases by customer and known category: what category_mix holds, a row for each."""
    return _by_category(lines).where(F.col("lines") > 0).select(c.CUSTOMER_ID, c.CATEGORY, *_TOTALS)


def _by_category(lines: DataFrame) -> DataFrame:
    quantity = conditional_sum(c.QUANTITY, F.col(BOUGHT)).alias("quantity")
    discounted = F.count_if(F.col(BOUGHT) & (F.col(c.DISCOUNT) > 0)).alias("discounted_lines")
    return _by(c.CATEGORY, lines, F.count_if(BOUGHT).alias("lines"), _spend(), quantity, discounted)


def _spend() -> Column:
    return conditional_sum(c.AMOUNT, F.col(BOUGHT)).alias("spend")


def _spread(dimension: Dimension) -> list[Column]:
    """How the spend is spread over the values of a dimension, from rows with their lines and spend."""
    spend = F.when(F.col("spend") > 0, F.col("spend").cast("double"))
    return [
        F.count_if(F.col("lines") > 0).alias(dimension.many),
        F.sum(spend).alias(f"{dimension.one}_spend"),
        F.max(spend).alias(f"{dimension.one}_top"),
        round_double(F.sum(spend * F.log(spend)), _SPEND_DECIMALS).alias(f"{dimension.one}_logs"),
        F.sum(spend * spend).alias(f"{dimension.one}_squares"),
    ]


def _by(column: str, lines: DataFrame, *sums: Column) -> DataFrame:
    """Sums over what was placed, by customer and a column; lines where it is null are filtered out."""
    return lines.where(F.col(PLACED) & F.col(column).isNotNull()).groupBy(c.CUSTOMER_ID, column).agg(*sums)
