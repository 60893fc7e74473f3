"""What customers did before a date: totals, counts and the rhythm of their purchases, in one shuffle of the lines.

The lines of a customer are brought together once. From there they are aggregated several times: by day, for what
happens in time; by order and by product, for how many there are; and by category, brand, channel and store, for how the
spend is spread. Each aggregate ends in a row per customer, and these rows are joined.
"""

from functools import reduce

from pyspark.sql import DataFrame

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import CUSTOMER_HISTORY
from customer_segmentation.features.assortment import (
    OTHER_DIMENSIONS,
    category_aggregates,
    category_totals,
    dimension_aggregates,
    order_aggregates,
    product_aggregates,
)
from customer_segmentation.features.daily_aggregates import ALL_LINES, time_aggregates
from customer_segmentation.spark.dates import Dates

DEFINITION = 6
"""Goes up when the meaning of a column of `customer_days` or `customer_history` changes: what was summed before is then
summed anew."""


def history_aggregates(
    lines: DataFrame, days: DataFrame, categories: DataFrame | None = None, dates: Dates = ALL_LINES
) -> DataFrame:
    """The rows of `customer_history`: one per customer with a purchase; of a series of dates, its states.

    Args:
        lines: of whole customers, see `lines_by_customer`.
        days: theirs, see `daily_aggregates`.
        categories: theirs, see `category_totals`, where they are there already.
    """
    if categories is None:
        categories = category_totals(lines, dates)
    counts = [order_aggregates(lines, dates), product_aggregates(lines, dates)]
    places = dates.places(lines, c.CUSTOMER_ID)
    aggregates = [
        *dates.accumulated(counts, places, c.CUSTOMER_ID),
        category_aggregates(categories, dates, places),
        *(dimension_aggregates(lines, dimension, dates, places) for dimension in OTHER_DIMENSIONS),
    ]
    # All are of the same partitions of customers, so rows are joined by hashing and none is moved or sorted.
    key = dates.key(c.CUSTOMER_ID)
    history = reduce(
        lambda joined, aggregate: joined.join(aggregate.hint("shuffle_hash"), on=key, how="left"),
        aggregates,
        time_aggregates(dates.at_places(days, places, c.CUSTOMER_ID), dates),
    )
    whole = [column.name for column in CUSTOMER_HISTORY.columns if column.type == "bigint"]
    filled = history.fillna(0, subset=whole)
    return filled.select(*(column.of(filled) for column in CUSTOMER_HISTORY.columns), *dates.interval)
