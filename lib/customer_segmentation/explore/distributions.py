"""Groups of rows, counted and summed by several groupings in one pass, and how a number spreads over rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract.tables import TOTAL
from customer_segmentation.explore.buckets import Group, Summary, fit_buckets
from customer_segmentation.preparation import sql

PROBABILITIES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
ACCURACY = 10_000
"""Of the quantiles: a value's place among all is right to one part in this many."""


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
    unit: Literal["money", "items", "orders", "days"]
    whole: bool = False


LINE_AMOUNT = Measure("line_amount", "Amount of a line", "lines", "money")
ORDER_VALUE = Measure("order_value", "Value of an order", "orders", "money")
ITEMS_PER_ORDER = Measure("items_per_order", "Items in an order", "orders", "items", whole=True)
ORDERS_PER_CUSTOMER = Measure("orders_per_customer", "Orders of a customer", "customers", "orders", whole=True)
SPEND_PER_CUSTOMER = Measure("spend_per_customer", "Net spend of a customer", "customers", "money")
DAYS_BETWEEN_ORDERS = Measure("days_between_orders", "Days from one order day to the next", "gaps", "days", whole=True)


@dataclass(frozen=True)
class Distribution:
    """A measure with its summary and its buckets, lowest first, from the first to the last that has rows."""

    measure: Measure
    summary: Summary
    is_logarithmic: bool
    buckets: list[Group]


def measure_distributions(
    frame: DataFrame,
    measures: list[Measure],
    *,
    amount: str | None = None,
    groupings: Mapping[str, Column] | None = None,
    summaries: Mapping[str, Summary] | None = None,
) -> tuple[list[Distribution], dict[str, list[Group]]]:
    """The distributions of measures that are columns of a frame, and the groups of further groupings.

    Runs two aggregations; one where the summaries of the measures are given.

    Args:
        measures: each in a numeric column of its name.
        amount, groupings: see `tally`.
    """
    if summaries is None:
        aggregates = {measure.name: summary_aggregates(F.col(sql.column(measure.name))) for measure in measures}
        summaries = {name: Summary(**row) for name, row in aggregated(frame, aggregates).items()}
    scales = {measure.name: fit_buckets(summaries[measure.name], whole=measure.whole) for measure in measures}
    indices = {name: scale.index(name) for name, scale in scales.items()}
    groups = tally(frame, {**indices, **(groupings or {})}, amount=amount)
    distributions = [
        Distribution(measure, summaries[measure.name], scale.logarithmic, scale.filled(groups[measure.name]))
        for measure, scale in zip(measures, scales.values(), strict=True)
    ]
    return distributions, groups


def tally(frame: DataFrame, groupings: Mapping[str, Column], *, amount: str | None = None) -> dict[str, list[Group]]:
    """The groups of each grouping, by name, most rows first. Runs one aggregation and collects its groups.

    Args:
        groupings: what to group by, each on its own; each with few values, as all are collected.
        amount: a decimal column, summed exactly per group.
    """
    if not groupings:
        return {}
    pairs = [F.struct(F.lit(name).alias("name"), by.cast("string").alias("value")) for name, by in groupings.items()]
    summed = F.lit(None).cast(TOTAL) if amount is None else F.col(amount)
    rows = (
        frame.select(F.explode(F.array(*pairs)).alias("of"), summed.alias("amount"))
        .groupBy("of.name", "of.value")
        .agg(F.count(F.lit(1)), F.sum("amount").cast(TOTAL))
        .collect()
    )
    groups: dict[str, list[Group]] = {name: [] for name in groupings}
    for name, *values in sorted(rows, key=lambda row: (-row[2], row[1] is None, row[1] or "")):
        groups[name].append(Group(*values))
    return groups


def aggregated(frame: DataFrame, aggregates: Mapping[str, Mapping[str, Column]]) -> dict[str, dict[str, Any]]:
    """The aggregates over all rows, each by its name within the name of what it is of. Runs one aggregation."""
    named = {name: [column.alias(each) for each, column in of.items()] for name, of in aggregates.items()}
    row = frame.agg(*(F.struct(*columns).alias(name) for name, columns in named.items())).first()
    assert row is not None, "an aggregation without grouping has one row"
    return {name: value.asDict() for name, value in row.asDict().items()}


def summary_aggregates(value: Column) -> dict[str, Column]:
    """Aggregates that make a `Summary`."""
    number = value.cast("double")
    quantiles = F.percentile_approx(number, list(PROBABILITIES), ACCURACY)
    return {
        "known": F.count(value),
        "minimum": F.min(value),
        "maximum": F.max(value),
        "mean": F.avg(number),
        "quantiles": F.map_from_arrays(F.array(*map(F.lit, PROBABILITIES)), quantiles),
    }
