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


def number(column_name: str) -> str:
    """A numeric column as a double; what is no number (NaN) is missing, as null is."""
    return f"nanvl(CAST({column(column_name)} AS DOUBLE), CAST(NULL AS DOUBLE))"


def category(column_name: str) -> str:
    """A column of any type as text; null, NaN and an empty text are all empty."""
    return f"coalesce(nullif(CAST({column(column_name)} AS STRING), 'NaN'), '')"


def text(value: str) -> str:
    """A string literal, in which Spark finds no `${variable}` to put in."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024") + "'"


def total(terms: Iterable[str]) -> str:
    """The sum of the terms, added from the left."""
    return "(" + " + ".join(terms) + ")"


def squared_difference(left: str, right: str) -> str:
    """(left - right) squared."""
    return f"({left} - {right}) * ({left} - {right})"
