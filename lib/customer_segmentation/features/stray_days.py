"""Order days at the end of the data that lie so far from all others that they are likely a mistake."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

MIN_GAP_DAYS = 30
"""Days are far from the others only after a gap of more than this ..."""
GAP_TIMES = 10
"""... that is more than this many times the largest gap between the others ..."""
MAX_SHARE = 0.01
"""... and there is one of them, or at most this share of all order days."""


@dataclass(frozen=True)
class StrayDays:
    """The days from `first` to `last`, `days` of them, a gap of `gap_days` after `last_before`."""

    first: date
    last: date
    days: int
    last_before: date
    gap_days: int


def stray_days(days: Sequence[date]) -> StrayDays | None:
    """The days at the end that lie far from all others; None where there are none.

    Args:
        days: each day with an order once, ascending. With fewer than three there is no gap to compare with.

    >>> stray_days([date(2024, 1, 1), date(2024, 1, 3), date(2025, 6, 1)]).gap_days
    515
    """
    largest_gap = 0
    for place in range(1, len(days)):
        gap = (days[place] - days[place - 1]).days
        at_end = len(days) - place
        is_far = gap > MIN_GAP_DAYS and gap > GAP_TIMES * largest_gap
        if largest_gap and is_far and at_end <= max(1, MAX_SHARE * len(days)):
            return StrayDays(days[place], days[-1], at_end, days[place - 1], gap)
        largest_gap = max(largest_gap, gap)
    return None
