"""Horizontal bars, each between its name and its figures, as a Vega-Lite specification: data in, no drawing."""

from typing import Any

import altair as alt

from customer_segmentation.display.chart_style import SMALL, data, layered_chart, names_axis
from customer_segmentation.display.palette import ACCENT, INK

_LABEL = 100
"""Pixels for the figures at the end of a bar."""
_ROW = 35


def named_bars(rows: list[dict[str, Any]], *, width: int, room: int) -> alt.LayerChart:
    """A bar a row, in the rows' order.

    Args:
        rows: `name`, distinct; `value`, 0 or more; `label`, what stands at the end of the bar.
        width: of the whole drawing, in pixels.
        room: pixels for the names.
    """
    largest = max((row["value"] for row in rows), default=0) or 1
    across = width - room
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(
            "name:N",
            sort=[row["name"] for row in rows],
            title=None,
            axis=names_axis(room),
            scale=alt.Scale(paddingInner=0.42, paddingOuter=0.1),
        ),
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, largest * across / (across - _LABEL)], nice=False)),
    )
    return layered_chart(
        [
            base.mark_bar(color=ACCENT.light, cornerRadiusEnd=2),
            base.mark_text(align="left", dx=6, fontSize=SMALL, color=INK.light).encode(text="label:N"),
        ],
        width,
        _ROW,
    )
