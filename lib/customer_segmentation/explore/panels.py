"""What a page's panels hold, as plain data: a chart to be drawn and the table with its figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class UprightBars:
    """Bars side by side over months, hours or the buckets of a histogram.

    labels: under the bars; for a histogram at their left edges, with one more at the end ("" for an open one).
    values: 0 or more as a rule, one a bar.
    pale: bars that stand for less than the others, such as a month cut short.
    is_histogram: whether the labels are edges.
    is_money, currency: how the values' axis is told.
    across: what the labels are.
    """

    labels: list[str]
    values: list[float]
    across: str = ""
    pale: list[bool] = field(default_factory=list)
    is_histogram: bool = False
    is_money: bool = False
    currency: str = ""


@dataclass(frozen=True)
class NamedBars:
    """Bars lying one under the other, each with a name before it and its figures in words after it."""

    names: list[str]
    values: list[float]
    labels: list[str]


@dataclass(frozen=True)
class LorenzCurve:
    """Points from (0, 0) to (1, 1): the share of customers, and the share of spend they bring."""

    points: list[tuple[float, float]]


Chart = UprightBars | NamedBars | LorenzCurve


@dataclass(frozen=True)
class Panel:
    """A chart with a heading and the figures behind it.

    chart: None where there is nothing to draw.
    says: the chart to who can't see it.
    caption, head, rows: the table with the figures; its first column names the row.
    is_wide: it takes the page's full width.
    is_open: the table stands below the chart at once, not after a click.
    """

    title: str
    note: str
    chart: Chart | None
    says: str
    caption: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    is_wide: bool = False
    is_open: bool = False
