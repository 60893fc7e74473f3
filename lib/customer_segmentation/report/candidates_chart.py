"""The numbers of segments that were tried, as a Vega-Lite specification: data in, no drawing."""

from typing import Any

import altair as alt

from customer_segmentation.display.chart_style import AS_GIVEN, SMALL, TEXT, data, layered_chart, plain_axis
from customer_segmentation.display.formatting import known
from customer_segmentation.display.palette import ACCENT, INK, SOFT, SURFACE
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.model_quality import candidates

_NAMES = 66
"""Pixels for the lines' names at their ends."""
_MIN_DISTANCE = 0.075
"""Least distance of two names, as a share of the height."""
_LINES = (
    ("agreement", 2.5, ACCENT, "Agreement"),
    ("separation", 1.5, SOFT, "Separation"),
    ("silhouette", 1.5, SOFT, "Silhouette"),
)


def candidates_chart(content: ReportContent, *, width: int) -> alt.LayerChart:
    """Agreement, separation and silhouette of every number of segments that was tried, the chosen one marked."""
    tried = [row for row in candidates(content) if row.get("algorithm") == content.model["algorithm"]]
    rows: list[dict[str, Any]] = [
        {"line": name, "k": row["k"], "value": float(row[column]), "colour": tone.light, "width": thick}
        for column, thick, tone, name in _LINES
        for row in tried
        if known(row.get(column))
    ]
    ks = [row["k"] for row in tried]
    lowest = min([0.0, *(row["value"] for row in rows)])
    ends = _without_overlap(
        [row for i, row in enumerate(rows) if i + 1 == len(rows) or rows[i + 1]["line"] != row["line"]], lowest
    )
    room = (max(ks) - min(ks) or 1) * _NAMES / (width - _NAMES - 60)
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            "k:Q",
            title="Number of segments",
            scale=alt.Scale(domain=[min(ks) - room / 8, max(ks) + room], nice=False),
            axis=plain_axis(values=ks, format="d", grid=False, labelOverlap=True),
        ),
        y=alt.Y(
            "value:Q",
            title=None,
            scale=alt.Scale(domain=[lowest, 1.0], nice=False, padding=8),
            axis=plain_axis(tickCount=5, format=".1f", grid=True),
        ),
        color=alt.Color("colour:N", **AS_GIVEN),
        detail="line:N",
    )
    chosen = [row for row in rows if row["k"] == content.model["k"]]
    mark = base.properties(data=data(chosen))
    top = max((row["value"] for row in chosen), default=1.0)
    label = base.properties(
        data=data([{"k": content.model["k"], "value": top, "label": f"{content.model['k']} chosen"}])
    )
    return layered_chart(
        [
            base.mark_line().encode(strokeWidth=alt.StrokeWidth("width:Q", **AS_GIVEN)),
            mark.mark_point(fill=SURFACE.light, size=60, strokeWidth=2, opacity=1),
            label.mark_text(dy=-14, fontSize=TEXT, fontWeight=600, color=INK.light).encode(
                text="label:N", color=alt.value(INK.light)
            ),
            base.properties(data=data(ends))
            .mark_text(align="left", dx=8, fontSize=SMALL)
            .encode(text="line:N", y=alt.Y("at:Q")),
        ],
        width,
        fixed_height=270,
    )


def _without_overlap(ends: list[dict[str, Any]], lowest: float) -> list[dict[str, Any]]:
    """The ends of the lines with a height for their names at which no two overlap."""
    distance, placed = _MIN_DISTANCE * (1.0 - lowest), []
    below = lowest - distance
    for row in sorted(ends, key=lambda row: row["value"]):
        below = max(row["value"], below + distance)
        placed.append({**row, "at": below})
    return placed
