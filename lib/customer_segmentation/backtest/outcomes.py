"""What customers did in the days after a date."""

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.features.lines_by_customer import DAY

NET_SPEND, GROSS_SPEND, ORDERS = "net_spend", "gross_spend", "orders"
OUTCOMES = (NET_SPEND, GROSS_SPEND, ORDERS)
"""The columns of `outcomes`; scores are evaluated by the first."""

_CENTS = 100


def outcomes(days: DataFrame, *, start: date, horizon_days: int) -> DataFrame:
    """What customers with order lines in a time did: a row for each, with customer_id and `OUTCOMES`.

    net_spend is purchases less returns, of earlier purchases too; gross_spend purchases (money, as double); orders
    distinct orders with a purchase. A fully returned order is no purchase.

    Args:
        days: rows of `customer_days`, see `features.daily_aggregates`; days out of the time do not enter.
        start: first day of the time.
        horizon_days: how many days it has.
    """
    end = start + timedelta(horizon_days)
    within = days.where((F.col(DAY) >= F.lit(start)) & (F.col(DAY) < F.lit(end)))
    return within.groupBy(c.CUSTOMER_ID).agg(
        (F.sum("net") / _CENTS).cast("double").alias(NET_SPEND),
        (F.sum("gross") / _CENTS).cast("double").alias(GROSS_SPEND),
        F.sum("orders").cast("double").alias(ORDERS),
    )
