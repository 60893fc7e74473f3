"""The charts of the segments, as Vega-Lite specifications: data in, no drawing.

Widths are those of the whole drawing in pixels. Every figure is formatted before it gets here, so that a chart
and the table beside it say the same.
"""

from typing import Any

import altair as alt

from customer_segmentation.display.chart_style import (
    AS_GIVEN,
    NARROW,
    SMALL,
    band_names,
    data,
    layered_chart,
    name_room,
    names_axis,
)
from customer_segmentation.display.formatting import effect, feature_name, known, share
from customer_segmentation.display.heat_map import READABLE_CELL, Cell, heat_map
from customer_segmentation.display.palette import INK, segment_tone
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.effects import profile_effects, profile_features

_PALE = 0.3
_FULL_COLOUR_AT = 2.0
"""Standard deviations from which a cell of the heat map gets no stronger."""


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
    room = name_room(width, list(names.values()))
    room_for_label = (highest - lowest) * 60 / (width - room)
    across = alt.Scale(domain=[lowest, highest + room_for_label], nice=False)
    slots = [*(("name",) if narrow else ()), "customers", "revenue"]
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(
            "name:N",
            sort=_order(content),
            title=None,
            axis=None if narrow else names_axis(room),
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
    return layered_chart(layers, width, 68 if narrow else 50)


def profile_width(content: ReportContent, *, width: int) -> int:
    """Width that the heat map needs to stay readable: at least the given one."""
    room = name_room(width, list(content.names.values()))
    return max(width, room + READABLE_CELL * len(profile_features(content)))


def profile_chart(content: ReportContent, *, width: int, narrow: bool = False) -> alt.LayerChart:
    """Segments by features: standard deviations above (blue) or below (orange) the customers overall.

    narrow: for a small screen, with each name above its row.
    """
    names = content.names
    cells = [
        Cell(names[each.segment_id], feature_name(each.feature), each.effect, effect(each.effect))
        for each in profile_effects(content)
    ]
    return heat_map(cells, rows=_order(content), width=width, full_at=_FULL_COLOUR_AT, narrow=narrow)


def _order(content: ReportContent) -> list[str]:
    names = content.names
    return [names[row["segment_id"]] for row in content.by_value]
