"""The charts of the RFM grid, as Vega-Lite specifications: data in, no drawing."""

import altair as alt

from customer_segmentation.display.bars import named_bars
from customer_segmentation.display.chart_style import (
    AS_GIVEN,
    TEXT,
    data,
    drawing,
    plain_axis,
    strength,
)
from customer_segmentation.display.formatting import count, plain_text, share, short_money
from customer_segmentation.display.palette import ACCENT, INK, SURFACE
from customer_segmentation.features.rfm import GRID_SCORES
from customer_segmentation.report.content import ReportContent

SCORES = range(1, GRID_SCORES + 1)
_NAMES = 136
"""Pixels for the names of the RFM segments."""


def rfm_grid(content: ReportContent, *, width: int) -> alt.LayerChart:
    """Customers by recency and frequency score; under their number, their net revenue."""
    cells = {(row["r_score"], row["f_score"]): row for row in content.rfm_cells}
    largest = max((row["customers"] for row in content.rfm_cells), default=0) or 1
    rows = [
        {
            "r": r,
            "f": f,
            "customers": count(cell["customers"]) if cell else "0",
            "revenue": short_money(cell["revenue"], content.currency) if cell else "",
            "colour": ACCENT.light,
            "strength": strength(cell["customers"] / largest if cell else 0.0),
        }
        for r in SCORES
        for f in SCORES
        for cell in (cells.get((r, f)),)
    ]
    scale = alt.Scale(padding=0)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("r:O", title="Recency score: 5 bought most recently", scale=scale, axis=plain_axis(labelAngle=0)),
        y=alt.Y("f:O", title="Frequency score: 5 orders most often", sort="descending", scale=scale, axis=plain_axis()),
    )
    return drawing(
        [
            base.mark_rect(stroke=SURFACE.light, strokeWidth=2, cornerRadius=4).encode(
                color=alt.Color("colour:N", **AS_GIVEN), fillOpacity=alt.FillOpacity("strength:Q", **AS_GIVEN)
            ),
            base.mark_text(dy=-7, fontSize=TEXT, fontWeight=600, color=INK.light).encode(text="customers:N"),
            base.mark_text(dy=9, fontSize=11, color=INK.light).encode(text="revenue:N"),
        ],
        width,
        fixed_height=width - 30,
    )


def rfm_bars(content: ReportContent, *, width: int) -> alt.LayerChart:
    """Customers in each RFM segment, in number and share."""
    ranked = content.ranked_rfm_segments
    total = sum(row["customers"] for row in ranked)
    rows = [
        {
            "name": plain_text(row["rfm_segment"]) or "None",
            "value": row["customers"],
            "label": f"{count(row['customers'])} · {share(row['customers'] / total if total else None)}",
        }
        for row in ranked
    ]
    return named_bars(rows, width=width, room=_NAMES)
