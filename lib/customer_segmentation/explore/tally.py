"""Row counts and sums of a frame by several groupings in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract.tables import TOTAL


@dataclass(frozen=True)
class Group:
    """Rows that share a value, in text; None is a value too.

    amount: the sum over the rows; None where nothing was summed.
    """

    value: str | None
    rows: int
    amount: Decimal | None


def tally(frame: DataFrame, groupings: Mapping[str, Column], *, amount: Column | None = None) -> dict[str, list[Group]]:
    """The groups of each grouping, by name, most rows first. Runs one aggregation and collects its groups.

    Args:
        frame: any rows.
        groupings: what to group by, each on its own; each with few values, as all are collected.
        amount: summed exactly per group; decimal.
    """
    if not groupings:
        return {}
    pairs = F.array(
        *(F.struct(F.lit(name).alias("name"), by.cast("string").alias("value")) for name, by in groupings.items())
    )
    summed = F.lit(None).cast(TOTAL) if amount is None else amount
    rows = (
        frame.select(F.explode(pairs).alias("of"), summed.alias("amount"))
        .groupBy("of.name", "of.value")
        .agg(F.count(F.lit(1)).alias("rows"), F.sum("amount").cast(TOTAL).alias("amount"))
        .collect()
    )
    groups: dict[str, list[Group]] = {name: [] for name in groupings}
    for row in rows:
        groups[row["name"]].append(Group(row["value"], row["rows"], row["amount"]))
    return {name: sorted(of_name, key=_largest_first) for name, of_name in groups.items()}


def _largest_first(group: Group) -> tuple[int, bool, str]:
    return -group.rows, group.value is None, group.value or ""
