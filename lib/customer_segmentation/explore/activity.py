"""When people order: by month, weekday and hour; days without an order, and days with far too many.

Spark counts by day and hour; everything else is made from those few rows.
"""

import calendar
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property, reduce
from itertools import pairwise
from typing import TypeVar

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

SPIKE_TIMES = 3
"""A day is a spike when it has more than this many times the orders that are usual around it ..."""
SPIKE_AROUND_DAYS = 14
"""... the median of the days with orders this far before and after ..."""
SPIKE_LEAST = 10
"""... and at least so many orders."""

WEEKDAYS = tuple(calendar.day_name)
_ONE_DAY = timedelta(days=1)

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Activity:
    """What happened in some time: orders with a purchase by their first one, lines by their own time.

    bought, returned: amounts of the lines, both 0 or more as a rule; net is the first less the second.
    """

    orders: int = 0
    lines: int = 0
    return_lines: int = 0
    bought: Decimal = Decimal(0)
    returned: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        """Purchases less returns."""
        return self.bought - self.returned

    @property
    def return_line_share(self) -> float | None:
        """Return lines by all lines; None without lines."""
        return self.return_lines / self.lines if self.lines else None

    @property
    def return_value_share(self) -> float | None:
        """Value returned by value bought; None where nothing was bought."""
        return float(self.returned / self.bought) if self.bought > 0 else None

    def __add__(self, other: "Activity") -> "Activity":
        return Activity(
            self.orders + other.orders,
            self.lines + other.lines,
            self.return_lines + other.return_lines,
            self.bought + other.bought,
            self.returned + other.returned,
        )


@dataclass(frozen=True)
class Period:
    """A month, a weekday or an hour of the day, with the days of the data's time that it had.

    whole: it lies within the data's time from its first to its last day.
    """

    label: str
    activity: Activity
    days: int
    whole: bool = True


@dataclass(frozen=True)
class Stretch:
    """Days in a row without any order, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Spike:
    """A day with far more orders than the days around it usually have."""

    day: date
    orders: int
    usual: float


@dataclass(frozen=True)
class Calendar:
    """Activity by day and hour."""

    hours: Mapping[tuple[date, int], Activity]

    @cached_property
    def total(self) -> Activity:
        """All of it."""
        return _total(self.hours.values())

    @cached_property
    def days(self) -> dict[date, Activity]:
        """Activity by day, first day first; days with none are left out."""
        return dict(sorted(_grouped((day, activity) for (day, _), activity in self.hours.items()).items()))

    @property
    def first(self) -> date | None:
        """The first day of a line; None without lines."""
        return min(self.days, default=None)

    @property
    def last(self) -> date | None:
        """The last day of a line; None without lines."""
        return max(self.days, default=None)

    @cached_property
    def every_day(self) -> list[date]:
        """Every day from the first to the last, with lines or not."""
        if self.first is None or self.last is None:
            return []
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def has_hours(self) -> bool:
        """Whether the lines carry times and not just dates, which read as midnight."""
        return any(hour for _, hour in self.hours)

    @cached_property
    def months(self) -> list[Period]:
        """Every month from the first to the last."""
        found = _grouped((day.replace(day=1), activity) for day, activity in self.days.items())
        days = _counted(day.replace(day=1) for day in self.every_day)
        return [
            Period(f"{month:%Y-%m}", found.get(month, Activity()), count, count == _length(month))
            for month, count in days.items()
        ]

    @cached_property
    def weekdays(self) -> list[Period]:
        """Monday to Sunday."""
        found = _grouped((day.weekday(), activity) for day, activity in self.days.items())
        days = _counted(day.weekday() for day in self.every_day)
        return [
            Period(name, found.get(number, Activity()), days.get(number, 0)) for number, name in enumerate(WEEKDAYS)
        ]

    @cached_property
    def hours_of_day(self) -> list[Period]:
        """The 24 hours of a day."""
        found = _grouped((hour, activity) for (_, hour), activity in self.hours.items())
        return [Period(f"{hour:02}", found.get(hour, Activity()), len(self.every_day)) for hour in range(24)]

    @cached_property
    def stretches(self) -> list[Stretch]:
        """Days in a row without an order between the first and the last, longest first."""
        ordered = [day for day, activity in self.days.items() if activity.orders]
        gaps = [
            Stretch(before + _ONE_DAY, after - _ONE_DAY)
            for before, after in pairwise(ordered)
            if after - before > _ONE_DAY
        ]
        return sorted(gaps, key=lambda gap: (-gap.days, gap.first))

    @property
    def days_without_orders(self) -> int:
        """Days between the first and the last order that have none."""
        return sum(gap.days for gap in self.stretches)

    @cached_property
    def spikes(self) -> list[Spike]:
        """Days with far too many orders, most extreme first."""
        found = []
        around = [timedelta(days=away) for away in range(-SPIKE_AROUND_DAYS, SPIKE_AROUND_DAYS + 1) if away]
        for day, activity in self.days.items():
            if activity.orders < SPIKE_LEAST:
                continue
            others = [self.days[day + away].orders for away in around if day + away in self.days]
            usual = statistics.median([orders for orders in others if orders] or [activity.orders])
            if activity.orders > SPIKE_TIMES * usual:
                found.append(Spike(day, activity.orders, usual))
        return sorted(found, key=lambda spike: (-spike.orders / spike.usual, spike.day))


def calendar_of(lines: DataFrame, orders: DataFrame) -> Calendar:
    """Activity by day and hour. Runs an aggregation over the lines and one over the orders.

    Args:
        lines: order lines in the columns of the `transactions` table.
        orders: as `orders.customer_orders` makes them.
    """
    amount, is_return = F.col(c.AMOUNT), F.col(c.IS_RETURN)
    zero = F.lit(0).cast("decimal(18,2)")
    by_hour = (
        lines.groupBy(F.to_date(c.ORDERED_AT).alias("day"), F.hour(c.ORDERED_AT).alias("hour"))
        .agg(
            F.count(F.lit(1)).alias("lines"),
            F.count_if(is_return).alias("return_lines"),
            F.sum(F.when(~is_return, amount).otherwise(zero)).alias("bought"),
            (-F.sum(F.when(is_return, amount).otherwise(zero))).alias("returned"),
        )
        .collect()
    )
    ordered = orders.where(F.col("day").isNotNull()).groupBy("day", "hour").agg(F.count(F.lit(1)).alias("orders"))
    counts = {(row["day"], row["hour"]): row["orders"] for row in ordered.collect()}
    return Calendar(
        {
            (row["day"], row["hour"]): Activity(
                counts.get((row["day"], row["hour"]), 0),
                row["lines"],
                row["return_lines"],
                row["bought"],
                row["returned"],
            )
            for row in by_hour
        }
    )


def _total(parts: Iterable[Activity]) -> Activity:
    return reduce(Activity.__add__, parts, Activity())


def _grouped(parts: Iterable[tuple[_Key, Activity]]) -> dict[_Key, Activity]:
    found: dict[_Key, Activity] = {}
    for key, activity in parts:
        found[key] = found.get(key, Activity()) + activity
    return found


def _counted(keys: Iterable[_Key]) -> dict[_Key, int]:
    found: dict[_Key, int] = {}
    for key in keys:
        found[key] = found.get(key, 0) + 1
    return found


def _length(month: date) -> int:
    return calendar.monthrange(month.year, month.month)[1]
