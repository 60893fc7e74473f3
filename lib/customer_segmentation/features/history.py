"""What customers did before a date: sums, counts and the rhythm of their purchases, in one shuffle of the lines.

The lines of a customer are brought together once. From there two looks are taken at them: by day, for what happens in
time; and by what was bought and where, for how many there are of each and how the spend lies on them. Money and items
are summed as whole numbers of their smallest units, so that sums are exact and do not depend on the order of the lines.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Observation, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import CUSTOMER_DAYS, CUSTOMER_HISTORY

DEFINITION = 1
"""Goes up when the meaning of a column here changes: what was summed before is then summed anew."""

_DAY = "day"
_BOUGHT = "bought"
_GIVEN_BACK = "is_given_back"
_UNDONE = "is_undone"
_CENTS = 100
_GAP_DECIMALS, _SPEND_DECIMALS = 10, 7
"""Of sums of logarithms, of gaps in days and of spend in cents: what differs beyond them is the order of addition."""
_THOUSANDTHS = 1000

_MONEY = ("net", "gross", "placed", "returned", "discounts", "discounted_spend")
_DAYPARTS = {"night": 0, "morning": 1, "afternoon": 2, "evening": 3}
_SEASONS = {"winter": 0, "spring": 1, "summer": 2, "autumn": 3}


class Range(NamedTuple):
    """What lines are told apart by: the column, and what one and several of it are called in `customer_history`."""

    column: str
    one: str
    many: str


_ORDER, _PRODUCT = Range(c.ORDER_ID, "order", "orders"), Range(c.PRODUCT_ID, "product", "products")
_SPREAD = (
    Range(c.CATEGORY, "category", "categories"),
    Range(c.BRAND, "brand", "brands"),
    Range(c.CHANNEL, "channel", "channels"),
    Range(c.STORE_ID, "store", "stores"),
)
_RANGES = (_ORDER, _PRODUCT, *_SPREAD)


def customer_lines(transactions: DataFrame, given_back: DataFrame | None = None, *, as_of: date) -> DataFrame:
    """The lines before a date as the other functions here take them, those of a customer together.

    Args:
        transactions: order lines in the columns of the `transactions` table.
        given_back: customer_id and order_id of the orders of which something was given back before `as_of`, and
            is_undone, whether all of it was. The lines of an undone order are no purchases; what was paid and given
            back for them counts in net spend and in the return rates only.
        as_of: lines of this day (UTC) and later do not enter.
    """
    together = _lines(transactions, given_back, as_of=as_of).repartition(c.CUSTOMER_ID)
    # Branches of a plan share a shuffle only where it is the same one. What is observed needs every column, so that
    # no branch's shuffle goes without the columns that only another one reads.
    return together.observe(Observation(), F.max(F.xxhash64(*together.columns)).alias("largest"))


def days_of(lines: DataFrame) -> DataFrame:
    """One row of `customer_days` for each day on which a customer has lines.

    Args:
        lines: of whole customers, see `customer_lines`.
    """
    bought, placed, discounted = F.col(_BOUGHT), F.col("placed"), F.col(c.DISCOUNT) > 0
    dayparts = {f"{part}_lines": F.count_if(bought & (F.col("daypart") == i)) for part, i in _DAYPARTS.items()}
    by_order = {
        "lines": F.count_if(bought),
        "net": F.sum(c.AMOUNT),
        "gross": _total(c.AMOUNT, bought),
        "placed": _total(c.AMOUNT, placed),
        "returned": -_total(c.AMOUNT, ~placed),
        "items": _total(c.QUANTITY, bought),
        "discounts": _total(c.DISCOUNT, bought),
        "discounted_lines": F.count_if(bought & discounted),
        "discounted_spend": _total(c.AMOUNT, bought & discounted),
        **dayparts,
    }
    orders = lines.groupBy(c.CUSTOMER_ID, _DAY, c.ORDER_ID).agg(*(sum_.alias(name) for name, sum_ in by_order.items()))
    return (
        orders.groupBy(c.CUSTOMER_ID, _DAY)
        .agg(F.count_if(F.col("lines") > 0).alias("orders"), *(F.sum(name).alias(name) for name in by_order))
        .select(CUSTOMER_DAYS.column_names)
    )


def history_of(lines: DataFrame, days: DataFrame, *, lately: Mapping[str, Column] | None = None) -> DataFrame:
    """One row of `customer_history` per customer with a purchase that stands.

    Args:
        lines: of whole customers, see `customer_lines`.
        days: theirs, see `days_of`.
        lately: sums over days to add by name, see `window_sums`.
    """
    more = lately or {}
    in_time = _in_time(days, more)
    return in_time.join(_in_range(lines), on=c.CUSTOMER_ID).select(*CUSTOMER_HISTORY.column_names, *more)


def window_sums(*, as_of: date, windows: Mapping[str, int]) -> dict[str, Column]:
    """Sums over the days of a customer: spend_, spend_before_ and orders_ of each window.

    Args:
        as_of: where the windows end.
        windows: their lengths in days by name. The time before is as long.
    """
    found = {}
    for name, length in windows.items():
        since, before = F.lit(as_of - timedelta(length)), F.lit(as_of - timedelta(2 * length))
        is_in = F.col(_DAY) >= since
        found[f"spend_{name}"] = _money(_total("gross", is_in))
        found[f"spend_before_{name}"] = _money(_total("gross", (F.col(_DAY) >= before) & ~is_in))
        found[f"orders_{name}"] = _total("orders", is_in)
    return found


def windows_of(days: DataFrame, *, as_of: date, windows: Mapping[str, int]) -> DataFrame:
    """One row per customer with a purchase in the windows or the time before: the `window_sums`.

    Args:
        days: rows of `customer_days` before `as_of`.
    """
    sums = window_sums(as_of=as_of, windows=windows)
    earliest = as_of - timedelta(2 * max(windows.values()))
    lately = days.where((F.col(_DAY) >= earliest) & (F.col("lines") > 0))
    return lately.groupBy(c.CUSTOMER_ID).agg(*(sum_.alias(name) for name, sum_ in sums.items()))


def _lines(transactions: DataFrame, given_back: DataFrame | None, *, as_of: date) -> DataFrame:
    """The lines before the date, with what is needed of them in whole numbers."""
    known = transactions.where(F.col(c.ORDERED_AT) < F.lit(as_of).cast("timestamp"))
    if given_back is None:
        known = known.withColumns({_GIVEN_BACK: F.lit(False), _UNDONE: F.lit(False)})
    else:
        orders = given_back.select(c.CUSTOMER_ID, c.ORDER_ID, F.lit(True).alias(_GIVEN_BACK), _UNDONE)
        known = known.join(orders, on=[c.CUSTOMER_ID, c.ORDER_ID], how="left")
    placed = ~F.col(c.IS_RETURN)
    return known.select(
        *(c.CUSTOMER_ID, *(each.column for each in _RANGES)),
        F.to_date(c.ORDERED_AT).alias(_DAY),
        F.floor(F.hour(c.ORDERED_AT) / 6).cast("tinyint").alias("daypart"),
        placed.alias("placed"),
        (placed & ~F.coalesce(_UNDONE, F.lit(False))).alias(_BOUGHT),
        F.coalesce(_GIVEN_BACK, F.lit(False)).alias(_GIVEN_BACK),
        (F.col(c.AMOUNT) * _CENTS).cast("bigint").alias(c.AMOUNT),
        F.coalesce((F.col(c.DISCOUNT) * _CENTS).cast("bigint"), F.lit(0)).alias(c.DISCOUNT),
        (F.coalesce(c.COUPON, F.lit(0)) > 0).alias(c.COUPON),
        F.coalesce((F.col(c.QUANTITY) * _THOUSANDTHS).cast("bigint"), F.lit(0)).alias(c.QUANTITY),
    )


def _in_time(days: DataFrame, more: Mapping[str, Column]) -> DataFrame:
    """By customer: what adds up over days, and the gaps between those with a purchase."""
    active = F.when(F.col("lines") > 0, F.col(_DAY))
    earlier = Window.partitionBy(c.CUSTOMER_ID).orderBy(_DAY).rowsBetween(Window.unboundedPreceding, -1)
    gap = F.date_diff(active, F.last(active, ignorenulls=True).over(earlier)).cast("bigint")
    season = F.floor(F.month(_DAY) % 12 / 3)
    told = days.select("*", active.alias("active"), gap.alias("gap")).select(
        "*",
        F.when(F.dayofweek(_DAY).isin(1, 7), F.col("lines")).otherwise(0).alias("weekend_lines"),
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
            *(F.round(F.coalesce(F.sum(each), F.lit(0)), _GAP_DECIMALS).alias(name) for name, each in gaps.items()),
            *(each.alias(name) for name, each in more.items()),
        )
        .where(F.col("days") > 0)
    )


def _in_range(lines: DataFrame) -> DataFrame:
    """By customer: how many orders, products, categories, brands, channels and stores, and how the spend lies."""
    names = [each.column for each in _RANGES]
    bought = F.col(_BOUGHT)
    each_one = (
        lines.where("placed")
        .groupingSets([[c.CUSTOMER_ID, name] for name in names], c.CUSTOMER_ID, *names)
        .agg(
            F.grouping_id().alias("set"),
            F.count_if(bought).alias("lines"),
            _total(c.AMOUNT, bought).alias("spend"),
            F.bool_or(_GIVEN_BACK).alias(_GIVEN_BACK),
            F.count_if(bought & F.col(c.COUPON)).alias("coupons"),
        )
        .where(F.coalesce(*names).isNotNull())
    )
    stands = F.col("lines") > 0

    def of(each: Range) -> Column:
        """Whether a row is one of the range: all other names are left out of its grouping."""
        left_out = [other is not each for other in _RANGES]
        return F.col("set") == int("".join(map(str, map(int, left_out))), 2)

    def spent(each: Range) -> Column:
        """What was spent on one of the range, where that is something."""
        return F.when(of(each) & (F.col("spend") > 0), F.col("spend").cast("double"))

    spread = []
    for each in _SPREAD:
        spend = spent(each)
        spread += [
            F.count_if(of(each) & stands).alias(each.many),
            F.sum(spend).alias(f"{each.one}_spend"),
            F.max(spend).alias(f"{each.one}_top"),
            F.round(F.sum(spend * F.log(spend)), _SPEND_DECIMALS).alias(f"{each.one}_logs"),
            F.sum(spend * spend).alias(f"{each.one}_squares"),
        ]
    return each_one.groupBy(c.CUSTOMER_ID).agg(
        F.count_if(of(_ORDER)).alias("orders_placed"),
        F.count_if(of(_ORDER) & F.col(_GIVEN_BACK)).alias("orders_given_back"),
        F.count_if(of(_ORDER) & stands).alias("orders"),
        F.count_if(of(_ORDER) & (F.col("coupons") > 0)).alias("coupon_orders"),
        F.count_if(of(_PRODUCT) & stands).alias("products"),
        _total("lines", of(_PRODUCT)).alias("product_lines"),
        *spread,
    )


def _total(name: str, condition: Column) -> Column:
    return F.sum(F.when(condition, F.col(name)).otherwise(F.lit(0)))


def _money(cents: Column) -> Column:
    return cents.cast("decimal(20,0)") * F.lit(0.01).cast("decimal(3,2)")
