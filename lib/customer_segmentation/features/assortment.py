"""How wide a customer's choice is: how many orders, products, categories and so on, and how the spend lies on them."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import TOP_CATEGORIES
from customer_segmentation.features.lines_by_customer import BOUGHT, GIVEN_BACK, PLACED, rounded, total
from customer_segmentation.features.prices import CATEGORY_MIX, price_sums

_SPEND_DECIMALS = 7
"""Of sums of logarithms of spend in cents: what differs beyond them is the order of addition."""


class Range(NamedTuple):
    """What lines are told apart by: the column, and what one and several of it are called in `customer_history`."""

    column: str
    one: str
    many: str


CATEGORIES = Range(c.CATEGORY, "category", "categories")
SPREADS = (
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
    each_one = _by(over.column, lines, F.count_if(bought).alias("lines"), total(c.AMOUNT, bought).alias("spend"))
    return each_one.groupBy(c.CUSTOMER_ID).agg(*_spread(over))


def categories_of(lines: DataFrame, prices: DataFrame | None = None) -> DataFrame:
    """By customer: what `spread_of` tells of categories, which have most spend, and what was bought of each.

    Args:
        prices: see `prices.category_prices`; with them how the prices paid compare is told, without the `category_mix`
            to tell it later.
    """
    bought = F.col(BOUGHT)
    sums = {"spend": total(c.AMOUNT, bought), "quantity": total(c.QUANTITY, bought)}
    each_one = _by(
        c.CATEGORY, lines, F.count_if(bought).alias("lines"), *(sum_.alias(name) for name, sum_ in sums.items())
    )
    has_spend = F.col("spend") > 0
    first = Window.partitionBy(c.CUSTOMER_ID).orderBy(F.desc("spend"), c.CATEGORY)
    ranked = each_one.withColumn("place", F.when(has_spend, F.row_number().over(first)))
    top = [
        column
        for place, name in enumerate(TOP_CATEGORIES, start=1)
        for column in (
            F.max(F.when(F.col("place") == place, F.col(c.CATEGORY))).alias(name),
            total("spend", F.col("place") == place).alias(f"{name}_spend"),
        )
    ]
    if prices is None:
        of_it = F.when(F.col("lines") > 0, F.struct(F.col(c.CATEGORY).alias("category"), "quantity", "spend"))
        more = [F.sort_array(F.collect_list(of_it)).alias(CATEGORY_MIX)]
    else:
        ranked, more = ranked.join(F.broadcast(prices), on=c.CATEGORY, how="left"), price_sums()
    return ranked.groupBy(c.CUSTOMER_ID).agg(*_spread(CATEGORIES), *top, *more)


def _spread(over: Range) -> list[Column]:
    """The sums that tell how the spend lies on a range, over rows with their lines and spend."""
    spend = F.when(F.col("spend") > 0, F.col("spend").cast("double"))
    return [
        F.count_if(F.col("lines") > 0).alias(over.many),
        F.sum(spend).alias(f"{over.one}_spend"),
        F.max(spend).alias(f"{over.one}_top"),
        rounded(F.sum(spend * F.log(spend)), _SPEND_DECIMALS).alias(f"{over.one}_logs"),
        F.sum(spend * spend).alias(f"{over.one}_squares"),
    ]


def _by(column: str, lines: DataFrame, *sums: Column) -> DataFrame:
    """Sums over what was placed, by customer and one range; what is not known of it is left out."""
    return lines.where(F.col(PLACED) & F.col(column).isNotNull()).groupBy(c.CUSTOMER_ID, column).agg(*sums)
