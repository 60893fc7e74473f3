"""Headlines and column tables of the page, every figure formatted."""

from datetime import datetime
from decimal import Decimal, InvalidOperation

from customer_segmentation.contract import tables as t
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.headlines import Headline
from customer_segmentation.explore.columns import PERSONAL_COLUMNS, ColumnProfile
from customer_segmentation.explore.exploration import Exploration

MAX_VALUES = 8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MIN_ESTIMATED = 100
_TABLES = (t.TRANSACTIONS, t.CUSTOMERS, t.ENGAGEMENT, t.REJECTED_TRANSACTIONS)


def headlines(data: Exploration, currency: str) -> list[Headline]:
    """The figures of the data as a whole."""
    total, dates = data.calendar.total, data.calendar.dates
    per_buyer = total.orders / data.buyers if data.buyers else None
    per_customer = total.net / data.customers if data.customers else None
    span = fmt.day_range(dates[0], dates[-1]) if dates else "no day"
    return [
        Headline("Lines", fmt.count(total.lines), f"of {fmt.count(data.line_counts.lines)} read"),
        Headline("Orders", fmt.count(total.orders), f"{fmt.figure(per_buyer, 1)} a customer"),
        Headline("Customers", fmt.count(data.customers), f"{fmt.count(data.buyers)} with a purchase"),
        Headline("Net spend", fmt.money(total.net, currency), f"{fmt.money(per_customer, currency)} a customer"),
        Headline("Days", fmt.count(len(dates)), span),
    ]


def tables(data: Exploration) -> dict[t.Table, list[ColumnProfile]]:
    """The canonical tables that there are, with the profiles of their columns."""
    by_table = {table: [each for each in data.columns if each.table == table.name] for table in _TABLES}
    return {table: profiles for table, profiles in by_table.items() if profiles}


def type_name(profile: ColumnProfile) -> str:
    """The type of a column, long ones cut."""
    return profile.type if len(profile.type) <= 24 else f"{profile.type.split('<')[0]}<…>"


def missing(profile: ColumnProfile) -> str:
    """Rows without a value, and their share."""
    return f"{fmt.count(profile.missing)} · {fmt.share(profile.missing_share)}" if profile.missing else "0"


def distinct(profile: ColumnProfile) -> str:
    """Distinct values; an estimate reads so, unless it is so small that it is exact."""
    is_exact = profile.is_counted or profile.distinct is None or profile.distinct < _MIN_ESTIMATED
    return fmt.count(profile.distinct) if is_exact else f"≈ {fmt.count(profile.distinct)}"


def figures(profile: ColumnProfile) -> list[str]:
    """Minimum, the shown quantiles, maximum and mean of a number; empty for other columns."""
    summary = profile.summary
    if summary is None or not summary.known:
        return []
    quantiles = [fmt.figure(summary.quantiles[at], 2) for at in QUANTILES]
    return [_number(profile.minimum), *quantiles, _number(profile.maximum), fmt.figure(summary.mean, 2)]


def values(profile: ColumnProfile) -> list[tuple[str, str]]:
    """The most frequent values with their shares."""
    return [(fmt.plain_text(each.value), fmt.share(each.rows / profile.rows)) for each in profile.values[:MAX_VALUES]]


def remark(profile: ColumnProfile) -> str:
    """A note after the values of a column, or on why there are none."""
    if profile.rows == profile.missing:
        return "no value"
    if profile.minimum is not None:
        return f"{_moment(profile.minimum)} to {_moment(profile.maximum)}"
    if profile.column in PERSONAL_COLUMNS:
        return "not shown: personal data"
    shown = min(len(profile.values), MAX_VALUES)
    if shown:
        return f"and {fmt.count((profile.distinct or 0) - shown)} more" if len(profile.values) > shown else ""
    return "too many values to list, or too rare to show"


def _moment(text: str | None) -> str:
    """A date in words, a time to the minute."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return fmt.plain_text(text)
    at = "" if len(text or "") <= len("2024-01-31") else f", {moment:%H:%M}"
    return f"{fmt.day(moment.date())}{at}"


def _number(text: str | None) -> str:
    try:
        return fmt.figure(Decimal(text), 2) if text is not None else fmt.NOTHING
    except InvalidOperation:
        return fmt.plain_text(text)
