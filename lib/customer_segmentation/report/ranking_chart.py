"""The scores of a backtest with their intervals, as a Vega-Lite specification: data in, no drawing."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from customer_segmentation.backtest.scores import PAST_SPEND
from customer_segmentation.display.chart_style import (
    AS_GIVEN,
    NARROW,
    SMALL,
    band_names,
    data,
    layered_chart,
    name_room,
    names_axis,
    plain_axis,
)
from customer_segmentation.display.palette import ACCENT, BELOW, INK, RULE, SOFT
from customer_segmentation.report.ranking import BETTER, WORSE, RankedScore

_COLOURS = {WORSE: BELOW, BETTER: ACCENT}


def ranking_chart(scores: Sequence[RankedScore], *, width: int) -> alt.LayerChart:
    """The Gini coefficient of each score with its interval, the best first; a line marks that of past spend."""
    narrow, titles = width < NARROW, [score.title for score in scores]
    rows: list[dict[str, Any]] = [
        {
            "name": score.title,
            "slot": "score",
            "low": score.low,
            "value": score.gini,
            "high": score.high,
            "label": f"{score.gini:.3f}",
            "colour": _COLOURS.get(score.comparison, SOFT).light,
        }
        for score in scores
    ]
    past = [{"value": score.gini} for score in scores if score.name == PAST_SPEND]
    lowest, highest = min([0.0, *(row["low"] for row in rows)]), max(row["high"] for row in rows)
    room = name_room(width, titles)
    scale = alt.Scale(domain=[lowest, highest + (highest - lowest) * 60 / (width - room)], nice=False)
    slots = ["name", "score"] if narrow else ["score"]
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("name:N", sort=titles, title=None, axis=None if narrow else names_axis(room)),
        yOffset=alt.YOffset("slot:N", sort=slots, scale=alt.Scale(domain=slots)),
        color=alt.Color("colour:N", **AS_GIVEN),
    )
    axis = plain_axis(tickCount=5, format=".1f", grid=True)
    across = alt.X("value:Q", title="Gini coefficient, 1 is the best ranking there is", scale=scale, axis=axis)
    layers = [
        alt.Chart(data(past)).mark_rule(color=RULE.light, strokeWidth=2).encode(x=across),
        base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_point(size=70, filled=True, opacity=1).encode(x=across),
        base.mark_text(align="left", dx=8, fontSize=SMALL).encode(
            x=alt.X("high:Q", scale=scale), text="label:N", color=alt.value(INK.light)
        ),
    ]
    return layered_chart([*layers, *([band_names(base, titles, width)] if narrow else [])], width, 48 if narrow else 34)
