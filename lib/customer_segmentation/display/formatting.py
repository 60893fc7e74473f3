"""Numbers, amounts, dates and texts formatted for people, the same on a page, on the terminal and in a log line.

Whatever can be missing may be None or NaN and reads as a dash.
"""

import math
import unicodedata
from datetime import date
from decimal import Decimal
from typing import Any, TypeGuard

from customer_segmentation.contract.features import feature_named

Number = int | float | Decimal

NOTHING = "–"
CENTS_BELOW = 100
"""Amounts from here on are shown without cents."""

_BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


NO_CHARACTERS = frozenset("\ufffe\uffff")
"""What XML has no place for: a drawing with one of them ends the process."""


def plain_text(value: object) -> str:
    """The value as one line of text: no control characters, no overrides of the writing direction."""
    text = "" if value is None else str(value)
    kept = (
        " " if unicodedata.category(letter) == "Cc" else letter
        for letter in text
        if letter not in _BIDI_CONTROLS and letter not in NO_CHARACTERS and unicodedata.category(letter) != "Cs"
    )
    return " ".join("".join(kept).split())


def humanized(code: object) -> str:
    """A name from the data or the code, such as `missing_customer`, as words."""
    return plain_text(str(code).replace("_", " "))


def capitalized(text: str) -> str:
    """The text with its first letter in upper case, the others as they are."""
    return text[:1].upper() + text[1:]


def known(value: Any) -> TypeGuard[Number]:
    """Whether the value is a finite number."""
    return value is not None and math.isfinite(value)


def count(value: Number | None) -> str:
    """12345 as 12,345."""
    return f"{value:,.0f}" if known(value) else NOTHING


def share(value: Number | None, digits: int = 1) -> str:
    """A share of 1 in percent: .4521 as 45.2%. What isn't nothing or all never reads as 0% or 100%."""
    if value is None or not known(value):
        return NOTHING
    percent = 100 * float(value)
    smallest = 10.0**-digits
    if 0 < abs(percent) < smallest / 2:
        return f"{'-' if percent < 0 else ''}<{smallest:g}%"
    if percent < 100 and f"{percent:.{digits}f}" == f"{100:.{digits}f}":
        return f">{100 - smallest:g}%"
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


def plain_number(number: Decimal) -> str:
    """A number without exponent or needless zeros, with separators: 1500 as 1,500."""
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def short_number(number: Decimal) -> str:
    """A round number for where there is little room: 1500 as 1.5k, 2000000 as 2M."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if abs(number) >= unit:
            return f"{plain_number(number / unit)}{letter}"
    return plain_number(number)


def _size(value: Number) -> Number:
    return -value if value < 0 else value


def signed(negative: bool, currency: str, digits: str) -> str:
    """Digits after their sign and currency; one that is a code stands apart."""
    gap = " " if currency[-1:].isalpha() else ""
    return f"{'-' if negative else ''}{plain_text(currency)}{gap}{digits}"


def day(value: object) -> str:
    """A date as 31 December 2017; what is no date as it comes."""
    return f"{value.day} {value:%B} {value.year}" if isinstance(value, date) else plain_text(value) or NOTHING


def day_range(first: date, last: date) -> str:
    """Two dates as 1 May 2024 to 3 May 2024; a single one where they are equal."""
    return day(first) if first == last else f"{day(first)} to {day(last)}"


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
    return capitalized(humanized(feature))


def feature_value(feature: str, value: Number | None, currency: str = "", *, digits: int = 1, unit: bool = True) -> str:
    """A feature's value in its unit: `3 days`, `45.2%`, `€1,235`; without the unit's word on request."""
    if value is None or not known(value):
        return NOTHING
    declared = feature_named(feature)
    kind = declared.unit if declared else ""
    if kind == "money":
        return money(value, currency)
    if kind == "share":
        return share(value, digits)
    precise = f"{value:,.{digits}f}" if _size(value) < 10 or digits > 1 else f"{value:,.0f}"
    number = precise.rstrip("0").rstrip(".") if "." in precise else precise
    return f"{number} {_inflected(kind, number)}" if unit and kind else number


def _inflected(unit: str, number: str) -> str:
    if number != "1":
        return unit
    return f"{unit[:-3]}y" if unit.endswith("ies") else unit.removesuffix("s")
