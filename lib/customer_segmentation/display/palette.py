"""The colours of pages and charts, in light and in dark, each declared once.

Charts are drawn in the light ones; the page's style sheet replaces them where the reader prefers dark.
The segments' colours stay at least .09 apart in OKLab for normal sight and simulated colour blindness
(Machado et al. 2009), and 3:1 against the surface they lie on.
"""

from dataclasses import dataclass

from customer_segmentation.contract.columns import NOISE_ID


@dataclass(frozen=True)
class Tone:
    """A colour as sRGB hex, with its name in the style sheet."""

    name: str
    light: str
    dark: str


PAGE = Tone("page", "#f6f5f2", "#131519")
SURFACE = Tone("surface", "#ffffff", "#1b1e24")
INK = Tone("ink", "#1c2127", "#e7e9ec")
SOFT = Tone("soft", "#59616b", "#a5adb8")
RULE = Tone("rule", "#e2e0da", "#31363e")
ACCENT = Tone("accent", "#2a7f86", "#57b9c0")
ABOVE = Tone("above", "#1f6fb2", "#5aa9ea")
BELOW = Tone("below", "#c8641b", "#ef9a55")
NOISE = Tone("noise", "#8b9098", "#7d838c")

SEGMENTS: tuple[Tone, ...] = (
    Tone("segment-0", "#4258bd", "#5067bf"),
    Tone("segment-1", "#cc7b49", "#936422"),
    Tone("segment-2", "#175437", "#41ab53"),
    Tone("segment-3", "#b03d78", "#f796ae"),
    Tone("segment-4", "#806512", "#c5c54e"),
    Tone("segment-5", "#682f81", "#ba80ea"),
    Tone("segment-6", "#4181d2", "#7bc8f5"),
)

TONES: tuple[Tone, ...] = (PAGE, SURFACE, INK, SOFT, RULE, ACCENT, ABOVE, BELOW, NOISE, *SEGMENTS)


def segment_tone(segment_id: int) -> Tone:
    """The colour of a segment: the same in every chart, card and run.

    There are seven; with more segments they repeat, which is why a name always stands beside a colour.
    """
    return NOISE if segment_id == NOISE_ID else SEGMENTS[segment_id % len(SEGMENTS)]
