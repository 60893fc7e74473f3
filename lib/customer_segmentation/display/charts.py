"""Bars, histograms and curves as Vega-Lite specifications: `chart_data` in, no drawing."""

import json
import math
from decimal import Decimal
from functools import partial
from typing import Any

import altair as alt

from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.bars import named_bars
from customer_segmentation.display.chart_data import Chart, Columns, LorenzCurve, NamedBars
from customer_segmentation.display.chart_style import AS_GIVEN, NARROW, SMALL, data, layered_chart, plain_axis
from customer_segmentation.display.palette import ACCENT, INK, SOFT
from customer_segmentation.display.svg import HALF, WIDE, Drawing, drawing_pair

_PALE = 0.4
_HEIGHT = 230
_NAMES = 136
_LETTER = 7
_SPACE = 14
"""Pixels of a letter of a label, and between two labels."""
_TICKS = 4
_ROUND_STEPS = (1, 2, 2.5, 5, 10)


def draw(content: Chart, label: str, is_wide: bool) -> Drawing:
    """The chart for a large and for a small screen, in the page's full width or in half of it."""
    return drawing_pair(partial(chart, content), label, WIDE if is_wide else HALF)


def chart(content: Chart, width: int) -> alt.LayerChart:
    """The chart, as wide as asked, in pixels."""
    if isinstance(content, Columns):
        return layered_chart(columns(content, width), width, fixed_height=_HEIGHT)
    if isinstance(content, NamedBars):
        rows = [
            {"name": name, "value": max(value, 0.0), "label": label}
            for name, value, label in zip(content.names, content.values, content.labels, strict=True)
        ]
        return named_bars(rows, width=width, room=_NAMES if width < NARROW else 2 * _NAMES)
    return _lorenz_curve(content, width)


def columns(content: Columns, width: int) -> list[alt.Chart]:
    """The layers of upright bars, to be put side by side with others or drawn alone."""
    pale = content.pale or [False] * len(content.values)
    step = _tick_step(max([*map(abs, content.values), 0.0]), is_money=content.currency is not None)
    lowest, highest = math.floor(min([*content.values, 0]) / step), max(math.ceil(max([*content.values, 0]) / step), 1)
    rows = [
        {"from": place + 0.08, "to": place + 0.92, "value": value / step, "strength": _PALE if is_pale else 1.0}
        for place, (value, is_pale) in enumerate(zip(content.values, pale, strict=True))
    ]
    places = _labelled(content, width)
    at = [place if content.is_histogram else place + 0.5 for place in places]
    labels = {f"{place:g}": content.labels[number] for place, number in zip(at, places, strict=True)}
    ticks = {f"{number}": _tick(number * step, content) for number in range(lowest, highest + 1)}
    base = alt.Chart(data(rows))
    bars = base.mark_bar(color=ACCENT.light, cornerRadiusTopLeft=2, cornerRadiusTopRight=2).encode(
        x=alt.X(
            "from:Q",
            title=content.title or None,
            scale=alt.Scale(domain=[0, max(len(content.values), 1)], nice=False),
            axis=plain_axis(
                values=at,
                grid=False,
                labelExpr=f"{_script(labels)}[format(datum.value, '~g')]",
                labelOverlap=False,
                labelFlush=False,
            ),
        ),
        x2="to:Q",
        y=alt.Y(
            "value:Q",
            title=None,
            scale=alt.Scale(domain=[lowest, highest], nice=False),
            axis=plain_axis(
                values=list(range(lowest, highest + 1)), grid=True, labelExpr=f"{_script(ticks)}[datum.value]"
            ),
        ),
        y2=alt.datum(0),
        fillOpacity=alt.FillOpacity("strength:Q", **AS_GIVEN),
    )
    return [bars]


def _labelled(content: Columns, width: int) -> list[int]:
    """Positions of the labels for which there is room: all, or one in so many."""
    if not content.labels:
        return []
    room = max(map(len, content.labels)) * _LETTER + _SPACE
    max_labels = max(1, (width - 60) // room)
    step = math.ceil(len(content.labels) / max_labels)
    return [place for place in range(0, len(content.labels), step) if content.labels[place]]


def _tick_step(largest: float, *, is_money: bool) -> float:
    """A round distance of ticks, whole for counts."""
    if not largest:
        return 1.0
    rough = largest / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _ROUND_STEPS if power * factor >= rough * (1 - 1e-9))
    return step if is_money else max(1.0, math.ceil(step))


def _tick(value: float, content: Columns) -> str:
    size = fmt.short_number(abs(Decimal(f"{value:.6g}")))
    return fmt.signed(value < 0, content.currency or "", size)


def _lorenz_curve(content: LorenzCurve, width: int) -> alt.LayerChart:
    rows = [{"customers": customers, "spend": spend} for customers, spend in content.points]
    equal = [{"customers": 0.0, "spend": 0.0}, {"customers": 1.0, "spend": 1.0}]
    whole = alt.Scale(domain=[0, 1], nice=False)
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            "customers:Q",
            title="Customers, from those who spend least",
            scale=whole,
            axis=plain_axis(tickCount=5, format=".0%", grid=False),
        ),
        y=alt.Y("spend:Q", title="Share of spend", scale=whole, axis=plain_axis(tickCount=5, format=".0%", grid=True)),
    )
    line = base.properties(data=data(equal))
    note = base.properties(data=data([{"customers": 0.46, "spend": 0.56}]))
    return layered_chart(
        [
            base.mark_area(color=ACCENT.light, opacity=0.14),
            line.mark_line(color=SOFT.light, strokeWidth=1, strokeDash=[4, 4]),
            base.mark_line(color=ACCENT.light, strokeWidth=2.5),
            note.mark_text(align="right", fontSize=SMALL, color=INK.light).encode(
                text=alt.value("if all spent the same")
            ),
        ],
        width,
        fixed_height=300,
    )


def _script(labels: dict[str, Any]) -> str:
    """A Vega expression for a dictionary."""
    return json.dumps(labels)
