"""Distributions: how a number spreads over lines, orders or customers, summarised and in buckets."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.explore.buckets import Buckets, fit_buckets
from customer_segmentation.explore.summary import Summary, summaries
from customer_segmentation.explore.tally import Group, tally

Unit = Literal["money", "items", "orders", "days"]


@dataclass(frozen=True)
class Measure:
    """A number with a distribution.

    name: in `data_distributions`, and the column it is computed in.
    title: for people.
    of: what is counted, in the plural.
    """

    name: str
    title: str
    of: str
    unit: Unit
    whole: bool = False


LINE_AMOUNT = Measure("line_amount", "Amount of a line", "lines", "money")
ORDER_VALUE = Measure("order_value", "Value of an order", "orders", "money")
ITEMS_PER_ORDER = Measure("items_per_order", "Items in an order", "orders", "items", whole=True)
ORDERS_PER_CUSTOMER = Measure("orders_per_customer", "Orders of a customer", "customers", "orders", whole=True)
SPEND_PER_CUSTOMER = Measure("spend_per_customer", "Net spend of a customer", "customers", "money")
DAYS_BETWEEN_ORDERS = Measure("days_between_orders", "Days from one order day to the next", "gaps", "days", whole=True)


@dataclass(frozen=True)
class Bucket:
    """A range of a number, a month or a category, with the rows in it and the sum of their amounts.

    label: "" for an unknown category.
    lower, upper: of a range, half-open, None where it is open; both None for others.
    """

    label: str
    count: int
    amount: Decimal | None
    lower: Decimal | None = None
    upper: Decimal | None = None


@dataclass(frozen=True)
class Distribution:
    """A measure with its summary and its buckets, lowest first, from the first to the last that has rows."""

    measure: Measure
    summary: Summary
    is_logarithmic: bool
    buckets: list[Bucket]


def bucket_scales(measures: list[Measure], summaries: Mapping[str, Summary]) -> dict[str, Buckets]:
    """Buckets that fit the spread of each measure, by name."""
    return {measure.name: fit_buckets(summaries[measure.name], whole=measure.whole) for measure in measures}


def filled_buckets(scale: Buckets, groups: list[Group]) -> list[Bucket]:
    """The buckets with their rows, from the first to the last that has any."""
    by_number = {int(group.value): group for group in groups if group.value is not None}
    if not by_number:
        return []
    empty = Group(None, 0, None)
    return [
        Bucket(scale.label(number), group.rows, group.amount, scale.lower(number), scale.upper(number))
        for number in range(min(by_number), max(by_number) + 1)
        for group in (by_number.get(number, empty),)
    ]


def measure_distributions(
    frame: DataFrame,
    measures: list[Measure],
    *,
    amount: str | None = None,
    groupings: Mapping[str, Column] | None = None,
) -> tuple[list[Distribution], dict[str, list[Group]]]:
    """The distributions of measures that are columns of a frame, and the groups of further groupings.

    Runs two aggregations.

    Args:
        frame: any rows.
        measures: each in a numeric column of its name.
        amount: a column to sum in every bucket and group.
        groupings: further expressions to group by, see `tally`.
    """
    spreads = summaries(frame, {measure.name: F.col(f"`{measure.name}`") for measure in measures})
    scales = bucket_scales(measures, spreads)
    indices = {name: scale.index(name) for name, scale in scales.items()}
    groups = tally(frame, {**indices, **(groupings or {})}, amount=None if amount is None else F.col(amount))
    distributions = [
        Distribution(measure, spreads[measure.name], scale.logarithmic, filled_buckets(scale, groups[measure.name]))
        for measure, scale in zip(measures, scales.values(), strict=True)
    ]
    return distributions, groups
