"""How wide a customer's choice is: how many orders, products, categories and so on, and how the spend is spread."""

from collections.abc import Mapping
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import TOP_CATEGORIES
from customer_segmentation.features.exact_sums import exact_sum
from customer_segmentation.features.lines_by_customer import (
    BOUGHT,
    PLACED,
    RETURNS,
    conditional_sum,
    sum_of,
    sum_where,
)
from customer_segmentation.spark.dates import Dates

CATEGORY_MIX = "category_mix"
_TOTALS = ("quantity", "spend", "lines", "discounted_lines")


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


def order_aggregates(lines: DataFrame, dates: Dates) -> DataFrame:
    """By customer: how many orders were placed, have returns, have a purchase, one with a coupon, one of a product."""
    sums = {
        "lines": F.sum(BOUGHT),
        "returns": F.sum(RETURNS),
        "coupons": sum_where(F.col(c.COUPON)),
        "product_lines": sum_where(F.col(c.PRODUCT_ID).isNotNull()),
    }
    orders = _by(c.ORDER_ID, lines, dates, sums)
    counts = {
        "orders_placed": F.lit(1),
        "orders_with_return": _is_positive("returns"),
        "orders": _is_positive("lines"),
        "coupon_orders": _is_positive("coupons"),
        "orders_with_product": _is_positive("product_lines"),
    }
    return dates.sums_of(orders, [c.CUSTOMER_ID], [c.ORDER_ID], counts)


def product_aggregates(lines: DataFrame, dates: Dates) -> DataFrame:
    """By customer: how many products were bought, in how many orders each, and in how many pairs of orders."""
    key = [c.CUSTOMER_ID, c.PRODUCT_ID]
    bought = lines.where((F.col(BOUGHT) != 0) & F.col(c.PRODUCT_ID).isNotNull())
    sums = bought.groupBy(*dates.summed_by(*key, c.ORDER_ID)).agg(F.sum(BOUGHT).alias("lines"))
    in_orders = dates.states(sums, *key, c.ORDER_ID, totals=["lines"])
    of_products = dates.sums_of(in_orders, key, [c.ORDER_ID], {"orders": _is_positive("lines")})
    orders = F.col("orders")
    return dates.sums_of(
        dates.states(of_products, *key, totals=["orders"]),
        *([c.CUSTOMER_ID], [c.PRODUCT_ID]),
        {"products": _is_positive("orders"), "product_orders": orders, "product_order_pairs": orders * (orders - 1)},
    )


def dimension_aggregates(lines: DataFrame, dimension: Dimension, dates: Dates, places: DataFrame) -> DataFrame:
    """By customer: how many values of the dimension were bought, and how the spend is spread over them."""
    values = _by(dimension.column, lines, dates, {"lines": F.sum(BOUGHT), "spend": sum_of(c.AMOUNT)})
    values = dates.at_places(values, places, c.CUSTOMER_ID)
    return values.groupBy(*dates.key(c.CUSTOMER_ID)).agg(*_spread(dimension))


def category_aggregates(categories: DataFrame, dates: Dates, places: DataFrame) -> DataFrame:
    """By customer: the `dimension_aggregates` of categories, those with most spend, and the totals of each.

    Args:
        categories: see `category_totals`.
    """
    key = dates.key(c.CUSTOMER_ID)
    first = Window.partitionBy(*key).orderBy(F.desc("spend"), c.CATEGORY)
    rank = F.when(F.col("spend") > 0, F.row_number().over(first))
    states = dates.states(categories, c.CUSTOMER_ID, c.CATEGORY, totals=_TOTALS)
    ranked = dates.at_places(states, places, c.CUSTOMER_ID).withColumn("rank", rank)
    top = [
        column
        for rank, name in enumerate(TOP_CATEGORIES, start=1)
        for column in (
            F.max(F.when(F.col("rank") == rank, F.col(c.CATEGORY))).alias(name),
            conditional_sum("spend", F.col("rank") == rank).alias(f"{name}_spend"),
        )
    ]
    totals = F.when(F.col("lines") > 0, F.struct(F.col(c.CATEGORY).alias("category"), *_TOTALS))
    mix = F.sort_array(F.collect_list(totals)).alias(CATEGORY_MIX)
    return ranked.groupBy(*key).agg(*_spread(CATEGORIES), *top, mix)


def category_totals(lines: DataFrame, dates: Dates) -> DataFrame:
    """The totals of purchases by customer and known category placed: what category_mix holds, a row for each.

    Of a series of dates, by period: what lines add and take away.
    """
    sums = {
        "quantity": sum_of(c.QUANTITY),
        "spend": sum_of(c.AMOUNT),
        "lines": F.sum(BOUGHT),
        "discounted_lines": sum_where(F.col(c.DISCOUNT) > 0),
    }
    return _sums_by(c.CATEGORY, lines, dates, sums)


def _is_positive(name: str) -> Column:
    return (F.col(name) > 0).cast("bigint")


def _spread(dimension: Dimension) -> list[Column]:
    """How the spend is spread over the values of a dimension, from rows with their lines and spend."""
    whole = F.when(F.col("spend") > 0, F.col("spend"))
    spend = whole.cast("double")
    return [
        F.count_if(F.col("lines") > 0).alias(dimension.many),
        F.sum(whole).cast("double").alias(f"{dimension.one}_spend"),
        F.max(spend).alias(f"{dimension.one}_top"),
        exact_sum(spend * F.log(spend), binary_digits=24).alias(f"{dimension.one}_logs"),
        exact_sum(spend * spend).alias(f"{dimension.one}_squares"),
    ]


def _by(column: str, lines: DataFrame, dates: Dates, sums: Mapping[str, Column]) -> DataFrame:
    """Sums over what was placed, by customer and a column, or their states; lines where it is null are filtered out."""
    return dates.states(_sums_by(column, lines, dates, sums), c.CUSTOMER_ID, column, totals=list(sums))


def _sums_by(column: str, lines: DataFrame, dates: Dates, sums: Mapping[str, Column]) -> DataFrame:
    placed = lines.where(F.col(PLACED) & F.col(column).isNotNull())
    return placed.groupBy(*dates.summed_by(c.CUSTOMER_ID, column)).agg(*(v.alias(name) for name, v in sums.items()))
