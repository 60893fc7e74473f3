"""Rates over all customers of the shop, which the ratios of a customer with few purchases are shrunk towards."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.features.exact_sums import large_sum
from customer_segmentation.spark.dates import Dates


def shop_averages(history: DataFrame, dates: Dates) -> DataFrame:
    """What all customers with a purchase have together, one row for each date; all sums are exact.

    shop_gap: days of tenure by repeated purchase day, at least one of them. shop_discount_rate,
    shop_discounted_share, shop_coupon_rate, shop_return_rate and shop_return_order_rate: the shares that features
    of these names are of a customer. shop_brand_top_share: purchases of each customer's main brand in those of all
    known brands. 0 where there is nothing to share.

    Args:
        history: rows of `customer_history`, at each date.
        dates: where the tenures end.
    """
    tenure = F.sum(F.date_diff(dates.day, "first_day").cast("bigint")).cast("double")
    repeats = F.greatest(F.sum(F.col("days") - 1), F.lit(1)).cast("double")
    brands = history.withColumns({name: F.col(name).cast("bigint") for name in ("brand_top", "brand_spend")})
    return brands.groupBy(*dates.key()).agg(
        F.try_divide(tenure, repeats).alias("shop_gap"),
        _share(_sum("discounts"), _sum("gross") + _sum("discounts")).alias("shop_discount_rate"),
        _share(_sum("discounted_lines"), _sum("lines")).alias("shop_discounted_share"),
        _share(_sum("coupon_orders"), _sum("orders")).alias("shop_coupon_rate"),
        _share(_sum("returned"), _sum("placed")).alias("shop_return_rate"),
        _share(_sum("orders_with_return"), _sum("orders_placed")).alias("shop_return_order_rate"),
        _share(large_sum("brand_top"), large_sum("brand_spend")).alias("shop_brand_top_share"),
    )


def shop_response_rate(events: DataFrame, dates: Dates) -> DataFrame:
    """shop_response_rate, the campaigns answered by those received over all who were contacted; a row for each date.

    Args:
        events: a row per customer, see `campaign_aggregates`, at each date.
    """
    return events.groupBy(*dates.key()).agg(_share(_sum("answered"), _sum("received")).alias("shop_response_rate"))


def _sum(name: str) -> Column:
    return F.sum(name).cast("double")


def _share(part: Column, whole: Column) -> Column:
    return F.coalesce(F.try_divide(part, whole), F.lit(0.0))
