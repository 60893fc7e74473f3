"""Activity over time: by month, weekday and hour; days without an order, and days with unusually many.

Spark counts by day and hour; everything else is made from those few rows.
"""

import calendar
import statistics
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from operator import add
from typing import TypeVar

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

SPIKE_FACTOR = 3
"""A day is a spike when it has more than this many times the orders that are usual around it ..."""
SPIKE_WINDOW_DAYS = 14
"""... the median of the days with orders this far before and after ..."""
SPIKE_MIN_ORDERS = 10
"""... and at least so many orders."""

WEEKDAYS = tuple(calendar.day_name)
_ONE_DAY = timedelta(days=1)

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class Activity:
    """Orders and lines in some time: orders with a purchase by their first one, lines by their own time.

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
        return Activity(*map(add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class Period:
    """A month, a weekday or an hour of the day.

    days: from the first to the last day of the data, how many lie in it.
    is_complete: whether it lies wholly between these two days.
    """

    label: str
    activity: Activity
    days: int
    is_complete: bool = True

    @property
    def orders_per_day(self) -> float | None:
        """Mean over all its days, with orders or not; None without days."""
        return self.activity.orders / self.days if self.days else None


@dataclass(frozen=True)
class InactivePeriod:
    """Consecutive days without any order, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """Number of days."""
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
        """Activity over all days."""
        return sum(self.hours.values(), Activity())

    @cached_property
    def days(self) -> dict[date, Activity]:
        """Activity by day, earliest first, for days with any."""
        return dict(sorted(self._by(lambda day, hour: day).items()))

    @cached_property
    def dates(self) -> list[date]:
        """Every date from the first to the last with a line."""
        if not self.days:
            return []
        first, last = min(self.days), max(self.days)
        return [first + timedelta(days=number) for number in range((last - first).days + 1)]

    @property
    def has_hours(self) -> bool:
        """Whether the lines carry times and not just dates, which read as midnight."""
        return any(hour for _, hour in self.hours)

    @cached_property
    def months(self) -> list[Period]:
        """Every month from the first to the last."""
        activity = self._by(lambda day, hour: day.replace(day=1))
        return [
            Period(f"{month:%Y-%m}", activity.get(month, Activity()), days, days == _length(month))
            for month, days in Counter(day.replace(day=1) for day in self.dates).items()
        ]

    @cached_property
    def weekdays(self) -> list[Period]:
        """Monday to Sunday."""
        activity, days = self._by(lambda day, hour: day.weekday()), Counter(day.weekday() for day in self.dates)
        return [Period(name, activity.get(number, Activity()), days[number]) for number, name in enumerate(WEEKDAYS)]

    @cached_property
    def hours_of_day(self) -> list[Period]:
        """The 24 hours of a day."""
        activity = self._by(lambda day, hour: hour)
        return [Period(f"{hour:02}", activity.get(hour, Activity()), len(self.dates)) for hour in range(24)]

    @cached_property
    def inactive_periods(self) -> list[InactivePeriod]:
        """Consecutive days without an order between the first order and the last, longest first."""
        order_days = [day for day, activity in self.days.items() if activity.orders]
        periods = [
            InactivePeriod(before + _ONE_DAY, after - _ONE_DAY)
            for before, after in pairwise(order_days)
            if after - before > _ONE_DAY
        ]
        return sorted(periods, key=lambda period: (-period.days, period.first))

    @cached_property
    def spikes(self) -> list[Spike]:
        """Days with far too many orders, most extreme first."""
        spikes = []
        window = [timedelta(days=away) for away in range(-SPIKE_WINDOW_DAYS, SPIKE_WINDOW_DAYS + 1) if away]
        for day, activity in self.days.items():
            if activity.orders < SPIKE_MIN_ORDERS:
                continue
            others = [self.days[day + away].orders for away in window if day + away in self.days]
            usual = statistics.median([orders for orders in others if orders] or [activity.orders])
            if activity.orders > SPIKE_FACTOR * usual:
                spikes.append(Spike(day, activity.orders, usual))
        return sorted(spikes, key=lambda spike: (-spike.orders / spike.usual, spike.day))

    def _by(self, key: Callable[[date, int], _Key]) -> dict[_Key, Activity]:
        """Activity summed by a key of day and hour."""
        return _summed((key(day, hour), activity) for (day, hour), activity in self.hours.items())


def calendar_of(lines: DataFrame, orders: DataFrame) -> Calendar:
    """Activity by day and hour. Runs an aggregation over the lines and one over the orders.

    Args:
        lines: order lines in the columns of the `transactions` table.
        orders: as `orders.customer_orders` makes them.
    """
    amount, is_return = F.col(c.AMOUNT), F.col(c.IS_RETURN)
    zero = F.lit(0).cast("decimal(18,2)")
    by_hour = lines.groupBy(F.to_date(c.ORDERED_AT).alias("day"), F.hour(c.ORDERED_AT).alias("hour")).agg(
        F.count(F.lit(1)).alias("lines"),
        F.count_if(is_return).alias("return_lines"),
        F.sum(F.when(~is_return, amount).otherwise(zero)).alias("bought"),
        (-F.sum(F.when(is_return, amount).otherwise(zero))).alias("returned"),
    )
    ordered = orders.where(F.col("day").isNotNull()).groupBy("day", "hour").agg(F.count(F.lit(1)).alias("orders"))
    counts = {(row["day"], row["hour"]): row["orders"] for row in ordered.collect()}
    return Calendar(
        {(day, hour): Activity(counts.get((day, hour), 0), *sums) for day, hour, *sums in by_hour.collect()}
    )


def _summed(parts: Iterable[tuple[_Key, Activity]]) -> dict[_Key, Activity]:
    sums: dict[_Key, Activity] = {}
    for key, activity in parts:
        sums[key] = sums.get(key, Activity()) + activity
    return sums


def _length(month: date) -> int:
    return calendar.monthrange(month.year, month.month)[1]
