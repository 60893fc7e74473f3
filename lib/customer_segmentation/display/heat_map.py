"""A heat map with values in its cells, as a Vega-Lite specification: data in, no drawing."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from customer_segmentation.display.chart_style import (
    AS_GIVEN,
    SMALL,
    TYPICAL_FONT,
    band_names,
    data,
    layered_chart,
    name_room,
    names_axis,
    strength,
    text_room,
)
from customer_segmentation.display.palette import ABOVE, BELOW, INK, SOFT, SURFACE

READABLE_CELL = 40
"""Pixels across under which the value in a cell can't be read."""
_UPRIGHT_HEADING = 76
"""Pixels across from which the words of a heading stand one below the other, not on their side."""
_LONGEST_HEADING = 160
"""Pixels for a heading on its side; longer ones are cut."""
_LINE = 15
"""Pixels from one of these words to the next."""


@dataclass(frozen=True)
class Cell:
    """A cell by the names of its row and column; the colour is that of the value's sign, None is empty.

    label: the value, formatted.
    """

    row: str
    column: str
    value: float | None
    label: str


def heat_map(
    cells: Sequence[Cell], *, rows: list[str], width: int, full_at: float, narrow: bool = False
) -> alt.LayerChart:
    """Rows by columns, blue above 0 and orange below.

    Args:
        cells: row by row; names of rows and of columns are distinct.
        rows: the names of the rows from top to bottom.
        width: of the whole drawing, in pixels.
        full_at: size of a value from which the colour gets no stronger.
        narrow: for a small screen, with each row's name above it.
    """
    room = 0 if narrow else name_room(width, rows)
    columns = list(dict.fromkeys(cell.column for cell in cells))
    on_side = (width - room) / len(columns) < _UPRIGHT_HEADING
    headings = dict(zip(columns, _headings(columns, on_side=on_side), strict=True))
    values = [
        {
            "name": cell.row,
            "slot": "cell",
            "column": headings[cell.column],
            "label": cell.label,
            "colour": (ABOVE if (cell.value or 0) > 0 else BELOW).light,
            "strength": strength(abs(cell.value or 0) / full_at),
        }
        for cell in cells
    ]
    axis = alt.Axis(
        orient="top",
        title=None,
        domain=False,
        ticks=False,
        labelFontSize=SMALL,
        labelColor=SOFT.light,
        labelLimit=_LONGEST_HEADING * TYPICAL_FONT,
        minExtent=text_room(headings.values(), most=_LONGEST_HEADING) if on_side else 0,
        labelAngle=-90 if on_side else 0,
        labelAlign="left" if on_side else "center",
        labelBaseline="middle" if on_side else "alphabetic",
        labelLineHeight=_LINE,
        labelExpr=r"split(datum.value, '\n')",
        labelPadding=8 + _LINE * headings[columns[0]].count("\n"),
    )
    slots = ["name", "cell"] if narrow else ["cell"]
    base = alt.Chart(data(values)).encode(
        x=alt.X("column:N", sort=list(headings.values()), axis=axis, scale=alt.Scale(padding=0)),
        y=alt.Y("name:N", sort=rows, title=None, axis=None if narrow else names_axis(room), scale=alt.Scale(padding=0)),
        yOffset=alt.YOffset("slot:N", sort=slots, scale=alt.Scale(domain=slots, padding=0)),
    )
    rectangles = base.mark_rect(stroke=SURFACE.light, strokeWidth=2, cornerRadius=4).encode(
        color=alt.Color("colour:N", **AS_GIVEN), fillOpacity=alt.FillOpacity("strength:Q", **AS_GIVEN)
    )
    labels = base.mark_text(fontSize=SMALL, color=INK.light).encode(text="label:N")
    layers = [rectangles, labels, *([band_names(base, rows, width)] if narrow else [])]
    return layered_chart(layers, width, 58 if narrow else 38)


def _headings(names: list[str], *, on_side: bool) -> list[str]:
    """The names over the columns: a line each on their side, else wrapped to equally many lines, ending level."""
    if on_side:
        return names
    wrapped = [textwrap.wrap(name, 13, break_long_words=False) for name in names]
    lines = max(len(words) for words in wrapped)
    return ["\n".join([""] * (lines - len(words)) + words) for words in wrapped]
