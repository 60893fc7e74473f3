"""The charts of the segments, as Vega-Lite specifications: data in, no drawing.

Widths are those of the whole drawing in pixels. Every figure is formatted before it gets here, so that a chart
and the table beside it say the same.
"""

import textwrap
from typing import Any

import altair as alt

from customer_segmentation.display.chart_style import (
    AS_GIVEN,
    NARROW,
    SMALL,
    band_names,
    data,
    drawing,
    name_room,
    names_axis,
    strength,
)
from customer_segmentation.display.formatting import effect, feature_name, known, share
from customer_segmentation.display.palette import ABOVE, BELOW, INK, SOFT, SURFACE, segment_tone
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.effects import profile_effects, profile_features

_PALE = 0.3
_FULL_COLOUR_AT = 2.0
"""Standard deviations from which a cell of the heat map gets no stronger."""
_READABLE_CELL = 40
_HEAD_ROOM = 76
"""Pixels across from which a feature's words stand one below the other, not on their side."""
_LINE = 15
"""Pixels from one of these words to the next."""


def shares_chart(content: ReportContent, *, width: int) -> alt.LayerChart:
    """Share of customers (pale, outlined) against share of net revenue (full) per segment, segments by value."""
    names = content.names
    narrow = width < NARROW
    rows: list[dict[str, Any]] = [
        {
            "name": names[row["segment_id"]],
            "slot": slot,
            "share": value,
            "label": share(row[column]),
            "label_at": max(value, 0.0),
            "colour": segment_tone(row["segment_id"]).light,
            "strength": strength_of_bar,
        }
        for row in content.by_value
        for slot, column, strength_of_bar in (("customers", "customer_share", _PALE), ("revenue", "revenue_share", 1.0))
        for value in (float(row[column]) if known(row[column]) else 0.0,)
    ]
    ends = [row["share"] for row in rows]
    lowest, highest = min(0.0, *ends), max(0.0, *ends) or 1.0
    room_for_label = (highest - lowest) * 60 / (width - name_room(width))
    across = alt.Scale(domain=[lowest, highest + room_for_label], nice=False)
    slots = [*(("name",) if narrow else ()), "customers", "revenue"]
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(
            "name:N",
            sort=_order(content),
            title=None,
            axis=None if narrow else names_axis(name_room(width)),
            scale=alt.Scale(paddingInner=0.3, paddingOuter=0.1),
        ),
        yOffset=alt.YOffset("slot:N", sort=slots, scale=alt.Scale(domain=slots, paddingInner=0.12)),
    )
    bars = base.mark_bar(cornerRadiusEnd=2, strokeWidth=1).encode(
        x=alt.X("share:Q", axis=None, scale=across),
        fill=alt.Fill("colour:N", **AS_GIVEN),
        stroke=alt.Stroke("colour:N", **AS_GIVEN),
        fillOpacity=alt.FillOpacity("strength:Q", **AS_GIVEN),
    )
    labels = base.mark_text(align="left", dx=6, fontSize=SMALL, color=INK.light).encode(
        x=alt.X("label_at:Q", scale=across), text="label:N"
    )
    layers = [bars, labels, *([band_names(base, _order(content), width)] if narrow else [])]
    return drawing(layers, width, 68 if narrow else 50)


def profile_width(content: ReportContent, *, width: int) -> int:
    """Width that the heat map needs to stay readable: at least the given one."""
    return max(width, name_room(width) + _READABLE_CELL * len(profile_features(content)))


def profile_chart(content: ReportContent, *, width: int, narrow: bool = False) -> alt.LayerChart:
    """Segments by features: standard deviations above (blue) or below (orange) the customers overall.

    narrow: for a small screen, with each name above its row.
    """
    room = 0 if narrow else name_room(width)
    names = content.names
    features = profile_features(content)
    on_side = (width - room) / len(features) < _HEAD_ROOM
    heads = _heads([feature_name(name) for name in features], on_side=on_side)
    rows = [
        {
            "name": names[cell.segment_id],
            "slot": "cell",
            "feature": heads[features.index(cell.feature)],
            "label": effect(cell.effect),
            "colour": (ABOVE if (cell.effect or 0) > 0 else BELOW).light,
            "strength": strength(abs(cell.effect or 0) / _FULL_COLOUR_AT),
        }
        for cell in profile_effects(content)
    ]
    axis = alt.Axis(
        orient="top",
        title=None,
        domain=False,
        ticks=False,
        labelFontSize=SMALL,
        labelColor=SOFT.light,
        labelLimit=150,
        labelAngle=-90 if on_side else 0,
        labelAlign="left" if on_side else "center",
        labelBaseline="middle" if on_side else "alphabetic",
        labelLineHeight=_LINE,
        labelExpr=r"split(datum.value, '\n')",
        labelPadding=8 + _LINE * (heads[0].count("\n")),
    )
    slots = ["name", "cell"] if narrow else ["cell"]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("feature:N", sort=heads, axis=axis, scale=alt.Scale(padding=0)),
        y=alt.Y(
            "name:N",
            sort=_order(content),
            title=None,
            axis=None if narrow else names_axis(room),
            scale=alt.Scale(padding=0),
        ),
        yOffset=alt.YOffset("slot:N", sort=slots, scale=alt.Scale(domain=slots, padding=0)),
    )
    cells = base.mark_rect(stroke=SURFACE.light, strokeWidth=2, cornerRadius=4).encode(
        color=alt.Color("colour:N", **AS_GIVEN), fillOpacity=alt.FillOpacity("strength:Q", **AS_GIVEN)
    )
    figures = base.mark_text(fontSize=SMALL, color=INK.light).encode(text="label:N")
    layers = [cells, figures, *([band_names(base, _order(content), width)] if narrow else [])]
    return drawing(layers, width, 58 if narrow else 38)


def _order(content: ReportContent) -> list[str]:
    names = content.names
    return [names[row["segment_id"]] for row in content.by_value]


def _heads(names: list[str], *, on_side: bool) -> list[str]:
    """The names over the columns: a line each on their side, else wrapped to equally many lines, ending level."""
    if on_side:
        return names
    wrapped = [textwrap.wrap(name, 13, break_long_words=False) for name in names]
    lines = max(len(words) for words in wrapped)
    return ["\n".join([""] * (lines - len(words)) + words) for words in wrapped]
