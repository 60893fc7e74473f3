"""Activity over time: by month, weekday and hour; days without an order, and days with unusually many.

Spark counts by day and hour; everything else is made from those few rows.
"""

import calendar
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.display.formatting import day_range

SPIKE_FACTOR = 3
"""A day is a spike when it has more than this many times the orders that are usual around it ..."""
SPIKE_WINDOW_DAYS = 14
"""... the median of the days with orders this far before and after ..."""
SPIKE_MIN_ORDERS = 10
"""... and at least so many orders."""

_ONE_DAY = timedelta(days=1)
_SUMS = ("orders", "lines", "return_lines", "bought", "returned")


@dataclass(frozen=True)
class Activity:
    """Orders and lines in some time: orders with a purchase by their first one, lines by their own time.

    bought, returned: amounts of the lines, both 0 or more as a rule; net is the first less the second.
    label: of a month, a weekday or an hour of the day.
    days: on how many days of the data's time it was, with orders or not.
    """

    orders: int = 0
    lines: int = 0
    return_lines: int = 0
    bought: Decimal = Decimal(0)
    returned: Decimal = Decimal(0)
    label: str = ""
    days: int = 0

    @property
    def net(self) -> Decimal:
        """Purchases less returns."""
        return self.bought - self.returned

    @property
    def is_complete(self) -> bool:
        """Whether all days of a month lie in the data's time."""
        return self.days == calendar.monthrange(*map(int, self.label.split("-")))[1]

    @property
    def in_part(self) -> str:
        """What to say after the name of a month."""
        return "" if self.is_complete else ", in part"

    def __add__(self, other: "Activity") -> "Activity":
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in _SUMS})


class InactivePeriod(NamedTuple):
    """Consecutive days without any order, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1

    @property
    def dates(self) -> str:
        """In words."""
        return day_range(self.first, self.last)


class Spike(NamedTuple):
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
        days = defaultdict[date, Activity](Activity)
        for (day, _), activity in self.hours.items():
            days[day] += activity
        return dict(sorted(days.items()))

    @cached_property
    def dates(self) -> list[date]:
        """Every date from the first to the last with a line."""
        days = list(self.days)
        return [days[0] + timedelta(days=number) for number in range((days[-1] - days[0]).days + 1)] if days else []

    @property
    def has_hours(self) -> bool:
        """Whether there are orders, and lines that carry times and not just dates, which read as midnight."""
        return self.total.orders > 0 and any(hour for _, hour in self.hours)

    @cached_property
    def months(self) -> list[Activity]:
        """Every month from the first to the last."""
        return self._periods(Counter(f"{day:%Y-%m}" for day in self.dates), lambda day, hour: f"{day:%Y-%m}")

    @cached_property
    def weekdays(self) -> list[Activity]:
        """Monday to Sunday."""
        names = list(calendar.day_name)
        days = dict.fromkeys(names, 0) | Counter(names[day.weekday()] for day in self.dates)
        return self._periods(days, lambda day, hour: names[day.weekday()])

    @cached_property
    def hours_of_day(self) -> list[Activity]:
        """The 24 hours of a day."""
        days = {f"{hour:02}": len(self.dates) for hour in range(24)}
        return self._periods(days, lambda day, hour: f"{hour:02}")

    @cached_property
    def inactive_periods(self) -> list[InactivePeriod]:
        """Consecutive days without an order between the first order and the last, longest first."""
        order_days = pairwise(day for day, activity in self.days.items() if activity.orders)
        periods = (InactivePeriod(before + _ONE_DAY, after - _ONE_DAY) for before, after in order_days)
        return sorted((each for each in periods if each.days > 0), key=lambda period: (-period.days, period.first))

    @property
    def inactive_days(self) -> int:
        """Days of all these periods."""
        return sum(period.days for period in self.inactive_periods)

    @cached_property
    def spikes(self) -> list[Spike]:
        """Days with far too many orders, most extreme first."""
        orders = {day: activity.orders for day, activity in self.days.items() if activity.orders}
        around = [timedelta(days=away) for away in range(-SPIKE_WINDOW_DAYS, SPIKE_WINDOW_DAYS + 1) if away]
        spikes = []
        for day, count in orders.items():
            usual = statistics.median([orders[day + away] for away in around if day + away in orders] or [count])
            if count >= SPIKE_MIN_ORDERS and count > SPIKE_FACTOR * usual:
                spikes.append(Spike(day, count, usual))
        return sorted(spikes, key=lambda spike: (-spike.orders / spike.usual, spike.day))

    def _periods(self, days: Mapping[str, int], label: Callable[[date, int], str]) -> list[Activity]:
        """Activity by a label of day and hour, for all labels with their days."""
        periods = {name: Activity(label=name, days=number) for name, number in days.items()}
        for (day, hour), activity in self.hours.items():
            periods[label(day, hour)] += activity
        return list(periods.values())


def calendar_of(lines: DataFrame, orders: DataFrame) -> Calendar:
    """Activity by day and hour. Runs an aggregation over the lines and one over the orders.

    Args:
        lines: order lines in the columns of the `transactions` table.
        orders: as `exploration.customer_orders` makes them.
    """
    amount, is_return = F.col(c.AMOUNT), F.col(c.IS_RETURN)
    zero = F.lit(0).cast("decimal(18,2)")
    by_hour = lines.groupBy(F.to_date(c.ORDERED_AT), F.hour(c.ORDERED_AT)).agg(
        F.count(F.lit(1)),
        F.count_if(is_return),
        F.sum(F.when(~is_return, amount).otherwise(zero)),
        -F.sum(F.when(is_return, amount).otherwise(zero)),
    )
    ordered = orders.where(F.col("day").isNotNull()).groupBy("day", "hour").count().collect()
    counts = {(day, hour): count for day, hour, count in ordered}
    return Calendar(
        {(day, hour): Activity(counts.get((day, hour), 0), *sums) for day, hour, *sums in by_hour.collect()}
    )
