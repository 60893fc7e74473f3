"""Numbers and names as Spark SQL text.

An assignment is hundreds of additions and multiplications. As one text it goes to Spark in one call and is parsed
there, where building it column by column would take a call each.
"""

from collections.abc import Iterable


def double(value: float) -> str:
    """A literal that Spark reads as exactly this double."""
    return f"({float(value)!r}D)"


def doubles(values: Iterable[float]) -> str:
    """An array of such literals."""
    return f"array({', '.join(double(value) for value in values)})"


def integers(values: Iterable[int]) -> str:
    """An array of integers."""
    return f"array({', '.join(str(int(value)) for value in values)})"


def column(name: str) -> str:
    """A column by its name, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def total(terms: Iterable[str]) -> str:
    """The sum of the terms, added from the left."""
    return "(" + " + ".join(terms) + ")"


def squared_difference(left: str, right: str) -> str:
    """(left - right) squared."""
    return f"({left} - {right}) * ({left} - {right})"
