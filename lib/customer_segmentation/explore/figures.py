"""The figures of an exploration, each declared once as data, words and chart; rows and panels are made of that.

Their words are templates, see `text.Text`: cells and labels are filled from a row, all others from the exploration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain, count
from typing import Any, Literal

from customer_segmentation.contract import columns as c
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.chart_data import Chart, Columns, LorenzCurve, NamedBars
from customer_segmentation.explore import distributions as d
from customer_segmentation.explore.activity import SPIKE_FACTOR
from customer_segmentation.explore.buckets import Group, histogram
from customer_segmentation.explore.exploration import Exploration
from customer_segmentation.explore.text import Text, value_at

MAX_CATEGORIES = 12
MAX_DAYS = 8
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True)
class Rows:
    """What a figure shows.

    path: of the rows in an exploration.
    measure: name in `data_distributions`, if they are there, and paths in a row of count and amount.
    share_of: path in a row of what is a part of the whole.
    max_rows: further rows are one row where they are groups, else not shown.
    shown_if: path of what must not be 0 or empty for there to be a panel.
    """

    path: str
    measure: tuple[str, str, str] | None = None
    share_of: str = ""
    max_rows: int | None = None
    shown_if: str = "as_of"


@dataclass(frozen=True)
class Drawing:
    """How a figure draws its rows.

    kind: how it begins in words; "" for a table alone, which is then visible without a click.
    value: path in a row.
    label: of a bar: under it, or at the end of a horizontal one.
    shows: the chart in words, where the title does not say it.
    is_wide: in the page's full width, with the bars of incomplete months pale.
    """

    kind: Literal["", "Bars", "Histogram", "Line"] = ""
    value: str = "count"
    label: str = ""
    shows: str = ""
    is_horizontal: bool = False
    is_money: bool = False
    is_wide: bool = False


@dataclass(frozen=True)
class Figure:
    """A chart and its table, over the rows of one aggregate.

    columns: of the table, cell by heading; the first names the row. `{share}` is the row's part of the whole.
    note: under the heading of the panel, or what chooses it; note_if_empty where there are no rows.
    """

    title: str
    rows: Rows
    columns: Mapping[str, str]
    caption: str
    note: str | Callable[[Exploration], str] = ""
    drawing: Drawing = Drawing()
    note_if_empty: str | None = None

    def panel(self, data: Exploration, currency: str) -> dict[str, Any]:
        """What the page shows of the figure, every value formatted: a chart where there is one, and a table."""
        text, drawing, rows, most = Text(currency), self.drawing, value_at(data, self.rows.path), self.rows.max_rows
        shown, rest, caption = list(rows[:most]), rows[most:] if most else [], self.caption
        if rest and isinstance(rest[0], Group):
            amount = sum((row.amount or Decimal(0) for row in rest), Decimal(0))
            shown.append(Group(f"{fmt.count(len(rest))} others", sum(row.count for row in rest), amount))
        elif rest:
            caption += f", the first {most} of {fmt.count(len(rows))}"
        parts = [value_at(row, self.rows.share_of) or 0 for row in shown] if self.rows.share_of else [0] * len(shown)
        shares = [part / sum(parts) if sum(parts) else None for part in parts]

        def cells(template: str) -> list[str]:
            return [text.fill(template, row, share=share) for row, share in zip(shown, shares, strict=True)]

        first, *others = (cells(template) for template in self.columns.values())
        names, unit = _distinct(first), fmt.plain_text(currency)
        head = [text.fill(heading, data, in_currency=f", {unit}" if unit else "") for heading in self.columns]
        note = self.note if isinstance(self.note, str) else self.note(data)
        chart: Chart | None = None
        if shown and drawing.kind == "Line":
            chart = LorenzCurve(data.concentration.lorenz)
        elif shown and drawing.kind:
            values = [float(value_at(row, drawing.value) or 0) for row in shown]
            if drawing.kind == "Histogram":
                chart = histogram(shown, head[0])
            elif drawing.is_horizontal:
                chart = NamedBars(names, values, cells(drawing.label))
            else:
                pale = [not month.is_complete for month in data.calendar.months] if drawing.is_wide else []
                chart = Columns(
                    cells(drawing.label), values, pale=pale, currency=currency if drawing.is_money else None
                )
        return {
            "title": self.title,
            "note": text.fill(note if rows or self.note_if_empty is None else self.note_if_empty, data),
            "chart": chart,
            "alternative": f"{drawing.kind}: {drawing.shows or self.title.lower()}.",
            "is_wide": drawing.is_wide,
            "is_open": drawing.kind in ("", "Line"),
            "caption": text.fill(caption, data),
            "head": head,
            "rows": list(zip(names, *others, strict=True)),
        }


def distribution_rows(data: Exploration, *, run_id: str) -> list[dict[str, Any]]:
    """Rows of `data_distributions`: one per measure and bucket."""
    measures = {name: distribution.buckets for name, distribution in data.distributions.items()}
    for rows in (figure.rows for figures in SECTIONS.values() for figure in figures):
        if rows.measure:
            name, *paths = rows.measure
            measures[name] = [
                row if isinstance(row, Group) else Group(row.label, *(value_at(row, path) for path in paths))
                for row in value_at(data, rows.path)
            ]
    reasons = sorted(data.line_counts.by_reason.items(), key=lambda item: -item[1])
    measures["rejected_by_reason"] = [Group(code, lines, None) for code, lines in reasons]
    return [
        {
            c.RUN_ID: run_id,
            c.AS_OF_DATE: data.as_of,
            "measure": measure,
            "bucket": number,
            "label": group.label,
            "lower": None if group.lower is None else float(group.lower),
            "upper": None if group.upper is None else float(group.upper),
            "count": group.count,
            "amount": group.amount,
        }
        for measure, groups in measures.items()
        for number, group in enumerate(groups)
    ]


def _distinct(names: list[str]) -> list[str]:
    """The names, repeated ones numbered."""
    distinct: list[str] = []
    for name in names:
        candidates = chain([name], (f"{name} ({number})" for number in count(2)))
        distinct.append(next(each for each in candidates if each not in distinct))
    return distinct


_LOGARITHMIC = " Logarithmic: ranges widen to the right."
_IN_PART = "A month that the data does not cover whole is pale."
_RETURNS_ALONE = "An order has a purchase; 0 is for returns alone."
_FAR_TOO_MANY = f"more than {_NUMBERS[SPIKE_FACTOR]} times the orders that are usual around"
_MONTH, _ORDERS, _NET = "{label:month}{in_part}", "{orders:count}", "{net:money}"
_COUNT, _AMOUNT, _SHARE = "{count:count}", "{amount:money}", "{share:share}"
_BY_MONTH = Drawing("Bars", "orders", "{label:short_month}", is_wide=True)


def _histogram(measure: d.Measure) -> Figure:
    is_money, path, by = measure.unit == "money", f"distributions[{measure.name}]", f"by {measure.title.lower()}"
    median, low, high = (
        f"{{{path}.summary.{name}:{'money' if is_money else 'figure1'}}}"
        for name in ("median", "nine_in_ten[0]", "nine_in_ten[1]")
    )
    note, of = f"Median {median}; nine in ten lie from {low} to {high}.", fmt.capitalized(measure.of)
    unit = "Amount{in_currency}" if is_money else fmt.capitalized(measure.unit)
    columns = {unit: "{label:capital}", of: _COUNT, "Share": _SHARE}
    return Figure(
        measure.title,
        Rows(f"{path}.buckets", share_of="count"),
        columns | ({"Amount": _AMOUNT} if is_money else {}),
        f"{of} {by}",
        lambda data: note + (_LOGARITHMIC if data.distributions[measure.name].is_logarithmic else ""),
        Drawing("Histogram", shows=f"{measure.of} {by}"),
        f"There are no {measure.of}.",
    )


_ORDERS_BY_MONTH = Figure(
    "Orders by month",
    Rows("calendar.months", ("orders_by_month", "orders", "net"), shown_if="calendar.months"),
    {"Month": _MONTH, "Orders": _ORDERS, "Net spend": _NET, "Returned": "{returned/bought:share}"},
    "Orders, net spend and the share of the value bought that was returned, by month",
    lambda data: "" if all(month.is_complete for month in data.calendar.months) else _IN_PART,
    _BY_MONTH,
)

SECTIONS = {
    ("time", "When people order"): (
        _ORDERS_BY_MONTH,
        replace(_ORDERS_BY_MONTH, title="Net spend by month", drawing=replace(_BY_MONTH, value="net", is_money=True)),
        Figure(
            "Orders by weekday",
            Rows("calendar.weekdays", ("orders_by_weekday", "orders", "net"), shown_if="calendar.total.orders"),
            {"Weekday": "{label}", "Orders": _ORDERS, "A day": "{orders/days:figure1}", "Net spend": _NET},
            "Orders and net spend by weekday; the mean is over all days of the data's time, with orders or not",
            "On such a day, on average.",
            Drawing("Bars", "orders/days", "{label:.3}", "mean orders by weekday"),
        ),
        Figure(
            "Orders by hour",
            Rows("calendar.hours_of_day", ("orders_by_hour", "orders", "net"), shown_if="calendar.has_hours"),
            {"Hour": "{label}:00", "Orders": _ORDERS, "Net spend": _NET},
            "Orders and net spend by hour of the day, {timezone}",
            "In that hour of the day ({timezone}), all days together.",
            Drawing("Bars", "orders", "{label}"),
        ),
        Figure(
            "Days without an order",
            Rows("calendar.inactive_periods", max_rows=MAX_DAYS),
            {"When": "{dates}", "Days": "{days:count}"},
            "Days in a row without any order, longest first",
            "{calendar.inactive_days:count} of the days between the first and the last order.",
            note_if_empty="None: every day between the first and the last order has one.",
        ),
        Figure(
            "Days with far too many orders",
            Rows("calendar.spikes", max_rows=MAX_DAYS),
            {"Day": "{day:day}", "Orders": _ORDERS, "Usual": "{usual:figure1}"},
            f"Days with {_FAR_TOO_MANY} them",
            note_if_empty=f"None: no day has {_FAR_TOO_MANY} it.",
        ),
    ),
    ("customers", "How often they order"): (
        Figure(
            "Customers by number of orders",
            Rows("customers_by_orders", ("customers_by_orders", "count", "amount"), "count"),
            {"Orders": "{label:orders}", "Customers": _COUNT, "Share": _SHARE, "Net spend": _AMOUNT},
            "Customers and their net spend by number of orders",
            lambda data: _RETURNS_ALONE if data.customers > data.buyers else "",
            Drawing("Bars", label=f"{_COUNT} · {_SHARE}", is_horizontal=True),
        ),
        _histogram(d.DAYS_BETWEEN_ORDERS),
        Figure(
            "New customers by month",
            Rows("new_customers", ("new_customers_by_month", "count", "amount")),
            {"Month": "{label:month}", "New customers": _COUNT, "Net spend since": _AMOUNT},
            "Customers by the month of their first purchase, and all they spent since",
            "By the first purchase in the data: in the first months old customers look new.",
            replace(_BY_MONTH, value="count", shows="customers by the month of their first purchase"),
        ),
    ),
    ("money", "What they spend"): (
        *map(_histogram, (d.LINE_AMOUNT, d.ORDER_VALUE, d.ITEMS_PER_ORDER, d.SPEND_PER_CUSTOMER)),
        Figure(
            "Concentration of spend",
            Rows("concentration.tops", ("top_customers", "count", "amount"), shown_if="concentration.lorenz"),
            {"Customers": "{label:capital}", "How many": _COUNT, "Spend": _AMOUNT, "Share": "{part:share}"},
            "Spend of the customers who spend most",
            "Gini coefficient {concentration.gini:figure2}: 0 if all spent the same, near 1 if one spent all.",
            Drawing("Line", shows="share of spend by share of customers, from those who spend least"),
        ),
        Figure(
            "Categories by net spend",
            Rows("categories", ("spend_by_category", "count", "amount"), "amount", MAX_CATEGORIES, "known_categories"),
            {"Category": "{label:category}", "Lines": _COUNT, "Net spend": _AMOUNT, "Share": _SHARE},
            "Lines and net spend by category",
            "{known_categories:count} categories.",
            Drawing("Bars", "amount", f"{{amount:short_money}} · {_SHARE}", is_horizontal=True),
        ),
        Figure(
            "Value returned by month",
            Rows(
                "calendar.months",
                ("returns_by_month", "return_lines", "returned"),
                shown_if="calendar.total.return_lines",
            ),
            {
                "Month": _MONTH,
                "Return lines": "{return_lines:count}",
                "Of lines": "{return_lines/lines:share}",
                "Value": "{returned:money}",
                "Of value": "{returned/bought:share}",
            },
            "Returns by month: lines, their share of all lines, value, and its share of the value bought",
            "{calendar.total.return_lines:count} of {calendar.total.lines:count} lines "
            "({calendar.total.return_lines/calendar.total.lines:share}) are returns; "
            "{calendar.total.returned/calendar.total.bought:share} of the value bought was returned.",
            replace(_BY_MONTH, value="returned", is_money=True),
        ),
    ),
}
"""By anchor and heading."""
