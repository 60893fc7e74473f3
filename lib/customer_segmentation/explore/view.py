"""The parts of the page as its template shows them: every figure in words already."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from customer_segmentation.contract import tables as t
from customer_segmentation.display import formatting as w
from customer_segmentation.display.summary import Headline
from customer_segmentation.explore import distributions as d
from customer_segmentation.explore.activity import Period
from customer_segmentation.explore.buckets import Buckets, shortly
from customer_segmentation.explore.columns import HIDDEN, ColumnProfile
from customer_segmentation.explore.exploration import Exploration
from customer_segmentation.explore.panels import LorenzCurve, NamedBars, Panel, UprightBars

CATEGORIES_SHOWN = 12
STRETCHES_SHOWN = 8
VALUES_SHOWN = 8
QUANTILES_SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
_ESTIMATED_FROM = 100
_ON_THE_PAGE = (t.TRANSACTIONS, t.CUSTOMERS, t.ENGAGEMENT, t.REJECTED_TRANSACTIONS)


@dataclass(frozen=True)
class ColumnView:
    """A column of a table in words.

    figures: least, the shown quantiles, most and mean; empty where the values are told in words.
    values: a value with its share, or why there are none.
    """

    name: str
    type: str
    missing: str
    missing_part: float
    distinct: str
    figures: list[str]
    values: list[tuple[str, str]]
    remark: str


@dataclass(frozen=True)
class TableView:
    """A canonical table with its columns."""

    name: str
    row: str
    rows: str
    columns: list[ColumnView]


def headlines(found: Exploration, currency: str) -> list[Headline]:
    """The figures of the data as a whole."""
    total, calendar = found.calendar.total, found.calendar
    customers = found.customers
    days = len(calendar.every_day)
    return [
        Headline("Lines", w.count(total.lines), f"of {w.count(found.intake.lines)} read"),
        Headline("Orders", w.count(total.orders), f"{w.figure(_ratio(total.orders, found.buyers), 1)} a customer"),
        Headline("Customers", w.count(customers), f"{w.count(found.buyers)} with a purchase"),
        Headline(
            "Net spend",
            w.money(total.net, currency),
            f"{w.money(_each(total.net, customers), currency)} a customer",
        ),
        Headline("Days", w.count(days), _range(calendar.first, calendar.last)),
    ]


def months(found: Exploration, currency: str) -> list[Panel]:
    """Orders and net spend by month."""
    periods = found.calendar.months
    head = ("Month", "Orders", "Net spend", "Returned")
    rows = [
        (
            _month(one.label) + ("" if one.whole else ", in part"),
            w.count(one.activity.orders),
            w.money(one.activity.net, currency),
            w.share(one.activity.return_value_share),
        )
        for one in periods
    ]
    note = "A month that the data does not cover whole is pale." if not all(one.whole for one in periods) else ""
    caption = "Orders, net spend and the share of the value bought that came back, by month"
    return [
        Panel(
            f"{title} by month",
            note,
            _over(periods, value, is_money=is_money, currency=currency),
            f"Bars: {title.lower()} by month.",
            caption,
            head,
            rows,
            is_wide=True,
        )
        for title, value, is_money in (("Orders", _orders, False), ("Net spend", _net, True))
        if periods
    ]


def weekdays_and_hours(found: Exploration, currency: str) -> list[Panel]:
    """Orders by weekday and by hour."""
    calendar = found.calendar
    weekdays = Panel(
        "Orders by weekday",
        "On such a day, on average.",
        UprightBars(
            [one.label[:3] for one in calendar.weekdays],
            [_ratio(one.activity.orders, one.days) or 0.0 for one in calendar.weekdays],
        ),
        "Bars: mean orders by weekday.",
        "Orders and net spend by weekday; the mean is over all days of the data's time, with orders or not",
        ("Weekday", "Orders", "A day", "Net spend"),
        [
            (
                one.label,
                w.count(one.activity.orders),
                w.figure(_ratio(one.activity.orders, one.days), 1),
                w.money(one.activity.net, currency),
            )
            for one in calendar.weekdays
        ],
    )
    if not calendar.total.orders:
        return []
    if not calendar.has_hours:
        return [weekdays]
    hours = Panel(
        "Orders by hour",
        f"In that hour of the day ({found.timezone}), all days together.",
        UprightBars([one.label for one in calendar.hours_of_day], [_orders(one) for one in calendar.hours_of_day]),
        "Bars: orders by hour of the day.",
        f"Orders and net spend by hour of the day, {found.timezone}",
        ("Hour", "Orders", "Net spend"),
        [
            (f"{one.label}:00", w.count(one.activity.orders), w.money(one.activity.net, currency))
            for one in calendar.hours_of_day
        ],
    )
    return [weekdays, hours]


def customers(found: Exploration, currency: str) -> list[Panel]:
    """Customers by number of orders, new customers by month, days between orders."""
    counts = found.customers_by_orders
    return [
        Panel(
            "Customers by number of orders",
            "An order has a purchase; 0 is for returns alone." if counts and counts[0].label == "under 1" else "",
            NamedBars(
                [_orders_label(bucket.label) for bucket in counts],
                [float(bucket.count) for bucket in counts],
                [f"{w.count(bucket.count)} · {w.share(_ratio(bucket.count, found.customers))}" for bucket in counts],
            )
            if counts
            else None,
            "Bars: customers by number of orders.",
            "Customers and their net spend by number of orders",
            ("Orders", "Customers", "Share", "Net spend"),
            [
                (
                    _orders_label(bucket.label),
                    w.count(bucket.count),
                    w.share(_ratio(bucket.count, found.customers)),
                    w.money(bucket.amount, currency) if bucket.count else "–",
                )
                for bucket in counts
            ],
        ),
        _histogram(found.distribution(d.DAYS_BETWEEN_ORDERS), currency),
        Panel(
            "New customers by month",
            "By the first purchase in the data: in the first months old customers look new.",
            UprightBars(
                [_short_month(group.value) for group in found.new_customers],
                [float(group.rows) for group in found.new_customers],
                pale=[not one.whole for one in found.calendar.months],
            ),
            "Bars: customers by the month of their first purchase.",
            "Customers by the month of their first purchase, and all they spent since",
            ("Month", "New customers", "Net spend since"),
            [
                (_month(group.value or ""), w.count(group.rows), w.money(group.amount, currency))
                for group in found.new_customers
            ],
            is_wide=True,
        ),
    ]


def spreads(found: Exploration, currency: str) -> list[Panel]:
    """How lines, orders and customers spread in money and items."""
    shown = (d.LINE_AMOUNT, d.ORDER_VALUE, d.ITEMS_PER_ORDER, d.SPEND_PER_CUSTOMER)
    return [_histogram(found.distribution(measure), currency) for measure in shown]


def value(found: Exploration, currency: str) -> list[Panel]:
    """How far revenue rests on a few customers, and the categories it comes from."""
    spread = found.concentration
    panels = []
    if spread.lorenz:
        panels.append(
            Panel(
                "Concentration of spend",
                f"Gini coefficient {w.figure(spread.gini, 2)}: 0 if all spent the same, near 1 if one spent all.",
                LorenzCurve(spread.lorenz),
                "Line: share of spend by share of customers, from those who spend least.",
                "What the customers who spend most bring",
                ("Customers", "How many", "Spend", "Share"),
                [
                    (
                        f"Top {w.share(top.part, 0)}",
                        w.count(top.customers),
                        w.money(top.amount, currency),
                        w.share(top.share),
                    )
                    for top in spread.tops
                ],
                is_open=True,
            )
        )
    if any(group.value is not None for group in found.categories):
        panels.append(_categories(found, currency))
    return panels


def returns(found: Exploration, currency: str) -> Panel | None:
    """Returns by month; None without any."""
    total = found.calendar.total
    if not total.return_lines:
        return None
    periods = found.calendar.months
    return Panel(
        "Value returned by month",
        f"{w.count(total.return_lines)} of {w.count(total.lines)} lines ({w.share(total.return_line_share)}) are "
        f"returns; {w.share(total.return_value_share)} of the value bought came back.",
        _over(periods, _returned, is_money=True, currency=currency),
        "Bars: value returned by month.",
        "Returns by month: lines, their share of all lines, value, and its share of the value bought",
        ("Month", "Return lines", "Of lines", "Value", "Of value"),
        [
            (
                _month(one.label) + ("" if one.whole else ", in part"),
                w.count(one.activity.return_lines),
                w.share(one.activity.return_line_share),
                w.money(one.activity.returned, currency),
                w.share(one.activity.return_value_share),
            )
            for one in periods
        ],
        is_wide=True,
    )


def tables(found: Exploration) -> list[TableView]:
    """The canonical tables that there are, column by column."""
    views = []
    for table in _ON_THE_PAGE:
        profiles = [profile for profile in found.columns if profile.table == table.name]
        if profiles:
            columns = [_column(profile) for profile in profiles]
            views.append(TableView(table.name, table.row, w.count(profiles[0].rows), columns))
    return views


def stretch_rows(found: Exploration) -> list[tuple[str, str]]:
    """Days in a row without any order, longest first: from when to when, how many days."""
    return [
        (_range(stretch.first, stretch.last), w.count(stretch.days))
        for stretch in found.calendar.stretches[:STRETCHES_SHOWN]
    ]


def spike_rows(found: Exploration) -> list[tuple[str, str, str]]:
    """Days with far too many orders, most extreme first: day, orders, how many are usual around it."""
    return [
        (w.day(spike.day), w.count(spike.orders), w.figure(spike.usual, 1))
        for spike in found.calendar.spikes[:STRETCHES_SHOWN]
    ]


def _categories(found: Exploration, currency: str) -> Panel:
    groups = found.categories
    shown = groups[:CATEGORIES_SHOWN]
    rest = groups[CATEGORIES_SHOWN:]
    total = found.calendar.total.net
    parts = [(w.plain_text(group.value) or "Unknown", group.rows, group.amount or Decimal(0)) for group in shown]
    if rest:
        lines, amount = (
            sum(group.rows for group in rest),
            sum((group.amount or Decimal(0) for group in rest), Decimal(0)),
        )
        parts.append((f"{w.count(len(rest))} others", lines, amount))
    names = _no_two_alike([name for name, _, _ in parts])
    shares = [w.share(_each(amount, total)) for _, _, amount in parts]
    return Panel(
        "Categories by net spend",
        f"{w.count(len([group for group in groups if group.value is not None]))} categories.",
        NamedBars(
            names,
            [float(amount) for _, _, amount in parts],
            [f"{w.short_money(amount, currency)} · {part}" for (_, _, amount), part in zip(parts, shares, strict=True)],
        ),
        "Bars: net spend by category.",
        "Lines and net spend by category",
        ("Category", "Lines", "Net spend", "Share"),
        [
            (name, w.count(lines), w.money(amount, currency), part)
            for name, (_, lines, amount), part in zip(names, parts, shares, strict=True)
        ],
    )


def _histogram(one: d.Distribution, currency: str) -> Panel:
    measure, buckets = one.measure, one.buckets
    is_money = measure.unit == "money"

    def told(number: float | None) -> str:
        return w.money(number, currency) if is_money else w.figure(number, 1)

    notes = []
    if one.summary.median is not None:
        low, high = one.summary.quantiles[0.05], one.summary.quantiles[0.95]
        notes.append(f"Median {told(one.summary.median)}; nine in ten lie from {told(low)} to {told(high)}.")
    if one.scale.logarithmic and buckets:
        notes.append("Logarithmic: ranges widen to the right.")
    total = sum(bucket.count for bucket in buckets)
    head = (_unit(measure, currency), w.capitalized(measure.of), "Share")
    has_amount = measure.unit == "money" and any(bucket.amount is not None for bucket in buckets)
    return Panel(
        measure.title,
        " ".join(notes) or f"There are no {measure.of}.",
        UprightBars(
            _edges(one.scale, buckets),
            [float(bucket.count) for bucket in buckets],
            across=head[0],
            is_histogram=True,
        )
        if buckets
        else None,
        f"Histogram: {measure.of} by {measure.title.lower()}.",
        f"{w.capitalized(measure.of)} by {measure.title.lower()}",
        (*head, "Amount") if has_amount else head,
        [
            (
                w.capitalized(bucket.label),
                w.count(bucket.count),
                w.share(_ratio(bucket.count, total)),
                *((w.money(bucket.amount, currency) if bucket.count else "–",) if has_amount else ()),
            )
            for bucket in buckets
        ],
    )


def _edges(scale: Buckets, buckets: list[d.Bucket]) -> list[str]:
    lowers = [bucket.lower for bucket in buckets]
    ends = [*lowers, scale.upper(buckets[-1].number)]
    return ["" if end is None else shortly(end) for end in ends]


def _unit(measure: d.Measure, currency: str) -> str:
    if measure.unit != "money":
        return w.capitalized(measure.unit)
    return f"Amount, {w.plain_text(currency)}" if currency else "Amount"


def _over(periods: list[Period], value: Callable[[Period], float], *, is_money: bool, currency: str) -> UprightBars:
    return UprightBars(
        [_short_month(one.label) for one in periods],
        [value(one) for one in periods],
        pale=[not one.whole for one in periods],
        is_money=is_money,
        currency=currency,
    )


def _orders(period: Period) -> float:
    return float(period.activity.orders)


def _net(period: Period) -> float:
    return float(period.activity.net)


def _returned(period: Period) -> float:
    return float(period.activity.returned)


def _column(profile: ColumnProfile) -> ColumnView:
    figures: list[str] = []
    if profile.summary is not None and profile.summary.known:
        quantiles = [w.figure(profile.summary.quantiles[at], 2) for at in QUANTILES_SHOWN]
        figures = [_end(profile.least), *quantiles, _end(profile.most), w.figure(profile.summary.mean, 2)]
    values = [
        (w.plain_text(group.value), w.share(group.rows / profile.rows)) for group in profile.values[:VALUES_SHOWN]
    ]
    return ColumnView(
        w.plain_text(profile.column),
        _type(profile.type),
        "0" if not profile.missing else f"{w.count(profile.missing)} · {w.share(profile.missing_share)}",
        profile.missing_share or 0.0,
        _distinct(profile),
        figures,
        values,
        "" if figures else _remark(profile, len(values)),
    )


def _distinct(profile: ColumnProfile) -> str:
    """Distinct values; what was estimated reads so, unless it is so small that it is as good as counted."""
    number = profile.distinct
    is_exact = profile.is_counted or number is None or number < _ESTIMATED_FROM
    return w.count(number) if is_exact else f"≈ {w.count(number)}"


def _remark(profile: ColumnProfile, shown: int) -> str:
    """What stands where a column has no figures, or after its values."""
    if profile.rows == profile.missing:
        return "no value"
    if profile.least is not None:
        return f"{_moment(profile.least)} to {_moment(profile.most)}"
    if profile.column in HIDDEN:
        return "not shown: personal data"
    others = (profile.distinct or 0) - shown
    if shown:
        return f"and {w.count(others)} more" if len(profile.values) > shown else ""
    return "too many values to list, or too rare to show"


def _moment(text: str | None) -> str:
    """A date in words, a time to the minute."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return w.plain_text(text)
    at = "" if len(text or "") <= len("2024-01-31") else f", {moment:%H:%M}"
    return f"{w.day(moment.date())}{at}"


def _end(text: str | None) -> str:
    try:
        return w.figure(Decimal(text), 2) if text is not None else w.NOTHING
    except InvalidOperation:
        return w.plain_text(text)


def _type(kind: str) -> str:
    return kind if len(kind) <= 24 else f"{kind.split('<')[0]}<…>"


def _orders_label(label: str) -> str:
    if label == "under 1":
        return "0 orders"
    return f"{label} order{'' if label == '1' else 's'}"


def _month(label: str) -> str:
    return f"{date.fromisoformat(f'{label}-01'):%B %Y}"


def _short_month(label: str | None) -> str:
    return f"{date.fromisoformat(f'{label}-01'):%b %y}"


def _range(first: date | None, last: date | None) -> str:
    if first is None or last is None:
        return "no day"
    return w.day(first) if first == last else f"{w.day(first)} to {w.day(last)}"


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _each(amount: Decimal, whole: int | Decimal) -> float | None:
    return float(amount / whole) if whole else None


def _no_two_alike(names: Iterable[str]) -> list[str]:
    told: list[str] = []
    for name in names:
        number, one = 2, name
        while one in told:
            one, number = f"{name} ({number})", number + 1
        told.append(one)
    return told
