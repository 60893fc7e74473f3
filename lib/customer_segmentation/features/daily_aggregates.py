"""What happened on the days of a customer: sums by day, and what adds up over days, windows and the gaps between."""

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import CUSTOMER_DAYS
from customer_segmentation.features.lines_by_customer import BOUGHT, DAY, DAYPART, PLACED, rounded, total

_GAP_DECIMALS = 10
"""Of sums of logarithms of gaps in days: what differs beyond them is the order of addition."""

_MONEY = ("net", "gross", "placed", "returned", "discounts", "discounted_spend")
_DAYPARTS = {"night": 0, "morning": 1, "afternoon": 2, "evening": 3}
_SEASONS = {"winter": 0, "spring": 1, "summer": 2, "autumn": 3}


def days_of(lines: DataFrame) -> DataFrame:
    """One row of `customer_days` for each day on which a customer has lines.

    Args:
        lines: of whole customers, see `lines.customer_lines`.
    """
    bought, placed, discounted = F.col(BOUGHT), F.col(PLACED), F.col(c.DISCOUNT) > 0
    dayparts = {f"{part}_lines": F.count_if(bought & (F.col(DAYPART) == i)) for part, i in _DAYPARTS.items()}
    by_order = {
        "lines": F.count_if(bought),
        "net": F.sum(c.AMOUNT),
        "gross": total(c.AMOUNT, bought),
        "placed": total(c.AMOUNT, placed),
        "returned": -total(c.AMOUNT, ~placed),
        "items": total(c.QUANTITY, bought),
        "discounts": total(c.DISCOUNT, bought),
        "discounted_lines": F.count_if(bought & discounted),
        "discounted_spend": total(c.AMOUNT, bought & discounted),
        **dayparts,
    }
    orders = lines.groupBy(c.CUSTOMER_ID, DAY, c.ORDER_ID).agg(*(sum_.alias(name) for name, sum_ in by_order.items()))
    return (
        orders.groupBy(c.CUSTOMER_ID, DAY)
        .agg(F.count_if(F.col("lines") > 0).alias("orders"), *(F.sum(name).alias(name) for name in by_order))
        .select(CUSTOMER_DAYS.column_names)
    )


def over_time(days: DataFrame, lately: Mapping[str, Column]) -> DataFrame:
    """By customer with a purchase that stands: what adds up over days, and the gaps between those with one.

    Args:
        days: of whole customers, see `days_of`.
        lately: sums over days to add by name, see `window_sums`.
    """
    active = F.when(F.col("lines") > 0, F.col(DAY))
    earlier = Window.partitionBy(c.CUSTOMER_ID).orderBy(DAY).rowsBetween(Window.unboundedPreceding, -1)
    gap = F.date_diff(active, F.last(active, ignorenulls=True).over(earlier)).cast("bigint")
    season = F.floor(F.month(DAY) % 12 / 3)
    told = days.select("*", active.alias("active"), gap.alias("gap")).select(
        "*",
        F.when(F.dayofweek(DAY).isin(1, 7), F.col("lines")).otherwise(0).alias("weekend_lines"),
        *(F.when(season == i, F.col("lines")).otherwise(0).alias(f"{part}_lines") for part, i in _SEASONS.items()),
    )
    log_gap = F.log(F.col("gap").cast("double"))
    parts = ("weekend", *_DAYPARTS, *_SEASONS)
    sums = ("lines", "discounted_lines", *(f"{part}_lines" for part in parts))
    gaps = {"gap_squares": F.col("gap") * F.col("gap"), "gap_logs": log_gap, "gap_entropy": F.col("gap") * log_gap}
    return (
        told.groupBy(c.CUSTOMER_ID)
        .agg(
            F.min("active").alias("first_day"),
            F.max("active").alias("last_day"),
            F.count("active").alias("days"),
            *(_money(F.sum(name)).alias(name) for name in _MONEY),
            (F.sum("items").cast("decimal(20,0)") * F.lit(0.001).cast("decimal(4,3)")).alias("items"),
            *(F.sum(name).alias(name) for name in sums),
            *(rounded(F.coalesce(F.sum(each), F.lit(0)), _GAP_DECIMALS).alias(name) for name, each in gaps.items()),
            *(each.alias(name) for name, each in lately.items()),
        )
        .where(F.col("days") > 0)
    )


def window_sums(*, as_of: date, windows: Mapping[str, int]) -> dict[str, Column]:
    """Sums over the days of a customer: spend_, spend_before_ and orders_ of each window.

    Args:
        as_of: where the windows end.
        windows: their lengths in days by name. The time before is as long.
    """
    found = {}
    for name, length in windows.items():
        since, before = F.lit(as_of - timedelta(length)), F.lit(as_of - timedelta(2 * length))
        is_in = F.col(DAY) >= since
        found[f"spend_{name}"] = _money(total("gross", is_in))
        found[f"spend_before_{name}"] = _money(total("gross", (F.col(DAY) >= before) & ~is_in))
        found[f"orders_{name}"] = total("orders", is_in)
    return found


def windows_of(days: DataFrame, *, as_of: date, windows: Mapping[str, int]) -> DataFrame:
    """One row per customer with a purchase in the windows or the time before: the `window_sums`.

    Args:
        days: rows of `customer_days` before `as_of`.
    """
    sums = window_sums(as_of=as_of, windows=windows)
    earliest = as_of - timedelta(2 * max(windows.values()))
    lately = days.where((F.col(DAY) >= earliest) & (F.col("lines") > 0))
    return lately.groupBy(c.CUSTOMER_ID).agg(*(sum_.alias(name) for name, sum_ in sums.items()))


def _money(cents: Column) -> Column:
    return cents.cast("decimal(20,0)") * F.lit(0.01).cast("decimal(3,2)")
