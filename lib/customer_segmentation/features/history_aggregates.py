"""What customers did before a date: sums, counts and the rhythm of their purchases, in one shuffle of the lines.

The lines of a customer are brought together once. From there several looks are taken at them: by day, for what happens
in time; by order and by product, for how many there are; and by what else lines are told apart by, for how the spend
lies on it. Each look ends in a row per customer, and the rows of all looks become one.
"""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import CUSTOMER_HISTORY
from customer_segmentation.features.assortment import SPREADS, categories_of, orders_of, products_of, spread_of
from customer_segmentation.features.daily_aggregates import over_time
from customer_segmentation.features.prices import CATEGORY_MIX, PRICED_SPEND, SPEND_AT_AVERAGE_PRICES

DEFINITION = 3
"""Goes up when the meaning of a column of `customer_days` or `customer_history` changes: what was summed before is then
summed anew."""


def history_of(
    lines: DataFrame, days: DataFrame, *, lately: Mapping[str, Column] | None = None, prices: DataFrame | None = None
) -> DataFrame:
    """One row of `customer_history` per customer with a purchase that stands.

    Args:
        lines: of whole customers, see `lines.customer_lines`.
        days: theirs, see `days.days_of`.
        lately: sums over days to add by name, see `days.window_sums`.
        prices: see `ranges.categories_of`; with them its `price_sums` are added, and there is no category_mix.
    """
    more = lately or {}
    looks = [
        orders_of(lines),
        products_of(lines),
        categories_of(lines, prices),
        *(spread_of(lines, each) for each in SPREADS),
    ]
    # All are of the same partitions of customers, so a row of each is found by hashing and none is moved or sorted.
    known = reduce(
        lambda so_far, look: so_far.join(look.hint("shuffle_hash"), on=c.CUSTOMER_ID, how="left"),
        looks,
        over_time(days, more),
    )
    counts = [column.name for column in CUSTOMER_HISTORY.columns if column.type == "bigint"]
    names = [name for name in CUSTOMER_HISTORY.column_names if prices is None or name != CATEGORY_MIX]
    sums = [] if prices is None else [PRICED_SPEND, SPEND_AT_AVERAGE_PRICES]
    return known.fillna(0, subset=counts).select(*names, *more, *sums)
