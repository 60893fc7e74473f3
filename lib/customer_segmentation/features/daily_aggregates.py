"""Sums by customer and day, and what is summed over the days: totals, windows that end at a date, gaps between days."""

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import CUSTOMER_DAYS
from customer_segmentation.features.lines_by_customer import (
    BOUGHT,
    DAY,
    DAYPART,
    PLACED,
    conditional_sum,
    round_double,
)

_GAP_DECIMALS = 10
"""Of sums of logarithms of gaps in days: what differs beyond them is the order of addition."""

_MONEY = ("net", "gross", "placed", "returned", "discounts")
_DAYPARTS = {"night": 0, "morning": 1, "afternoon": 2, "evening": 3}
_SEASONS = {"winter": 0, "spring": 1, "summer": 2, "autumn": 3}


def daily_aggregates(lines: DataFrame) -> DataFrame:
    """The rows of `customer_days`: one for each day on which a customer has lines.

    Args:
        lines: of whole customers, see `lines_by_customer`.
    """
    bought, placed, discounted = F.col(BOUGHT), F.col(PLACED), F.col(c.DISCOUNT) > 0
    dayparts = {f"{part}_lines": F.count_if(bought & (F.col(DAYPART) == i)) for part, i in _DAYPARTS.items()}
    sums = {
        "lines": F.count_if(bought),
        "net": F.sum(c.AMOUNT),
        "gross": conditional_sum(c.AMOUNT, bought),
        "placed": conditional_sum(c.AMOUNT, placed),
        "returned": -conditional_sum(c.AMOUNT, ~placed),
        "items": conditional_sum(c.QUANTITY, bought),
        "discounts": conditional_sum(c.DISCOUNT, bought),
        "discounted_lines": F.count_if(bought & discounted),
        **dayparts,
    }
    orders = lines.groupBy(c.CUSTOMER_ID, DAY, c.ORDER_ID).agg(*(column.alias(name) for name, column in sums.items()))
    days = orders.groupBy(c.CUSTOMER_ID, DAY).agg(
        F.count_if(F.col("lines") > 0).alias("orders"), *(F.sum(name).alias(name) for name in sums)
    )
    return CUSTOMER_DAYS.conform(days)


def time_aggregates(days: DataFrame) -> DataFrame:
    """By customer with a purchase: totals over the days, and the gaps between those with a purchase.

    Args:
        days: of whole customers, see `daily_aggregates`.
    """
    active = F.when(F.col("lines") > 0, F.col(DAY))
    earlier = Window.partitionBy(c.CUSTOMER_ID).orderBy(DAY).rowsBetween(Window.unboundedPreceding, -1)
    gap = F.date_diff(active, F.last(active, ignorenulls=True).over(earlier)).cast("bigint")
    season = F.floor(F.month(DAY) % 12 / 3)
    with_gaps = days.select("*", active.alias("active"), gap.alias("gap")).select(
        "*",
        F.when(F.dayofweek(DAY).isin(1, 7), F.col("lines")).otherwise(0).alias("weekend_lines"),
        *(F.when(season == i, F.col("lines")).otherwise(0).alias(f"{part}_lines") for part, i in _SEASONS.items()),
    )
    log_gap = F.log(F.col("gap").cast("double"))
    parts = ("weekend", *_DAYPARTS, *_SEASONS)
    counts = ("lines", "discounted_lines", *(f"{part}_lines" for part in parts))
    gaps = {"gap_squares": F.col("gap") * F.col("gap"), "gap_logs": log_gap, "gap_entropy": F.col("gap") * log_gap}
    return (
        with_gaps.groupBy(c.CUSTOMER_ID)
        .agg(
            F.min("active").alias("first_day"),
            F.max("active").alias("last_day"),
            F.count("active").alias("days"),
            *(_money(F.sum(name)).alias(name) for name in _MONEY),
            (F.sum("items").cast("decimal(20,0)") * F.lit(0.001).cast("decimal(4,3)")).alias("items"),
            *(F.sum(name).alias(name) for name in counts),
            *(
                round_double(F.coalesce(F.sum(value), F.lit(0)), _GAP_DECIMALS).alias(name)
                for name, value in gaps.items()
            ),
        )
        .where(F.col("days") > 0)
    )


def window_aggregates(days: DataFrame, *, as_of: date, windows: Mapping[str, int]) -> DataFrame:
    """By customer with a purchase in a window or the time before it: spend_, spend_before_ and orders_ of each window.

    Args:
        days: rows of `customer_days` before `as_of`.
        as_of: where the windows end.
        windows: their lengths in days by name. The time before a window is as long.
    """
    sums = {}
    for name, length in windows.items():
        start, start_before = F.lit(as_of - timedelta(length)), F.lit(as_of - timedelta(2 * length))
        in_window = F.col(DAY) >= start
        before = (F.col(DAY) >= start_before) & ~in_window
        sums[f"spend_{name}"] = _money(conditional_sum("gross", in_window))
        sums[f"spend_before_{name}"] = _money(conditional_sum("gross", before))
        sums[f"orders_{name}"] = conditional_sum("orders", in_window)
    earliest = as_of - timedelta(2 * max(windows.values()))
    recent = days.where((F.col(DAY) >= earliest) & (F.col("lines") > 0))
    return recent.groupBy(c.CUSTOMER_ID).agg(*(column.alias(name) for name, column in sums.items()))


def _money(cents: Column) -> Column:
    return cents.cast("decimal(20,0)") * F.lit(0.01).cast("decimal(3,2)")
