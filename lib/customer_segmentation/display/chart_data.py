"""What a chart shows, as plain data that needs no drawing library: `charts.chart` draws it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Columns:
    """Upright bars over months, hours or the buckets of a histogram.

    labels: under the bars; for a histogram at their left edges, with one more at the end ("" for an open one).
    values: 0 or more as a rule, one a bar.
    title: of the labels' axis.
    pale: bars that stand for less than the others, such as an incomplete month.
    is_histogram: whether the labels are edges.
    currency: before the values, if they are money; None if they are not.
    """

    labels: list[str]
    values: list[float]
    title: str = ""
    pale: list[bool] = field(default_factory=list)
    is_histogram: bool = False
    currency: str | None = None


@dataclass(frozen=True)
class NamedBars:
    """Horizontal bars, each with a name before it and its formatted figures after it. Names are distinct."""

    names: list[str]
    values: list[float]
    labels: list[str]


@dataclass(frozen=True)
class LorenzCurve:
    """Points from (0, 0) to (1, 1): a share of customers, smallest spenders first, and their share of spend."""

    points: list[tuple[float, float]]


Chart = Columns | NamedBars | LorenzCurve
