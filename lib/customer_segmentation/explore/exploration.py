"""Everything an exploration counts: frames in, plain figures out."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.explore import distributions as d
from customer_segmentation.explore.activity import Calendar, calendar_of
from customer_segmentation.explore.buckets import Buckets
from customer_segmentation.explore.columns import (
    MIN_CUSTOMERS,
    ColumnProfile,
    column_profiles,
    listed_columns,
    with_values,
)
from customer_segmentation.explore.concentration import Concentration, concentration, spend_group
from customer_segmentation.explore.coverage import Coverage, coverage
from customer_segmentation.explore.orders import customer_orders, order_customers, order_gaps
from customer_segmentation.explore.tally import Group, tally
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.spark.local_time import UTC
from customer_segmentation.spark.persistence import persisted

ORDER_COUNTS = Buckets(tuple(map(Decimal, (1, 2, 3, 4, 5, 6, 11, 21, 51, 101))), whole=True)
"""Customers are counted by these numbers of orders, whatever the data."""


@dataclass(frozen=True)
class Exploration:
    """The figures of the data before the as-of date. Holds no customer.

    as_of: only lines and events before this day entered.
    timezone: of the days, hours and times.
    columns: of each table that there is, in the tables' and their own order.
    categories: order lines and their net spend by category, highest spend first.
    customers_by_orders: customers and their net spend by number of orders; 0 is customers with returns alone.
    new_customers: customers by the month of their first purchase, with all their spend so far; has every month.
    repeated_lines: lines equal to another one of their order in every column.
    """

    as_of: date
    line_counts: RowCounts
    calendar: Calendar
    columns: list[ColumnProfile]
    distributions: list[d.Distribution]
    customers_by_orders: list[d.Bucket]
    new_customers: list[d.Bucket]
    concentration: Concentration
    categories: list[d.Bucket]
    coverage: list[Coverage]
    repeated_lines: int
    largest_customer: Decimal | None
    max_orders: int
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
        return self.line_counts.accepted - self.calendar.total.lines

    def distribution(self, measure: d.Measure) -> d.Distribution:
        """The distribution of a measure."""
        return next(each for each in self.distributions if each.measure == measure)


def explore(
    *,
    lines: DataFrame,
    rejected: DataFrame,
    customers: DataFrame | None,
    engagement: DataFrame | None,
    line_counts: RowCounts,
    as_of: date,
    timezone: str = UTC,
) -> Exploration:
    """Count everything. Reads the order lines four times, and keeps orders and customers while it counts over them.

    Args:
        lines: rows of `transactions`.
        rejected: rows of `rejected_transactions`; they may have no date, so all of them enter.
        customers: rows of `customers`, which have no date; None without that table.
        engagement: rows of `engagement`; None without that table.
        line_counts: lines read by outcome.
        as_of: lines and events of this day and later do not enter.
        timezone: the zone in whose local time the lines and events are, see `spark.local_time.in_local_time`.
    """
    start_of_day = F.lit(as_of).cast("timestamp")
    lines = lines.where(F.col(c.ORDERED_AT) < start_of_day)
    events = None if engagement is None else engagement.where(F.col(c.OCCURRED_AT) < start_of_day)

    columns = column_profiles(lines, t.TRANSACTIONS)
    amounts = {profile.column: profile.summary for profile in columns}[c.AMOUNT]
    assert amounts is not None, "an amount is a number"
    scale = d.bucket_scales([d.LINE_AMOUNT], {d.LINE_AMOUNT.name: amounts})[d.LINE_AMOUNT.name]
    groupings = {**listed_columns(lines, columns), d.LINE_AMOUNT.name: scale.index(c.AMOUNT)}
    values = tally(lines, groupings, amount=F.col(c.AMOUNT))
    columns = with_values(columns, values)
    for table, frame, min_rows in (
        (t.REJECTED_TRANSACTIONS, rejected, 1),
        (t.CUSTOMERS, customers, MIN_CUSTOMERS),
        (t.ENGAGEMENT, events, 1),
    ):
        if frame is not None:
            columns += _profiled(frame, table, min_rows)

    with ExitStack() as stack:
        orders = stack.enter_context(persisted(customer_orders(lines)))
        buyers = stack.enter_context(persisted(order_customers(orders)))
        calendar = calendar_of(lines, orders)
        repeated = orders.agg(F.sum("repeated_lines")).first()
        assert repeated is not None, "an aggregation without grouping has one row"
        per_order, _ = d.measure_distributions(orders, [d.ORDER_VALUE, d.ITEMS_PER_ORDER], amount=d.ORDER_VALUE.name)
        per_customer, groups = d.measure_distributions(
            buyers,
            [d.ORDERS_PER_CUSTOMER, d.SPEND_PER_CUSTOMER],
            amount=d.SPEND_PER_CUSTOMER.name,
            groupings={
                "by_orders": ORDER_COUNTS.index(d.ORDERS_PER_CUSTOMER.name),
                "spend": spend_group(F.col(d.SPEND_PER_CUSTOMER.name)),
                "since": F.trunc("first_day", "month"),
            },
        )
        gaps, _ = d.measure_distributions(order_gaps(buyers), [d.DAYS_BETWEEN_ORDERS])
        others = {t.CUSTOMERS.name: customers, t.ENGAGEMENT.name: events}
        covered = coverage(buyers, {name: frame for name, frame in others.items() if frame is not None})

    orders_summary, spend_summary = (distribution.summary for distribution in per_customer)
    line_amounts = d.filled_buckets(scale, values[d.LINE_AMOUNT.name])
    return Exploration(
        as_of=as_of,
        line_counts=line_counts,
        calendar=calendar,
        columns=columns,
        distributions=[
            d.Distribution(d.LINE_AMOUNT, amounts, scale.logarithmic, line_amounts),
            *per_order,
            *per_customer,
            *gaps,
        ],
        customers_by_orders=d.filled_buckets(ORDER_COUNTS, groups["by_orders"]),
        new_customers=_by_month(calendar, groups["since"]),
        concentration=concentration(groups["spend"]),
        categories=_by_spend(values.get(c.CATEGORY, [])),
        coverage=covered,
        repeated_lines=repeated[0] or 0,
        largest_customer=None if spend_summary.maximum is None else Decimal(spend_summary.maximum),
        max_orders=int(orders_summary.maximum or 0),
        timezone=timezone,
    )


def _profiled(frame: DataFrame, table: t.Table, min_rows: int) -> list[ColumnProfile]:
    profiles = column_profiles(frame, table)
    return with_values(profiles, tally(frame, listed_columns(frame, profiles)), min_rows=min_rows)


def _by_month(calendar: Calendar, groups: list[Group]) -> list[d.Bucket]:
    by_month = {(group.value or "")[:7]: group for group in groups}
    empty = Group(None, 0, None)
    months = ((period.label, by_month.get(period.label, empty)) for period in calendar.months)
    return [d.Bucket(month, group.rows, group.amount) for month, group in months]


def _by_spend(groups: list[Group]) -> list[d.Bucket]:
    ranked = sorted(groups, key=lambda group: (-(group.amount or 0), group.value is None, group.value or ""))
    return [d.Bucket(group.value or "", group.rows, group.amount) for group in ranked]
