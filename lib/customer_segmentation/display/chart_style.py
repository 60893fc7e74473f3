"""What all charts have in common: sizes, axes, background."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import altair as alt

from customer_segmentation.display.palette import INK, RULE, SOFT

TEXT = 13
SMALL = 12
NARROW = 500
"""Drawings under this width put names above what they name instead of beside it."""

_FAINTEST, _STRONGEST = 0.05, 0.52
"""Opacity of a cell's colour; text on the strongest still has a contrast of 4.5:1."""

TYPICAL_FONT = 0.82
"""Text is measured in one font and shown in the reader's, which may be this much wider."""

_USUAL_ROOM = 200
_LETTER = 7.0
"""Pixels of a letter on the mean."""

AS_GIVEN: dict[str, Any] = {"scale": None, "legend": None}
"""For a channel whose values are colours or opacities themselves."""


def strength(part: float) -> float:
    """Opacity of a cell that holds this part, 0 to 1, of what would fill it."""
    return round(_FAINTEST + (_STRONGEST - _FAINTEST) * min(max(part, 0.0), 1.0), 3)


def name_room(width: int, names: Sequence[str] = ()) -> int:
    """Pixels for the names at the left of a drawing: for the longest, where that leaves two fifths of the width."""
    if width < NARROW:
        return 0
    return max(_USUAL_ROOM, text_room(names, most=width * 3 // 5))


def text_room(texts: Iterable[str], *, most: int) -> int:
    """Pixels for the longest of the texts in any reader's font, and not more than `most`."""
    longest = max(map(len, texts), default=0)
    return min(most, math.ceil(longest * _LETTER / TYPICAL_FONT))


def data(rows: list[dict[str, Any]]) -> alt.InlineData:
    """The rows as they are, whatever Altair is set to do with data elsewhere."""
    return alt.InlineData(values=rows)


def names_axis(room: int) -> alt.Axis:
    """Names at the left, flush, in so many pixels; longer ones are cut."""
    return alt.Axis(
        domain=False,
        ticks=False,
        minExtent=room,
        maxExtent=room,
        labelAlign="left",
        labelPadding=room,
        labelLimit=room * TYPICAL_FONT,
        labelFontSize=TEXT,
        labelColor=INK.light,
    )


def band_names(base: alt.Chart, names: list[str], width: int) -> alt.Chart:
    """Names above what they name, in the slot `name` of the chart's bands."""
    heads = [{"name": name, "slot": "name"} for name in names]
    drawn: alt.Chart = (
        base.properties(data=data(heads))
        .mark_text(
            align="left",
            baseline="middle",
            dy=-1,
            fontSize=TEXT,
            fontWeight=600,
            color=INK.light,
            limit=width * TYPICAL_FONT,
        )
        .encode(x=alt.value(0), text="name:N")
    )
    return drawn


def plain_axis(**options: Any) -> alt.Axis:
    """Figures and a title, without lines or ticks of its own; an option takes the place of ours."""
    ours: dict[str, Any] = {
        "domain": False,
        "ticks": False,
        "labelPadding": 8,
        "labelFontSize": SMALL,
        "labelColor": SOFT.light,
        "titleColor": SOFT.light,
        "titleFontSize": SMALL,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "gridColor": RULE.light,
    }
    return alt.Axis(**(ours | options))


def layered_chart(
    layers: list[alt.Chart], width: int, row_height: int | None = None, *, fixed_height: int | None = None
) -> alt.LayerChart:
    """The layers on a transparent ground, as wide as asked, axes and all.

    As high as its rows of names need, or as asked, axes and all.
    """
    fit: Literal["fit-x", "fit"] = "fit-x" if fixed_height is None else "fit"
    rows = alt.Step(step=row_height, **{"for": "position"}) if row_height is not None else alt.Undefined
    drawn: alt.LayerChart = (
        alt.layer(*layers)
        .properties(
            width=width,
            height=rows if fixed_height is None else fixed_height,
            background="transparent",
            padding={"left": 0, "right": 0, "top": 2, "bottom": 2},
            autosize=alt.AutoSizeParams(type=fit, contains="padding"),
        )
        .configure(aria=False)
        .configure_view(stroke=None)
    )
    return drawn
