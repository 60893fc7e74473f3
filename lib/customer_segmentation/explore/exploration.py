"""Everything an exploration counts: frames in, plain figures out."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.explore import distributions as d
from customer_segmentation.explore.activity import Calendar, calendar_of
from customer_segmentation.explore.buckets import Buckets, Group
from customer_segmentation.explore.columns import ColumnProfile, column_profiles, listed_columns, with_values
from customer_segmentation.explore.concentration import Concentration, concentration, spend_group
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.spark.local_time import UTC
from customer_segmentation.spark.persistence import persisted

MIN_CUSTOMERS = 5
"""An attribute's value is shown only when at least this many customers have it."""
ORDER_COUNTS = Buckets(tuple(map(Decimal, (1, 2, 3, 4, 5, 6, 11, 21, 51, 101))), whole=True)
"""Customers are counted by these numbers of orders, whatever the data."""
_LINE = (c.ORDERED_AT, c.PRODUCT_ID, c.CATEGORY, c.QUANTITY, c.AMOUNT, c.DISCOUNT, c.CHANNEL, c.IS_RETURN)


@dataclass(frozen=True)
class Exploration:
    """The figures of the data before the as-of date. Holds no customer.

    as_of: only lines and events before this day entered.
    timezone: of the days, hours and times.
    columns: of each table that there is, in the tables' and their own order.
    distributions: by the name of their measure.
    categories: order lines and their net spend by category, highest spend first.
    customers_by_orders: customers and their net spend by number of orders; 0 is customers with returns alone.
    new_customers: customers by the month of their first purchase, with all their spend so far; has every month.
    coverage: by the name of a table beside the order lines, its customers that have such lines (both) and that have
        none (without_orders).
    repeated_lines: lines equal to another one of their order in every column.
    """

    as_of: date
    line_counts: RowCounts
    calendar: Calendar
    columns: list[ColumnProfile]
    distributions: dict[str, d.Distribution]
    customers_by_orders: list[Group]
    new_customers: list[Group]
    concentration: Concentration
    categories: list[Group]
    coverage: dict[str, dict[str, int]]
    repeated_lines: int
    timezone: str = UTC

    @property
    def customers(self) -> int:
        """Customers with an order line."""
        return self.concentration.customers

    @property
    def buyers(self) -> int:
        """Customers with a purchase: those a segmentation is about."""
        return sum(group.count for group in self.customers_by_orders if group.lower is not None)

    @property
    def lines_after(self) -> int:
        """Accepted lines of the as-of date and later."""
        return self.line_counts.accepted - self.calendar.total.lines

    @property
    def known_categories(self) -> int:
        """Categories with a name."""
        return sum(bool(group.label) for group in self.categories)


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
    tables = {t.CUSTOMERS.name: customers, t.ENGAGEMENT.name: events}
    others = {name: frame for name, frame in tables.items() if frame is not None}

    columns = column_profiles(lines, t.TRANSACTIONS.name)
    amounts = {profile.column: profile.summary for profile in columns}[c.AMOUNT]
    assert amounts is not None, "an amount is a number"
    per_line, values = d.measure_distributions(
        lines.withColumn(d.LINE_AMOUNT.name, F.col(c.AMOUNT)),
        [d.LINE_AMOUNT],
        amount=c.AMOUNT,
        groupings=listed_columns(lines, columns),
        summaries={d.LINE_AMOUNT.name: amounts},
    )
    columns = with_values(columns, values, 1)
    for name, frame in {t.REJECTED_TRANSACTIONS.name: rejected, **others}.items():
        profiles = column_profiles(frame, name)
        counted = d.tally(frame, listed_columns(frame, profiles))
        columns += with_values(profiles, counted, MIN_CUSTOMERS if name == t.CUSTOMERS.name else 1)

    with ExitStack() as stack:
        orders = stack.enter_context(persisted(customer_orders(lines)))
        buyers = stack.enter_context(persisted(order_customers(orders)))
        calendar = calendar_of(lines, orders)
        repeated = d.aggregated(orders, {"orders": {"lines": F.sum("repeated_lines")}})["orders"]["lines"]
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
        covered = {name: coverage(frame, buyers) for name, frame in others.items()}

    months = {(group.label or "")[:7]: group for group in groups["since"]}
    categories = [replace(group, label=group.label or "") for group in values.get(c.CATEGORY, [])]
    return Exploration(
        as_of=as_of,
        line_counts=line_counts,
        calendar=calendar,
        columns=columns,
        distributions={each.measure.name: each for each in (*per_line, *per_order, *per_customer, *gaps)},
        customers_by_orders=ORDER_COUNTS.filled(groups["by_orders"]),
        new_customers=[
            replace(months.get(month.label, Group(None, 0, None)), label=month.label) for month in calendar.months
        ],
        concentration=concentration(groups["spend"]),
        categories=sorted(categories, key=lambda group: (-(group.amount or 0), not group.label, group.label)),
        coverage=covered,
        repeated_lines=repeated or 0,
        timezone=timezone,
    )


def customer_orders(lines: DataFrame) -> DataFrame:
    """One row per customer and order.

    Returns:
        customer_id; order_value and items_per_order of the lines bought (null where all are returns); net, all lines;
        day and hour of the first purchase; repeated_lines, those equal to another one in every column.
    """
    bought = ~F.col(c.IS_RETURN)
    first = F.min(F.when(bought, F.col(c.ORDERED_AT)))
    return lines.groupBy(c.CUSTOMER_ID, c.ORDER_ID).agg(
        F.sum(F.when(bought, F.col(c.AMOUNT))).alias(d.ORDER_VALUE.name),
        F.sum(F.when(bought, F.col(c.QUANTITY))).alias(d.ITEMS_PER_ORDER.name),
        F.sum(c.AMOUNT).alias("net"),
        F.to_date(first).alias("day"),
        F.hour(first).alias("hour"),
        (F.count(F.lit(1)) - F.count_distinct(F.xxhash64(*_LINE))).alias("repeated_lines"),
    )


def order_customers(orders: DataFrame) -> DataFrame:
    """One row per customer.

    Returns:
        customer_id; orders_per_customer, those with a purchase; spend_per_customer, net; first_day of a purchase (null
        without one); days with a purchase, in order.
    """
    return orders.groupBy(c.CUSTOMER_ID).agg(
        F.count("day").alias(d.ORDERS_PER_CUSTOMER.name),
        F.sum("net").cast("decimal(28,2)").alias(d.SPEND_PER_CUSTOMER.name),
        F.min("day").alias("first_day"),
        F.sort_array(F.collect_set("day")).alias("days"),
    )


def order_gaps(customers: DataFrame) -> DataFrame:
    """One row per pair of a customer's order days that follow each other: days_between_orders."""

    def gap(day: Column, place: Column) -> Column:
        return F.when(place > 0, F.date_diff(day, F.col("days")[place - 1]))

    gaps = customers.select(F.explode(F.transform("days", gap)).alias(d.DAYS_BETWEEN_ORDERS.name))
    return gaps.where(F.col(d.DAYS_BETWEEN_ORDERS.name).isNotNull())


def coverage(frame: DataFrame, buyers: DataFrame) -> dict[str, int]:
    """How many customers of a frame have order lines (both), and how many do not. Runs one aggregation over ids."""
    ids = frame.where(F.col(c.CUSTOMER_ID).isNotNull()).select(c.CUSTOMER_ID).distinct()
    has_orders = buyers.select(c.CUSTOMER_ID, F.lit(True).alias("has_orders"))
    counts = {"both": F.count("has_orders"), "without_orders": F.count_if(F.col("has_orders").isNull())}
    return d.aggregated(ids.join(has_orders, c.CUSTOMER_ID, "left"), {"ids": counts})["ids"]
