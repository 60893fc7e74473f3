"""Orders, customers and the gaps between their order days: the frames over which most of an exploration counts."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.explore.distributions import (
    DAYS_BETWEEN_ORDERS,
    ITEMS_PER_ORDER,
    ORDER_VALUE,
    ORDERS_PER_CUSTOMER,
    SPEND_PER_CUSTOMER,
)

_LINE = (c.ORDERED_AT, c.PRODUCT_ID, c.CATEGORY, c.QUANTITY, c.AMOUNT, c.DISCOUNT, c.CHANNEL, c.IS_RETURN)


def customer_orders(lines: DataFrame) -> DataFrame:
    """One row per customer and order.

    Args:
        lines: order lines in the columns of the `transactions` table.

    Returns:
        customer_id; order_value and items_per_order of the lines bought (null where all are returns); net, all lines;
        day and hour of the first purchase; lines; repeated_lines, those equal to another one in every column.
    """
    bought = ~F.col(c.IS_RETURN)
    first = F.min(F.when(bought, F.col(c.ORDERED_AT)))
    return (
        lines.groupBy(c.CUSTOMER_ID, c.ORDER_ID)
        .agg(
            first.alias("_first"),
            F.sum(F.when(bought, F.col(c.AMOUNT))).alias(ORDER_VALUE.name),
            F.sum(F.when(bought, F.col(c.QUANTITY))).alias(ITEMS_PER_ORDER.name),
            F.sum(c.AMOUNT).alias("net"),
            F.count(F.lit(1)).alias("lines"),
            F.count_distinct(F.xxhash64(*_LINE)).alias("_different"),
        )
        .select(
            c.CUSTOMER_ID,
            ORDER_VALUE.name,
            ITEMS_PER_ORDER.name,
            "net",
            F.to_date("_first").alias("day"),
            F.hour("_first").alias("hour"),
            "lines",
            (F.col("lines") - F.col("_different")).alias("repeated_lines"),
        )
    )


def order_customers(orders: DataFrame) -> DataFrame:
    """One row per customer.

    Args:
        orders: as `customer_orders` makes them.

    Returns:
        customer_id; orders_per_customer, those with a purchase; spend_per_customer, net; first_day of a purchase (null
        without one); days with a purchase, in order.
    """
    return orders.groupBy(c.CUSTOMER_ID).agg(
        F.count("day").alias(ORDERS_PER_CUSTOMER.name),
        F.sum("net").cast("decimal(28,2)").alias(SPEND_PER_CUSTOMER.name),
        F.min("day").alias("first_day"),
        F.sort_array(F.collect_set("day")).alias("days"),
    )


def order_gaps(customers: DataFrame) -> DataFrame:
    """One row per pair of a customer's order days that follow each other: days_between_orders.

    Args:
        customers: as `order_customers` makes them.
    """

    def gap(day: Column, place: Column) -> Column:
        return F.when(place > 0, F.date_diff(day, F.col("days")[place - 1]))

    return customers.select(F.explode(F.transform("days", gap)).alias(DAYS_BETWEEN_ORDERS.name)).where(
        F.col(DAYS_BETWEEN_ORDERS.name).isNotNull()
    )
