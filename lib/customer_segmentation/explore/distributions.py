"""Distributions: how a number spreads over lines, orders or customers, in a spread and in buckets."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from customer_segmentation.explore.buckets import Buckets, fitting
from customer_segmentation.explore.summary import Summary
from customer_segmentation.explore.tally import Group

Unit = Literal["money", "items", "orders", "days", "customers"]


@dataclass(frozen=True)
class Measure:
    """A number worth a distribution.

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
    """A bucket with what lies in it; see `Buckets` for its ends."""

    number: int
    label: str
    lower: Decimal | None
    upper: Decimal | None
    count: int
    amount: Decimal | None


@dataclass(frozen=True)
class Distribution:
    """A measure with its spread and its buckets, lowest first; buckets at the ends hold something, or are left out."""

    measure: Measure
    summary: Summary
    scale: Buckets
    buckets: list[Bucket]


def scales(measures: list[Measure], found: Mapping[str, Summary]) -> dict[str, Buckets]:
    """Buckets that fit the spread of each measure, by name."""
    return {measure.name: fitting(found[measure.name], whole=measure.whole) for measure in measures}


def filled(scale: Buckets, groups: list[Group]) -> list[Bucket]:
    """Every bucket with its rows, from the first to the last that has any."""
    by_number = {int(group.value): group for group in groups if group.value is not None}
    if not by_number:
        return []
    return [
        Bucket(
            number,
            scale.label(number),
            scale.lower(number),
            scale.upper(number),
            by_number[number].rows if number in by_number else 0,
            by_number[number].amount if number in by_number else None,
        )
        for number in range(min(by_number), max(by_number) + 1)
    ]
