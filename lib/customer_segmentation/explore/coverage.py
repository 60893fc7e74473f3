"""Coverage: how many customers with order lines have attributes and events, and how many have those alone."""

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

_TRANSACTIONS = "transactions"


@dataclass(frozen=True)
class Coverage:
    """A table beside the order lines.

    both: its customers that have order lines.
    without_orders: its customers that have none.
    """

    table: str
    both: int
    without_orders: int


def coverage(buyers: DataFrame, others: dict[str, DataFrame]) -> list[Coverage]:
    """Count the customers of each other table with and without order lines. Runs one aggregation over ids.

    Args:
        buyers: a row per customer with order lines.
        others: frames with a customer_id, by the name of their table.
    """
    if not others:
        return []
    named = {_TRANSACTIONS: buyers, **others}
    ids = [frame.select(c.CUSTOMER_ID, F.lit(name).alias("table")) for name, frame in named.items()]
    in_table = [F.max(F.col("table") == name).alias(name) for name in named]
    per_customer = reduce(DataFrame.unionAll, ids).groupBy(c.CUSTOMER_ID).agg(*in_table)
    has_orders = F.col(_TRANSACTIONS)
    counts = [
        count
        for name in others
        for count in (
            F.count_if(F.col(name) & has_orders).alias(f"{name}_both"),
            F.count_if(F.col(name) & ~has_orders).alias(f"{name}_alone"),
        )
    ]
    row = per_customer.where(F.col(c.CUSTOMER_ID).isNotNull()).agg(*counts).first()
    assert row is not None, "an aggregation without grouping has one row"
    return [Coverage(name, row[f"{name}_both"], row[f"{name}_alone"]) for name in others]
