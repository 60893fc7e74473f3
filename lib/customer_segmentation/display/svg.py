"""Turns a chart into an SVG element that scales with the page and lies safely within it."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import altair as alt
import vl_convert  # noqa: F401  Altair looks for it only when it draws; if missing, it shall be missed here.
from markupsafe import Markup

WIDE = 956
HALF = 436
PHONE = 316
"""Widths, in CSS pixels, that a page's full column, half of it, and a phone have room for."""

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset({"svg", "g", "path", "line", "rect", "circle", "text", "tspan"})
_ATTRIBUTES = frozenset(
    {
        "viewBox",
        "transform",
        "d",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "dx",
        "dy",
        "r",
        "width",
        "height",
        "fill",
        "fill-opacity",
        "stroke",
        "stroke-width",
        "stroke-opacity",
        "stroke-dasharray",
        "opacity",
        "text-anchor",
        "font-size",
        "font-weight",
    }
)


@dataclass(frozen=True)
class Drawing:
    """A drawing, and the one that takes its place on a small screen."""

    drawn: Markup
    narrow: Markup


def drawing_pair(chart: Callable[[int], alt.LayerChart], label: str, width: int) -> Drawing:
    """A chart in this width and in a phone's; `label` says it to who can't see it."""
    return Drawing(svg(chart(width), label), svg(chart(PHONE), label))


def svg(chart: alt.LayerChart, label: str, *, at_least: int = 0) -> Markup:
    """The chart as an SVG element, as wide as what holds it; `label` says it to who can't see it.

    at_least: pixels under which it gets no narrower, and scrolls instead.

    Keeps the elements and attributes that draw, in the page's own font, and nothing else: no ids, no links.
    """
    drawn = io.StringIO()
    chart.save(drawn, format="svg")
    root = ElementTree.fromstring(drawn.getvalue())  # noqa: S314  drawn by Altair just now
    _tidy(root)
    width = float(root.attrib.pop("width"))
    del root.attrib["height"]
    root.attrib.update({"role": "img", "aria-label": label, "style": f"min-width:{at_least}px;max-width:{width:.0f}px"})
    if at_least:
        root.set("class", "scrolls")
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  escaped by ElementTree


def _tidy(element: ElementTree.Element) -> None:
    for child in list(element):
        if _draws(child):
            _tidy(child)
        else:
            element.remove(child)
    for name in set(element.attrib) - _ATTRIBUTES:
        del element.attrib[name]
    element.tag = element.tag.removeprefix(_NAMESPACE)


def _draws(element: ElementTree.Element) -> bool:
    known = element.tag.removeprefix(_NAMESPACE) in _ELEMENTS
    hidden = element.get("display") == "none" or element.get("opacity") == "0"
    frame = element.get("class") in ("background", "foreground") and element.get("fill") is None
    return known and not hidden and not frame
