"""The charts of the RFM grid, as Vega-Lite specifications: data in, no drawing."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from customer_segmentation.display.bars import named_bars
from customer_segmentation.display.chart_style import AS_GIVEN, TEXT, data, layered_chart, plain_axis, strength
from customer_segmentation.display.formatting import count, plain_text, share, short_money
from customer_segmentation.display.palette import ACCENT, INK, SURFACE
from customer_segmentation.features.rfm_scores import GRID_SCORES

_NAMES = 136
"""Pixels for the names of the RFM segments."""


def rfm_grid(rows: Sequence[Mapping[str, Any]], *, currency: str = "", width: int) -> alt.LayerChart:
    """Customers by recency and frequency score; under their number, their net revenue.

    rows: r_score and f_score (1 to 5, or as many as there are), customers and revenue (None where it is unknown), a row
        per cell; others are empty.
    """
    highest = max((score for row in rows for score in (row["r_score"], row["f_score"])), default=0)
    scores = range(1, max(highest, GRID_SCORES) + 1)
    cells = {(row["r_score"], row["f_score"]): row for row in rows}
    largest = max((row["customers"] for row in rows), default=0) or 1
    values = [
        {
            "r": r,
            "f": f,
            "customers": count(cell["customers"]) if cell else "0",
            "revenue": short_money(cell["revenue"], currency) if cell and cell["revenue"] is not None else "",
            "colour": ACCENT.light,
            "strength": strength(cell["customers"] / largest if cell else 0.0),
        }
        for r in scores
        for f in scores
        for cell in (cells.get((r, f)),)
    ]
    scale = alt.Scale(padding=0)
    recency, frequency = f"{scores[-1]} bought most recently", f"{scores[-1]} orders most often"
    base = alt.Chart(data(values)).encode(
        x=alt.X("r:O", title=f"Recency score: {recency}", scale=scale, axis=plain_axis(labelAngle=0)),
        y=alt.Y("f:O", title=f"Frequency score: {frequency}", sort="descending", scale=scale, axis=plain_axis()),
    )
    return layered_chart(
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


def rfm_bars(rows: Sequence[Mapping[str, Any]], *, width: int) -> alt.LayerChart:
    """Customers in each RFM segment, in number and share.

    rows: rfm_segment and customers, in the order to show.
    """
    total = sum(row["customers"] for row in rows)
    bars = [
        {
            "name": plain_text(row["rfm_segment"]) or "None",
            "value": row["customers"],
            "label": f"{count(row['customers'])} · {share(row['customers'] / total if total else None)}",
        }
        for row in rows
    ]
    return named_bars(bars, width=width, room=_NAMES)
