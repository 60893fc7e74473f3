"""The charts of an exploration, as Vega-Lite specifications: data in, no drawing."""

import json
import math
from decimal import Decimal
from typing import Any

import altair as alt

from customer_segmentation.display import formatting as w
from customer_segmentation.display.bars import named_bars
from customer_segmentation.display.chart_style import AS_GIVEN, NARROW, SMALL, data, drawing, plain_axis
from customer_segmentation.display.palette import ACCENT, INK, SOFT
from customer_segmentation.explore.buckets import shortly
from customer_segmentation.explore.panels import Chart, LorenzCurve, NamedBars, UprightBars

_PALE = 0.4
_HEIGHT = 230
_NAMES = 136
_LETTER = 7
_BETWEEN = 14
"""Pixels of a letter of a label, and between two labels."""
_TICKS = 4
_ROUND_STEPS = (1, 2, 2.5, 5, 10)


def chart(of: Chart, width: int) -> alt.LayerChart:
    """The chart, as wide as asked, in pixels."""
    if isinstance(of, UprightBars):
        return _upright_bars(of, width)
    if isinstance(of, NamedBars):
        rows = [
            {"name": name, "value": max(value, 0.0), "label": label}
            for name, value, label in zip(of.names, of.values, of.labels, strict=True)
        ]
        return named_bars(rows, width=width, room=_NAMES if width < NARROW else 2 * _NAMES)
    return _lorenz_curve(of, width)


def _upright_bars(of: UprightBars, width: int) -> alt.LayerChart:
    pale = of.pale or [False] * len(of.values)
    step = _tick_step(max([*map(abs, of.values), 0.0]), is_money=of.is_money)
    lowest, highest = math.floor(min([*of.values, 0]) / step), max(math.ceil(max([*of.values, 0]) / step), 1)
    rows = [
        {"from": place + 0.08, "to": place + 0.92, "value": value / step, "strength": _PALE if faint else 1.0}
        for place, (value, faint) in enumerate(zip(of.values, pale, strict=True))
    ]
    places = _labelled(of, width)
    at = [place if of.is_histogram else place + 0.5 for place in places]
    told = {f"{place:g}": of.labels[number] for place, number in zip(at, places, strict=True)}
    ticks = {f"{number}": _tick(number * step, of) for number in range(lowest, highest + 1)}
    base = alt.Chart(data(rows))
    bars = base.mark_bar(color=ACCENT.light, cornerRadiusTopLeft=2, cornerRadiusTopRight=2).encode(
        x=alt.X(
            "from:Q",
            title=of.across or None,
            scale=alt.Scale(domain=[0, max(len(of.values), 1)], nice=False),
            axis=plain_axis(
                values=at,
                grid=False,
                labelExpr=f"{_script(told)}[format(datum.value, '~g')]",
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
    return drawing([bars], width, fixed_height=_HEIGHT)


def _labelled(of: UprightBars, width: int) -> list[int]:
    """Which labels there is room for: every one, or every so many."""
    if not of.labels:
        return []
    room = max(map(len, of.labels)) * _LETTER + _BETWEEN
    fitting = max(1, (width - 60) // room)
    every = math.ceil(len(of.labels) / fitting)
    return [place for place in range(0, len(of.labels), every) if of.labels[place]]


def _tick_step(most: float, *, is_money: bool) -> float:
    """A round distance of ticks, whole for counts."""
    if not most:
        return 1.0
    rough = most / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _ROUND_STEPS if power * factor >= rough * (1 - 1e-9))
    return step if is_money else max(1.0, math.ceil(step))


def _tick(value: float, of: UprightBars) -> str:
    size = shortly(abs(Decimal(f"{value:.6g}")))
    return w.signed(value < 0, of.currency if of.is_money else "", size)


def _lorenz_curve(of: LorenzCurve, width: int) -> alt.LayerChart:
    rows = [{"customers": customers, "spend": spend} for customers, spend in of.points]
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
    return drawing(
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
    """A Vega expression for a look-up."""
    return json.dumps(labels)
