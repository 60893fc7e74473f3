"""What customers did before a date, in one group-by over their order lines."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

RECENT_DAYS = 90

_IS_UNDONE = "_is_undone"


def customer_behaviour(transactions: DataFrame, undone: DataFrame | None = None, *, as_of: date) -> DataFrame:
    """One row per customer with a purchase before `as_of` that stands.

    Args:
        transactions: order lines in the columns of the `transactions` table.
        undone: customer_id and order_id of the orders that were given back whole. Their lines are no purchases; what
            was paid and given back for them counts in net spend and in the return rate only.
        as_of: lines of this day (UTC) and later do not enter.

    Returns:
        customer_id, as_of_date and every feature that comes from order lines, see `contract.features`.
    """
    today = F.lit(as_of)
    placed = ~F.col(c.IS_RETURN)
    bought = placed & ~F.col(_IS_UNDONE)
    day = F.to_date(c.ORDERED_AT)
    recent = bought & (day >= F.date_sub(today, RECENT_DAYS))
    weekend = bought & F.dayofweek(day).isin(1, 7)

    totals = (
        _marked(transactions.where(F.col(c.ORDERED_AT) < today.cast("timestamp")), undone)
        .groupBy(c.CUSTOMER_ID)
        .agg(
            F.min(F.when(bought, day)).alias("first_day"),
            F.max(F.when(bought, day)).alias("last_day"),
            _distinct(c.ORDER_ID, bought).alias("orders"),
            F.size(F.collect_set(F.when(bought, day))).alias("days"),
            F.sum(c.AMOUNT).alias("net"),
            _total(c.AMOUNT, bought).alias("gross"),
            _total(c.AMOUNT, placed).alias("placed"),
            _total(c.AMOUNT, ~placed).alias("returned"),
            _total(c.QUANTITY, bought).alias("items"),
            _total(c.DISCOUNT, bought).alias("discounts"),
            _total(c.AMOUNT, recent).alias("recent_gross"),
            _distinct(c.PRODUCT_ID, bought).alias("products"),
            _distinct(c.CATEGORY, bought).alias("categories"),
            F.count_if(bought).alias("lines"),
            F.count_if(weekend).alias("weekend_lines"),
        )
        .where(F.col("orders") > 0)
    )
    return totals.select(
        c.CUSTOMER_ID,
        today.alias(c.AS_OF_DATE),
        F.date_diff(today, F.col("last_day")).alias("recency_days"),
        F.col("orders").alias("frequency"),
        F.col("net").cast("decimal(18,2)").alias("monetary"),
        F.date_diff(today, F.col("first_day")).alias("tenure_days"),
        F.col("days").alias("active_days"),
        F.try_divide(F.date_diff("last_day", "first_day"), F.col("days") - 1).alias("days_between_orders"),
        _ratio("gross", F.col("orders")).alias("average_order_value"),
        _ratio("items", F.col("orders")).alias("items_per_order"),
        F.col("products").alias("distinct_products"),
        F.col("categories").alias("distinct_categories"),
        _share("discounts", F.col("gross") + F.col("discounts")).alias("discount_rate"),
        _share(-F.col("returned"), F.col("placed")).alias("return_rate"),
        _share("recent_gross", F.col("gross")).alias("recent_spend_share"),
        _share("weekend_lines", F.col("lines")).alias("weekend_share"),
    )


def _marked(lines: DataFrame, undone: DataFrame | None) -> DataFrame:
    if undone is None:
        return lines.withColumn(_IS_UNDONE, F.lit(False))
    orders = undone.select(c.CUSTOMER_ID, c.ORDER_ID, F.lit(True).alias(_IS_UNDONE))
    marked = lines.join(orders, on=[c.CUSTOMER_ID, c.ORDER_ID], how="left")
    return marked.withColumn(_IS_UNDONE, F.coalesce(_IS_UNDONE, F.lit(False)))


def _distinct(name: str, condition: Column) -> Column:
    return F.size(F.collect_set(F.when(condition, F.col(name))))


def _total(name: str, condition: Column) -> Column:
    return F.sum(F.when(condition, F.col(name)).otherwise(F.lit(0)))


def _ratio(part: str | Column, whole: Column) -> Column:
    numerator = F.col(part) if isinstance(part, str) else part
    return F.try_divide(numerator.cast("double"), whole.cast("double"))


def _share(part: str | Column, whole: Column) -> Column:
    return F.coalesce(_ratio(part, whole), F.lit(0.0))
