"""Everything an exploration counts, in one place: frames in, plain figures out."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.explore import distributions as d
from customer_segmentation.explore.activity import Calendar, calendar_of
from customer_segmentation.explore.buckets import Buckets
from customer_segmentation.explore.columns import (
    FEWEST_CUSTOMERS,
    ColumnProfile,
    column_profiles,
    listed_columns,
    with_values,
)
from customer_segmentation.explore.concentration import Concentration, concentration, spend_group
from customer_segmentation.explore.coverage import Coverage, coverage
from customer_segmentation.explore.orders import customer_orders, order_customers, order_gaps
from customer_segmentation.explore.summary import summaries
from customer_segmentation.explore.tally import Group, tally
from customer_segmentation.spark.local_time import UTC
from customer_segmentation.spark.persistence import persisted

ORDER_COUNTS = Buckets(tuple(map(Decimal, (1, 2, 3, 4, 5, 6, 11, 21, 51, 101))), whole=True)
"""Customers are told by these numbers of orders, whatever the data."""


@dataclass(frozen=True)
class Intake:
    """What became of the lines that were read: lines = accepted + refused + left_out.

    by_reason: refused lines by reason; a line counts under each of its reasons.
    """

    lines: int
    accepted: int
    refused: int
    by_reason: Mapping[str, int]
    left_out: int = 0


@dataclass(frozen=True)
class Exploration:
    """What the data looks like before the as-of date. Holds no customer.

    as_of: only lines and events before this day entered.
    timezone: of the days, hours and times.
    columns: of each table that there is, in the tables' and their own order.
    categories: order lines and their net spend by category, most spend first; None is a category unknown.
    customers_by_orders: customers and their net spend by number of orders; 0 is customers with returns alone.
    new_customers: customers by the month of their first purchase, with all they spent so far; every month is there.
    repeated_lines: lines equal to another one of their order in every column.
    """

    as_of: date
    intake: Intake
    calendar: Calendar
    columns: list[ColumnProfile]
    distributions: list[d.Distribution]
    customers_by_orders: list[d.Bucket]
    new_customers: list[Group]
    concentration: Concentration
    categories: list[Group]
    coverage: list[Coverage]
    repeated_lines: int
    largest_customer: Decimal | None
    most_orders: int
    timezone: str = UTC

    @property
    def customers(self) -> int:
        """Customers with an order line."""
        return self.concentration.customers

    @property
    def buyers(self) -> int:
        """Customers with a purchase: those a segmentation is about."""
        return sum(bucket.count for bucket in self.customers_by_orders if bucket.lower is not None)

    @property
    def lines_after(self) -> int:
        """Accepted lines of the as-of date and later."""
        return self.intake.accepted - self.calendar.total.lines

    def distribution(self, measure: d.Measure) -> d.Distribution:
        """The distribution of a measure."""
        return next(found for found in self.distributions if found.measure == measure)


def explore(
    *,
    lines: DataFrame,
    refused: DataFrame,
    customers: DataFrame | None,
    engagement: DataFrame | None,
    intake: Intake,
    as_of: date,
    timezone: str = UTC,
) -> Exploration:
    """Count everything. Reads the order lines four times, and keeps orders and customers while it counts over them.

    Args:
        lines: rows of `transactions`.
        refused: rows of `rejected_transactions`; they may have no date, so all of them enter.
        customers: rows of `customers`, which have no date; None without that table.
        engagement: rows of `engagement`; None without that table.
        intake: what became of the lines that were read.
        as_of: lines and events of this day and later do not enter.
        timezone: the zone in whose local time the lines and events are, see `spark.local_time.in_local_time`.
    """
    start_of_day = F.lit(as_of).cast("timestamp")
    lines = lines.where(F.col(c.ORDERED_AT) < start_of_day)
    events = None if engagement is None else engagement.where(F.col(c.OCCURRED_AT) < start_of_day)

    columns = column_profiles(lines, t.TRANSACTIONS)
    amounts = {profile.column: profile.summary for profile in columns}[c.AMOUNT]
    assert amounts is not None, "an amount is a number"
    line_scale = d.scales([d.LINE_AMOUNT], {d.LINE_AMOUNT.name: amounts})[d.LINE_AMOUNT.name]
    listed = listed_columns(lines, columns)
    found = tally(lines, {**listed, d.LINE_AMOUNT.name: line_scale.index(c.AMOUNT)}, amount=F.col(c.AMOUNT))
    columns = with_values(columns, found)
    line_amounts = d.Distribution(d.LINE_AMOUNT, amounts, line_scale, d.filled(line_scale, found[d.LINE_AMOUNT.name]))
    for table, frame, fewest in (
        (t.REJECTED_TRANSACTIONS, refused, 1),
        (t.CUSTOMERS, customers, FEWEST_CUSTOMERS),
        (t.ENGAGEMENT, events, 1),
    ):
        if frame is not None:
            columns += _profiled(frame, table, fewest)

    with ExitStack() as stack:
        orders = stack.enter_context(persisted(customer_orders(lines)))
        buyers = stack.enter_context(persisted(order_customers(orders)))
        calendar = calendar_of(lines, orders)
        repeated = orders.agg(F.sum("repeated_lines")).first()
        assert repeated is not None, "an aggregation without grouping has one row"
        per_order, _ = _distributed(orders, [d.ORDER_VALUE, d.ITEMS_PER_ORDER], amount=d.ORDER_VALUE.name)
        per_customer, counted = _distributed(
            buyers,
            [d.ORDERS_PER_CUSTOMER, d.SPEND_PER_CUSTOMER],
            amount=d.SPEND_PER_CUSTOMER.name,
            besides={
                "by_orders": ORDER_COUNTS.index(d.ORDERS_PER_CUSTOMER.name),
                "spend": spend_group(F.col(d.SPEND_PER_CUSTOMER.name)),
                "since": F.trunc("first_day", "month"),
            },
        )
        gaps, _ = _distributed(order_gaps(buyers), [d.DAYS_BETWEEN_ORDERS])
        beside = {t.CUSTOMERS.name: customers, t.ENGAGEMENT.name: events}
        met = coverage(buyers, {name: frame for name, frame in beside.items() if frame is not None})

    by_measure = {one.measure: one for one in per_customer}
    return Exploration(
        as_of=as_of,
        intake=intake,
        calendar=calendar,
        columns=columns,
        distributions=[line_amounts, *per_order, *per_customer, *gaps],
        customers_by_orders=d.filled(ORDER_COUNTS, counted["by_orders"]),
        new_customers=_every_month(calendar, counted["since"]),
        concentration=concentration(counted["spend"]),
        categories=_by_spend(found.get(c.CATEGORY, [])),
        coverage=met,
        repeated_lines=repeated[0] or 0,
        largest_customer=_decimal(by_measure[d.SPEND_PER_CUSTOMER].summary.most),
        most_orders=int(by_measure[d.ORDERS_PER_CUSTOMER].summary.most or 0),
        timezone=timezone,
    )


def _profiled(frame: DataFrame, table: t.Table, fewest: int) -> list[ColumnProfile]:
    profiles = column_profiles(frame, table)
    return with_values(profiles, tally(frame, listed_columns(frame, profiles)), fewest=fewest)


def _distributed(
    frame: DataFrame,
    measures: list[d.Measure],
    *,
    amount: str | None = None,
    besides: Mapping[str, Column] | None = None,
) -> tuple[list[d.Distribution], dict[str, list[Group]]]:
    """The distributions of measures that are columns of a frame, and what else is counted in the same pass."""
    found = summaries(frame, {measure.name: F.col(measure.name) for measure in measures})
    scales = d.scales(measures, found)
    indices = {name: scale.index(name) for name, scale in scales.items()}
    groups = tally(frame, {**indices, **(besides or {})}, amount=None if amount is None else F.col(amount))
    distributions = [
        d.Distribution(
            measure, found[measure.name], scales[measure.name], d.filled(scales[measure.name], groups[measure.name])
        )
        for measure in measures
    ]
    return distributions, groups


def _every_month(calendar: Calendar, groups: list[Group]) -> list[Group]:
    found = {(group.value or "")[:7]: group for group in groups}
    months = [period.label for period in calendar.months]
    return [
        Group(month, found[month].rows if month in found else 0, found[month].amount if month in found else None)
        for month in months
    ]


def _by_spend(groups: list[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (-(group.amount or 0), group.value is None, group.value or ""))


def _decimal(value: int | float | Decimal | None) -> Decimal | None:
    return None if value is None else Decimal(value)
