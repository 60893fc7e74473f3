"""The as-of dates that a command is given as text: one, a list, or monthly from one to another."""

import calendar
from datetime import date

from customer_segmentation.contract.errors import ConfigurationError

MAX_DATES = 1000
"""Dates that are computed at once at most."""


def as_of_dates(text: str) -> list[date]:
    """The dates of a list such as 2017-07-01,2017-08-01, or of a monthly one such as 2017-01-01..2017-12-01.

    A monthly list has the first date and the same day of each month after it, or the month's last one where it is
    shorter, up to the second date.

    Returns:
        The dates, ascending and each once.

    Raises:
        ConfigurationError: one of them is no date, the second date is before the first, or there are too many.

    >>> as_of_dates("2017-11-30..2018-02-28")[-2:]
    [datetime.date(2018, 1, 30), datetime.date(2018, 2, 28)]
    """
    parts = [part.strip() for part in text.split(",")]
    dates = sorted({day for part in parts for day in _monthly(part, text)})
    if len(dates) > MAX_DATES:
        raise ConfigurationError(f"--as-of {text}: these are {len(dates):,} dates, at most {MAX_DATES:,} can be given")
    return dates


def is_list_of_dates(text: str) -> bool:
    """Whether a text is meant as several dates."""
    return "," in text or ".." in text


def _monthly(part: str, text: str) -> list[date]:
    start, dots, end = part.partition("..")
    first, last = _date(start, text), _date(end if dots else start, text)
    if last < first:
        raise ConfigurationError(f"--as-of {text}: {last} is before {first}; write the earlier date first")
    months = (last.year - first.year) * 12 + last.month - first.month
    return [day for day in (_months_later(first, months) for months in range(months + 1)) if day <= last]


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _date(part: str, text: str) -> date:
    try:
        return date.fromisoformat(part.strip())
    except ValueError:
        raise ConfigurationError(
            f"--as-of {text}: {part.strip()[:60]!r} is no date; write dates as 2017-07-01,2017-08-01 or, monthly, as "
            "2017-01-01..2017-12-01"
        ) from None
