"""Sums by customer and day, and what is summed over the days: totals, windows that end at a date, gaps between days."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import CUSTOMER_DAYS
from customer_segmentation.features.lines_by_customer import (
    BOUGHT,
    DAY,
    DAYPART,
    ENTERED,
    PLACED,
    conditional_sum,
    round_double,
    sum_of,
    sum_where,
)
from customer_segmentation.spark.dates import UNTIL, Dates

_GAP_DECIMALS = 10
"""Of sums of logarithms of gaps in days: what differs beyond them is the order of addition."""

ALL_LINES = Dates()
"""A single date, whichever one: where nothing depends on it but which lines there are."""

_MONEY = ("net", "gross", "placed", "returned", "discounts")
_DAYPARTS = {"night": 0, "morning": 1, "afternoon": 2, "evening": 3}
_SEASONS = {"winter": 0, "spring": 1, "summer": 2, "autumn": 3}


def daily_aggregates(lines: DataFrame, dates: Dates = ALL_LINES) -> DataFrame:
    """The rows of `customer_days`: one for each day on which a customer has lines; of a series of dates, its states.

    Args:
        lines: of whole customers, see `lines_by_customer`.
    """
    placed = F.col(PLACED)
    sums = {
        "lines": F.sum(BOUGHT),
        "net": sum_of(c.AMOUNT, ENTERED),
        "gross": sum_of(c.AMOUNT),
        "placed": sum_of(c.AMOUNT, F.when(placed, F.col(ENTERED)).otherwise(F.lit(0))),
        "returned": -sum_of(c.AMOUNT, F.when(~placed, F.col(ENTERED)).otherwise(F.lit(0))),
        "items": sum_of(c.QUANTITY),
        "discounts": sum_of(c.DISCOUNT),
        "discounted_lines": sum_where(F.col(c.DISCOUNT) > 0),
        **{f"{part}_lines": sum_where(F.col(DAYPART) == i) for part, i in _DAYPARTS.items()},
    }
    orders = lines.groupBy(*dates.summed_by(c.CUSTOMER_ID, DAY), c.ORDER_ID).agg(
        *(column.alias(name) for name, column in sums.items())
    )
    # All lines of an order and a day enter at once, and are taken away at once.
    order = F.when(F.col("lines") > 0, 1).when(F.col("lines") < 0, -1).otherwise(0)
    days = orders.groupBy(*dates.summed_by(c.CUSTOMER_ID, DAY)).agg(
        F.sum(order).alias("orders"), *(F.sum(name).alias(name) for name in sums)
    )
    if dates.is_series:
        return dates.states(days, c.CUSTOMER_ID, DAY, totals=["orders", *sums])
    return CUSTOMER_DAYS.conform(days)


def time_aggregates(days: DataFrame, dates: Dates = ALL_LINES) -> DataFrame:
    """By customer with a purchase: totals over the days, and the gaps between those with a purchase.

    Args:
        days: of whole customers, see `daily_aggregates`; of a series of dates, at each place of a customer.
    """
    key = dates.key(c.CUSTOMER_ID)
    active = F.when(F.col("lines") > 0, F.col(DAY))
    earlier = Window.partitionBy(*key).orderBy(DAY).rowsBetween(Window.unboundedPreceding, -1)
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
        with_gaps.groupBy(*key)
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


def window_aggregates(days: DataFrame, dates: Dates, *, windows: Mapping[str, int]) -> DataFrame:
    """By customer with a purchase in a window or the time before it: spend_, spend_before_ and orders_ of each window.

    Args:
        days: rows of `customer_days` before the date, or their states, see `daily_aggregates`.
        dates: where the windows end.
        windows: their lengths in days by name. The time before a window is as long.
    """
    longest = 2 * max(windows.values())
    if dates.is_series:
        end = F.least(F.col(UNTIL), dates.place(F.date_add(DAY, longest)))
        days = dates.at_all(days.withColumn(UNTIL, end))
    sums = {}
    for name, length in windows.items():
        start, start_before = F.date_sub(dates.day, length), F.date_sub(dates.day, 2 * length)
        in_window = F.col(DAY) >= start
        before = (F.col(DAY) >= start_before) & ~in_window
        sums[f"spend_{name}"] = _money(conditional_sum("gross", in_window))
        sums[f"spend_before_{name}"] = _money(conditional_sum("gross", before))
        sums[f"orders_{name}"] = conditional_sum("orders", in_window)
    recent = days.where((F.col(DAY) >= F.date_sub(dates.day, longest)) & (F.col("lines") > 0))
    return recent.groupBy(*dates.key(c.CUSTOMER_ID)).agg(*(column.alias(name) for name, column in sums.items()))


def _money(cents: Column) -> Column:
    return cents.cast("decimal(20,0)") * F.lit(0.01).cast("decimal(3,2)")
