"""How wide a customer's choice is: how many orders, products, categories and so on, and how the spend lies on them."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.features.lines import BOUGHT, GIVEN_BACK, PLACED, rounded, total

_SPEND_DECIMALS = 7
"""Of sums of logarithms of spend in cents: what differs beyond them is the order of addition."""


class Range(NamedTuple):
    """What lines are told apart by: the column, and what one and several of it are called in `customer_history`."""

    column: str
    one: str
    many: str


SPREADS = (
    Range(c.CATEGORY, "category", "categories"),
    Range(c.BRAND, "brand", "brands"),
    Range(c.CHANNEL, "channel", "channels"),
    Range(c.STORE_ID, "store", "stores"),
)


def orders_of(lines: DataFrame) -> DataFrame:
    """By customer: how many orders there are, placed, given back, standing and with a coupon."""
    orders = _by(
        c.ORDER_ID,
        lines,
        F.count_if(BOUGHT).alias("lines"),
        F.bool_or(GIVEN_BACK).alias(GIVEN_BACK),
        F.count_if(F.col(BOUGHT) & F.col(c.COUPON)).alias("coupons"),
    )
    return orders.groupBy(c.CUSTOMER_ID).agg(
        F.count(F.lit(1)).alias("orders_placed"),
        F.count_if(GIVEN_BACK).alias("orders_given_back"),
        F.count_if(F.col("lines") > 0).alias("orders"),
        F.count_if(F.col("coupons") > 0).alias("coupon_orders"),
    )


def products_of(lines: DataFrame) -> DataFrame:
    """By customer: how many products were bought, and in how many lines."""
    products = _by(c.PRODUCT_ID, lines, F.count_if(BOUGHT).alias("lines"))
    return products.groupBy(c.CUSTOMER_ID).agg(
        F.count_if(F.col("lines") > 0).alias("products"), F.sum("lines").alias("product_lines")
    )


def spread_of(lines: DataFrame, over: Range) -> DataFrame:
    """By customer: how many of the range there are, and how the spend lies on them."""
    bought = F.col(BOUGHT)
    each_one = _by(
        over.column,
        lines,
        F.count_if(bought).alias("lines"),
        total(c.AMOUNT, bought).alias("spend"),
    )
    spend = F.when(F.col("spend") > 0, F.col("spend").cast("double"))
    return each_one.groupBy(c.CUSTOMER_ID).agg(
        F.count_if(F.col("lines") > 0).alias(over.many),
        F.sum(spend).alias(f"{over.one}_spend"),
        F.max(spend).alias(f"{over.one}_top"),
        rounded(F.sum(spend * F.log(spend)), _SPEND_DECIMALS).alias(f"{over.one}_logs"),
        F.sum(spend * spend).alias(f"{over.one}_squares"),
    )


def _by(column: str, lines: DataFrame, *sums: Column) -> DataFrame:
    """Sums over what was placed, by customer and one range; what is not known of it is left out."""
    return lines.where(F.col(PLACED) & F.col(column).isNotNull()).groupBy(c.CUSTOMER_ID, column).agg(*sums)
