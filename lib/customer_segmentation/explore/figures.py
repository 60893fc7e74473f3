"""The figures of an exploration, each declared once: the rows of `data_distributions` and the panels of the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal

from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.chart_data import Chart, Columns, LorenzCurve, NamedBars
from customer_segmentation.explore import distributions as d
from customer_segmentation.explore.activity import SPIKE_FACTOR
from customer_segmentation.explore.exploration import Exploration

MAX_CATEGORIES = 12
MAX_DAYS = 8
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True)
class Context:
    """What a cell of a figure may depend on beside its row: the exploration, the currency, and all rows."""

    data: Exploration
    currency: str
    rows: Sequence[Any]

    def share(self, row: Any, name: str) -> float | None:
        """A value of the row as a share of the total over all rows; None where that is 0."""
        total = sum(getattr(each, name) or 0 for each in self.rows)
        return float((getattr(row, name) or 0) / total) if total else None


Cell = Callable[[Any, Context], str]


def _count(path: str) -> Cell:
    return lambda row, context: fmt.count(attrgetter(path)(row))


def _money(path: str) -> Cell:
    return lambda row, context: fmt.money(attrgetter(path)(row), context.currency)


def _share(path: str) -> Cell:
    return lambda row, context: fmt.share(attrgetter(path)(row))


def _share_of_total(name: str) -> Cell:
    return lambda row, context: fmt.share(context.share(row, name))


def _amount(row: Any, context: Context) -> str:
    return fmt.money(row.amount, context.currency) if row.count else fmt.NOTHING


def _label(row: Any, context: Context) -> str:
    return fmt.capitalized(row.label)


def _month(row: Any, context: Context) -> str:
    return f"{date.fromisoformat(f'{row.label}-01'):%B %Y}" + ("" if getattr(row, "is_complete", True) else ", in part")


def _orders(row: Any, context: Context) -> str:
    return "0 orders" if row.label == "under 1" else f"{row.label} order{'' if row.label == '1' else 's'}"


Text = str | Callable[[Context], str]


@dataclass(frozen=True)
class Figure:
    """A chart and its table, over the rows of one aggregate.

    title: heading of the panel.
    rows: the aggregate.
    columns: heading and cell of each column of the table; the first names the row.
    chart: kind of the chart; None for a table alone.
    value: attribute of a row that the chart shows.
    shows: the chart in words, where the title does not say it.
    tick: label of a row in the chart; without it the first column of the table.
    bar_label: what stands at the end of a horizontal bar.
    is_shown: whether there is a panel at all.
    max_rows: further rows are not shown, or with `merge_rest` shown as one.
    is_wide: the panel takes the page's full width.
    is_open: the table is visible without a click.
    """

    title: str
    rows: Callable[[Exploration], Sequence[Any]]
    columns: Sequence[tuple[Text, Cell]]
    caption: Text
    chart: Literal["columns", "histogram", "bars", "lorenz"] | None = None
    value: str = "count"
    shows: str = ""
    note: Text = ""
    tick: Cell | None = None
    bar_label: Cell | None = None
    is_money: bool = False
    is_shown: Callable[[Exploration], object] = lambda data: True
    max_rows: int | None = None
    merge_rest: bool = False
    is_wide: bool = False
    is_open: bool = False

    def panel(self, data: Exploration, currency: str) -> "Panel":
        """The figure for an exploration, every value formatted."""
        rows = self.rows(data)
        context = Context(data, currency, rows)
        shown = list(rows[: self.max_rows])
        rest = rows[len(shown) :] if self.merge_rest else ()
        if rest:
            amount = sum((each.amount or Decimal(0) for each in rest), Decimal(0))
            shown.append(d.Bucket(f"{fmt.count(len(rest))} others", sum(each.count for each in rest), amount))
        (_, first), *others = self.columns
        names = _distinct([first(row, context) for row in shown])
        head = [_text(heading, context) for heading, _ in self.columns]
        cells = [(name, *(cell(row, context) for _, cell in others)) for name, row in zip(names, shown, strict=True)]
        chart = self._chart(shown, names, context) if shown else None
        return Panel(self, _text(self.note, context), _text(self.caption, context), chart, head, cells)

    def _chart(self, rows: list[Any], names: list[str], context: Context) -> Chart | None:
        if self.chart is None:
            return None
        if self.chart == "lorenz":
            return LorenzCurve(context.data.concentration.lorenz)
        values = [float(attrgetter(self.value)(row) or 0) for row in rows]
        if self.chart == "bars" and self.bar_label is not None:
            return NamedBars(names, values, [self.bar_label(row, context) for row in rows])
        if self.chart == "histogram":
            edges = [*(row.lower for row in rows), rows[-1].upper]
            labels = ["" if edge is None else fmt.short_number(edge) for edge in edges]
            return Columns(labels, values, _text(self.columns[0][0], context), is_histogram=True)
        labels = [self.tick(row, context) for row in rows] if self.tick else names
        pale = [not month.is_complete for month in context.data.calendar.months] if self.is_wide else []
        return Columns(labels, values, pale=pale, currency=context.currency if self.is_money else None)


@dataclass(frozen=True)
class Panel:
    """A figure ready to be shown: a chart, None where there is nothing to draw, and a table of formatted values."""

    figure: Figure
    note: str
    caption: str
    chart: Chart | None
    head: list[str]
    rows: list[tuple[str, ...]]

    @property
    def alternative(self) -> str:
        """The chart in words, for who can't see it."""
        kinds = {"columns": "Bars", "bars": "Bars", "histogram": "Histogram", "lorenz": "Line"}
        return f"{kinds[self.figure.chart or 'columns']}: {self.figure.shows or self.figure.title.lower()}."


def _histogram(measure: d.Measure) -> Figure:
    is_money = measure.unit == "money"

    def unit(context: Context) -> str:
        currency = fmt.plain_text(context.currency)
        return (f"Amount, {currency}" if currency else "Amount") if is_money else fmt.capitalized(measure.unit)

    def note(context: Context) -> str:
        distribution = context.data.distribution(measure)
        quantiles = distribution.summary.quantiles
        if not quantiles:
            return f"There are no {measure.of}."
        median, low, high = (
            fmt.money(quantiles[at], context.currency) if is_money else fmt.figure(quantiles[at], 1)
            for at in (0.5, 0.05, 0.95)
        )
        scale = " Logarithmic: ranges widen to the right." if distribution.is_logarithmic else ""
        return f"Median {median}; nine in ten lie from {low} to {high}.{scale}"

    of = fmt.capitalized(measure.of)
    columns: list[tuple[Text, Cell]] = [(unit, _label), (of, _count("count")), ("Share", _share_of_total("count"))]
    return Figure(
        measure.title,
        lambda data: data.distribution(measure).buckets,
        [*columns, ("Amount", _amount)] if is_money else columns,
        f"{of} by {measure.title.lower()}",
        chart="histogram",
        shows=f"{measure.of} by {measure.title.lower()}",
        note=note,
    )


def _short_month(row: Any, context: Context) -> str:
    return f"{date.fromisoformat(f'{row.label}-01'):%b %y}"


_ORDERS = ("Orders", _count("activity.orders"))
_NET_SPEND = ("Net spend", _money("activity.net"))

ORDERS_BY_MONTH = Figure(
    "Orders by month",
    lambda data: data.calendar.months,
    [("Month", _month), _ORDERS, _NET_SPEND, ("Returned", _share("activity.return_value_share"))],
    "Orders, net spend and the share of the value bought that was returned, by month",
    chart="columns",
    value="activity.orders",
    note=lambda context: (
        ""
        if all(month.is_complete for month in context.rows)
        else "A month that the data does not cover whole is pale."
    ),
    tick=_short_month,
    is_shown=lambda data: data.calendar.months,
    is_wide=True,
)

TIME = [
    ORDERS_BY_MONTH,
    replace(
        ORDERS_BY_MONTH,
        title="Net spend by month",
        value="activity.net",
        is_money=True,
    ),
    Figure(
        "Orders by weekday",
        lambda data: data.calendar.weekdays,
        [("Weekday", _label), _ORDERS, ("A day", lambda row, context: fmt.figure(row.orders_per_day, 1)), _NET_SPEND],
        "Orders and net spend by weekday; the mean is over all days of the data's time, with orders or not",
        chart="columns",
        value="orders_per_day",
        shows="mean orders by weekday",
        note="On such a day, on average.",
        tick=lambda row, context: row.label[:3],
        is_shown=lambda data: data.calendar.total.orders,
    ),
    Figure(
        "Orders by hour",
        lambda data: data.calendar.hours_of_day,
        [("Hour", lambda row, context: f"{row.label}:00"), _ORDERS, _NET_SPEND],
        lambda context: f"Orders and net spend by hour of the day, {context.data.timezone}",
        chart="columns",
        value="activity.orders",
        note=lambda context: f"In that hour of the day ({context.data.timezone}), all days together.",
        tick=lambda row, context: str(row.label),
        is_shown=lambda data: data.calendar.total.orders and data.calendar.has_hours,
    ),
    Figure(
        "Days without an order",
        lambda data: data.calendar.inactive_periods,
        [("When", lambda row, context: fmt.day_range(row.first, row.last)), ("Days", _count("days"))],
        lambda context: f"Days in a row without any order, longest first{_first_rows(context)}",
        note=lambda context: (
            f"{fmt.count(sum(row.days for row in context.rows))} of the days between the first and the last order."
            if context.rows
            else "None: every day between the first and the last order has one."
        ),
        max_rows=MAX_DAYS,
        is_open=True,
    ),
    Figure(
        "Days with far too many orders",
        lambda data: data.calendar.spikes,
        [
            ("Day", lambda row, context: fmt.day(row.day)),
            ("Orders", _count("orders")),
            ("Usual", lambda row, context: fmt.figure(row.usual, 1)),
        ],
        lambda context: (
            f"Days with more than {_NUMBERS[SPIKE_FACTOR]} times the orders that are usual around them"
            f"{_first_rows(context)}"
        ),
        note=lambda context: (
            ""
            if context.rows
            else f"None: no day has more than {_NUMBERS[SPIKE_FACTOR]} times the orders that are usual around it."
        ),
        max_rows=MAX_DAYS,
        is_open=True,
    ),
]

CUSTOMERS = [
    Figure(
        "Customers by number of orders",
        lambda data: data.customers_by_orders,
        [
            ("Orders", _orders),
            ("Customers", _count("count")),
            ("Share", _share_of_total("count")),
            ("Net spend", _amount),
        ],
        "Customers and their net spend by number of orders",
        chart="bars",
        note=lambda context: (
            "An order has a purchase; 0 is for returns alone."
            if context.rows and context.rows[0].label == "under 1"
            else ""
        ),
        bar_label=lambda row, context: f"{fmt.count(row.count)} · {fmt.share(context.share(row, 'count'))}",
    ),
    _histogram(d.DAYS_BETWEEN_ORDERS),
    Figure(
        "New customers by month",
        lambda data: data.new_customers,
        [("Month", _month), ("New customers", _count("count")), ("Net spend since", _money("amount"))],
        "Customers by the month of their first purchase, and all they spent since",
        chart="columns",
        shows="customers by the month of their first purchase",
        note="By the first purchase in the data: in the first months old customers look new.",
        tick=_short_month,
        is_wide=True,
    ),
]

MONEY = [
    *map(_histogram, (d.LINE_AMOUNT, d.ORDER_VALUE, d.ITEMS_PER_ORDER, d.SPEND_PER_CUSTOMER)),
    Figure(
        "Concentration of spend",
        lambda data: data.concentration.tops,
        [("Customers", _label), ("How many", _count("count")), ("Spend", _money("amount")), ("Share", _share("share"))],
        "Spend of the customers who spend most",
        chart="lorenz",
        shows="share of spend by share of customers, from those who spend least",
        note=lambda context: (
            f"Gini coefficient {fmt.figure(context.data.concentration.gini, 2)}: 0 if all spent the same, near 1 if "
            "one spent all."
        ),
        is_shown=lambda data: data.concentration.lorenz,
        is_open=True,
    ),
    Figure(
        "Categories by net spend",
        lambda data: data.categories,
        [
            ("Category", lambda row, context: fmt.plain_text(row.label) or "Unknown"),
            ("Lines", _count("count")),
            ("Net spend", _money("amount")),
            ("Share", _share_of_total("amount")),
        ],
        "Lines and net spend by category",
        chart="bars",
        value="amount",
        note=lambda context: f"{fmt.count(sum(bool(row.label) for row in context.rows))} categories.",
        bar_label=lambda row, context: (
            f"{fmt.short_money(row.amount, context.currency)} · {fmt.share(context.share(row, 'amount'))}"
        ),
        is_shown=lambda data: any(row.label for row in data.categories),
        max_rows=MAX_CATEGORIES,
        merge_rest=True,
    ),
    Figure(
        "Value returned by month",
        lambda data: data.calendar.months,
        [
            ("Month", _month),
            ("Return lines", _count("activity.return_lines")),
            ("Of lines", _share("activity.return_line_share")),
            ("Value", _money("activity.returned")),
            ("Of value", _share("activity.return_value_share")),
        ],
        "Returns by month: lines, their share of all lines, value, and its share of the value bought",
        chart="columns",
        value="activity.returned",
        note=lambda context: _returned(context.data),
        tick=_short_month,
        is_money=True,
        is_shown=lambda data: data.calendar.total.return_lines,
        is_wide=True,
    ),
]

SECTIONS = {
    ("time", "When people order"): TIME,
    ("customers", "How often they order"): CUSTOMERS,
    ("money", "What they spend"): MONEY,
}
"""By anchor and heading."""


def panels(figures: Sequence[Figure], data: Exploration, currency: str) -> list[Panel]:
    """The panels of the figures that apply to the data."""
    return [figure.panel(data, currency) for figure in figures if figure.is_shown(data)]


def _returned(data: Exploration) -> str:
    total = data.calendar.total
    lines = f"{fmt.count(total.return_lines)} of {fmt.count(total.lines)} lines ({fmt.share(total.return_line_share)})"
    return f"{lines} are returns; {fmt.share(total.return_value_share)} of the value bought was returned."


def _first_rows(context: Context) -> str:
    count = len(context.rows)
    return f", the first {MAX_DAYS} of {fmt.count(count)}" if count > MAX_DAYS else ""


def _text(text: Text, context: Context) -> str:
    return text if isinstance(text, str) else text(context)


def _distinct(names: list[str]) -> list[str]:
    """The names, repeated ones numbered."""
    distinct: list[str] = []
    for name in names:
        number, candidate = 2, name
        while candidate in distinct:
            candidate, number = f"{name} ({number})", number + 1
        distinct.append(candidate)
    return distinct
