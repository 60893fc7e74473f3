"""Figures in the words and digits of people, the same on the page and on the terminal.

Whatever can be missing may be None or NaN and reads as a dash.
"""

import math
import unicodedata
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeGuard

from customer_segmentation.contract.features import FEATURE_BY_NAME

Number = int | float | Decimal

NOTHING = "–"
CENTS_BELOW = 100
"""Amounts from here on are told without cents."""

# Hennig (2007), Cluster-wise assessment of cluster stability: bounds of the mean Jaccard index.
UNSTABLE_BELOW = 0.60
DOUBTFUL_BELOW = 0.75
STABLE_UP_TO = 0.85
STABILITY = ("not measured", "unstable", "doubtful", "stable", "highly stable")
"""The words of `stability`, from none to the best."""

SMALL_EFFECT = 0.2
"""Standard deviations under which a difference is too small for words (Cohen 1988)."""

_BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MOST_DIGITS = 3


def plain(value: object) -> str:
    """The value as one line of text: no control characters, no overrides of the writing direction."""
    text = "" if value is None else str(value)
    kept = (
        " " if unicodedata.category(letter) == "Cc" else letter
        for letter in text
        if letter not in _BIDI_CONTROLS and unicodedata.category(letter) != "Cs"
    )
    return " ".join("".join(kept).split())


def words(code: object) -> str:
    """A name from the data or the code, such as `missing_customer`, as words."""
    return plain(str(code).replace("_", " "))


def sentence(text: str) -> str:
    """The text with its first letter in upper case, the others as they are."""
    return text[:1].upper() + text[1:]


def known(value: Any) -> TypeGuard[Number]:
    """Whether the value is a finite number."""
    return value is not None and math.isfinite(value)


def telling(row: Mapping[str, Any], most: int) -> list[Mapping[str, Any]]:
    """The differentiators of a segment that are worth words, at most so many, strongest first."""
    found = (told for told in row["differentiators"] or () if known(told["effect"]))
    return [told for told in found if abs(told["effect"]) >= SMALL_EFFECT][:most]


def count(value: Number | None) -> str:
    """12345 as 12,345."""
    return f"{value:,.0f}" if known(value) else NOTHING


def accounted(lines: Number, accepted: Number, refused: Number, left_out: Number, *, of: str = "lines") -> str:
    """What became of the lines (or rows) read, as a sum; what a filter leaves out only where something is left out."""
    policy = f" + {count(left_out)} filtered out (left out by `where`)" if left_out else ""
    return f"{count(lines)} {of} in = {count(accepted)} accepted + {count(refused)} rejected{policy}"


def share(value: Number | None, digits: int = 1) -> str:
    """A share of 1 in percent: .4521 as 45.2%. What isn't nothing or all is never told as 0% or 100%."""
    if value is None or not known(value):
        return NOTHING
    percent = 100 * float(value)
    least = 10.0**-digits
    if 0 < abs(percent) < least / 2:
        return f"{'-' if percent < 0 else ''}<{least:g}%"
    if percent < 100 and f"{percent:.{digits}f}" == f"{100:.{digits}f}":
        return f">{100 - least:g}%"
    return f"{percent:.{digits}f}%" if percent not in (0, 100) else f"{percent:.0f}%"


def money(value: Number | None, currency: str = "") -> str:
    """An amount after its currency: 1234.56 as €1,235, 12.5 as €12.50."""
    if value is None or not known(value):
        return NOTHING
    size = _size(value)
    return signed(value < 0, currency, f"{size:,.{0 if size >= CENTS_BELOW or size == 0 else 2}f}")


def short_money(value: Number | None, currency: str = "") -> str:
    """An amount in three digits, for where there is little room: 1234567 as €1.23M, 12345 as €12.3k."""
    if value is None or not known(value):
        return NOTHING
    size = float(_size(value))
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        scaled = size / unit
        if scaled >= 0.9995:
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return signed(value < 0, currency, f"{scaled:.{digits}f}{letter}")
    return signed(value < 0, currency, f"{size:,.0f}")


def _size(value: Number) -> Number:
    return -value if value < 0 else value


def signed(negative: bool, currency: str, digits: str) -> str:
    """Digits after their sign and currency; one that is a code stands apart."""
    gap = " " if currency[-1:].isalpha() else ""
    return f"{'-' if negative else ''}{plain(currency)}{gap}{digits}"


def day(value: object) -> str:
    """A date as 31 December 2017; what is no date as it comes."""
    return f"{value.day} {value:%B} {value.year}" if isinstance(value, date) else plain(value) or NOTHING


def effect(value: Number | None) -> str:
    """A difference in standard deviations, with its sign: 1.234 as +1.2."""
    if value is None or not known(value):
        return NOTHING
    return f"{value:+.1f}" if _size(value) >= 0.05 else "0.0"


def figure(value: Number | None, digits: int = 3) -> str:
    """A figure of unknown size: small ones with decimals, large ones with separators."""
    if value is None or not known(value):
        return NOTHING
    return count(value) if _size(value) >= 1_000 or value == int(value) else f"{value:,.{digits}f}"


def feature_name(feature: str) -> str:
    """A feature as a heading: average_order_value as Average order value."""
    return sentence(words(feature))


def feature_value(feature: str, value: Number | None, currency: str = "", *, digits: int = 1, unit: bool = True) -> str:
    """A feature's value in its natural unit: `3 days`, `45.2%`, `€1,235`; without the unit's word on request."""
    if value is None or not known(value):
        return NOTHING
    kind = FEATURE_BY_NAME[feature].unit if feature in FEATURE_BY_NAME else ""
    if kind == "money":
        return money(value, currency)
    if kind == "share":
        return share(value, digits)
    precise = f"{value:,.{digits}f}" if _size(value) < 10 or digits > 1 else f"{value:,.0f}"
    told = precise.rstrip("0").rstrip(".") if "." in precise else precise
    return f"{told} {_of_number(kind, told)}" if unit and kind else told


def _of_number(unit: str, told: str) -> str:
    if told != "1":
        return unit
    return f"{unit[:-3]}y" if unit.endswith("ies") else unit.removesuffix("s")


def apart_words(row: Mapping[str, Any]) -> str:
    """What a differentiator says of its segment, in words: `recently active`."""
    name = row["feature"]
    size = row["effect"] if known(row["effect"]) else (row["value"] or 0) - (row["overall"] or 0)
    if name not in FEATURE_BY_NAME:
        return f"{'high' if size > 0 else 'low'} {words(name)}"
    return FEATURE_BY_NAME[name].high if size > 0 else FEATURE_BY_NAME[name].low


def apart_figures(row: Mapping[str, Any], currency: str = "") -> str:
    """The figures behind a differentiator: `3 days vs 25 overall`, in as many digits as tell the two apart.

    The unit is left out where the differentiator's words have it already.
    """
    name, here, overall = row["feature"], row["value"], row["overall"]
    unit = name in FEATURE_BY_NAME and FEATURE_BY_NAME[name].unit not in apart_words(row)
    for digits in range(1, _MOST_DIGITS + 1):
        left = feature_value(name, here, currency, digits=digits, unit=unit)
        right = feature_value(name, overall, currency, digits=digits, unit=False)
        if left.split(" ")[0] != right:
            break
    return f"{left} vs {right} overall"


def apart(row: Mapping[str, Any], currency: str = "") -> str:
    """A differentiator in words and figures: `recently active (3 days vs 25 overall)`."""
    return f"{apart_words(row)} ({apart_figures(row, currency)})"


def trait(row: Mapping[str, Any]) -> str:
    """A trait in words: `age 35-44: 31% vs 24% overall`."""
    for digits in range(_MOST_DIGITS + 1):
        here, overall = share(row["share"], digits), share(row["overall"], digits)
        if here != overall:
            break
    return f"{words(row['attribute'])} {plain(row['value'])}: {here} vs {overall} overall"


def stability(value: float | None) -> str:
    """How far a segment can be found again, in words by Hennig's bounds on its mean Jaccard index, 0 to 1."""
    if value is None or not known(value):
        return STABILITY[0]
    if value < UNSTABLE_BELOW:
        return STABILITY[1]
    if value < DOUBTFUL_BELOW:
        return STABILITY[2]
    return STABILITY[3] if value <= STABLE_UP_TO else STABILITY[4]
