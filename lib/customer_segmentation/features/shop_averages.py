"""What is usual in the shop: rates of all customers together, which a customer's own few purchases are drawn to."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.features.large_sums import large_sum


def shop_averages(history: DataFrame, *, as_of: date) -> DataFrame:
    """One row of what all customers with a purchase have together; all sums are exact, whatever the order of rows.

    shop_gap: days of tenure by repeated purchase day, at least one of them. shop_discount_rate,
    shop_discounted_share, shop_coupon_rate, shop_return_rate and shop_return_order_rate: the shares that features
    of these names are of a customer. shop_brand_top_share: purchases of each customer's main brand in those of all
    known brands. 0 where there is nothing to share.

    Args:
        history: rows of `customer_history`.
        as_of: where the tenures end.
    """
    tenure = F.sum(F.date_diff(F.lit(as_of), "first_day").cast("bigint")).cast("double")
    repeats = F.greatest(F.sum(F.col("days") - 1), F.lit(1)).cast("double")
    brands = history.withColumns({name: F.col(name).cast("bigint") for name in ("brand_top", "brand_spend")})
    return brands.agg(
        F.try_divide(tenure, repeats).alias("shop_gap"),
        _share(_sum("discounts"), _sum("gross") + _sum("discounts")).alias("shop_discount_rate"),
        _share(_sum("discounted_lines"), _sum("lines")).alias("shop_discounted_share"),
        _share(_sum("coupon_orders"), _sum("orders")).alias("shop_coupon_rate"),
        _share(_sum("returned"), _sum("placed")).alias("shop_return_rate"),
        _share(_sum("orders_given_back"), _sum("orders_placed")).alias("shop_return_order_rate"),
        _share(large_sum("brand_top"), large_sum("brand_spend")).alias("shop_brand_top_share"),
    )


def shop_response_rate(events: DataFrame) -> DataFrame:
    """One row: shop_response_rate, the campaigns answered by those received over all who were contacted.

    Args:
        events: a row per customer, see `engagement_aggregates`.
    """
    return events.agg(_share(_sum("answered"), _sum("received")).alias("shop_response_rate"))


def _sum(name: str) -> Column:
    return F.sum(name).cast("double")


def _share(part: Column, whole: Column) -> Column:
    return F.coalesce(F.try_divide(part, whole), F.lit(0.0))
