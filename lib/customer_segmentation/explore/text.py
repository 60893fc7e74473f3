"""Texts with values in them: `{orders:count} orders` is a template, filled from an object and formatted for people."""

import string
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from customer_segmentation.display import formatting as fmt

_FORMATS: dict[str, Callable[[Any], str]] = {
    "count": fmt.count,
    "len": lambda values: fmt.count(len(values)),
    "figure1": partial(fmt.figure, digits=1),
    "figure2": partial(fmt.figure, digits=2),
    "share": fmt.share,
    "share0": partial(fmt.share, digits=0),
    "day": fmt.day,
    "month": lambda month: f"{date.fromisoformat(f'{month}-01'):%B %Y}",
    "short_month": lambda month: f"{date.fromisoformat(f'{month}-01'):%b %y}",
    "capital": fmt.capitalized,
    "category": lambda name: fmt.plain_text(name) or "Unknown",
    "orders": lambda label: "0 orders" if label == "under 1" else f"{label} order{'' if label == '1' else 's'}",
    "s": lambda number: "" if number == 1 else "s",
}


class Text(string.Formatter):
    """Fills templates whose fields are names given beside an object, or paths in it; their formats are those above.

    Args:
        currency: goes before every amount, such as "€" or "GBP".
    """

    def __init__(self, currency: str) -> None:
        money = {name: partial(getattr(fmt, name), currency=currency) for name in ("money", "short_money")}
        self._formats = _FORMATS | money

    def fill(self, template: str, source: object, **named: object) -> str:
        """The template with its values."""
        return self.vformat(template, (source,), named)

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        """What is at the path in a value given by name, else in the object."""
        is_given = field_name.replace("[", ".").split(".")[0] in kwargs
        return super().get_field(field_name, args, kwargs) if is_given else (value_at(args[0], field_name), field_name)

    def format_field(self, value: Any, format_spec: str) -> str:
        """The value in its format; others are Python's own."""
        return self._formats[format_spec](value) if format_spec in self._formats else format(value, format_spec)


def value_at(source: object, path: str) -> Any:
    """What is at a path such as `calendar.months` or `distributions[order_value].buckets` of an object.

    `orders/days` is a ratio of two; None where the second is not above 0.
    """
    value, *whole = (string.Formatter().get_field(f"0.{part}", (source,), {})[0] for part in path.split("/"))
    return value if not whole else value / whole[0] if whole[0] > 0 else None
