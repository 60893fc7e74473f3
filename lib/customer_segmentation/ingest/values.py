"""Reads values of a source into types without ever failing: what can't be read becomes null."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F

_SPACES = r"[\s\u00a0\u202f]"
_EVERY_READER_HOLDS = ("1678-01-01", "2262-01-01")
_DECIMAL_COMMA = r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$"


def as_text(column: Column) -> Column:
    """As text without surrounding white space; empty text is no value."""
    return F.nullif(F.trim(column.cast("string")), F.lit(""))


def as_timestamp(column: Column, layouts: Sequence[str]) -> Column:
    """As a timestamp in UTC, from text in the first of the layouts that fits (Spark's datetime patterns).

    Without layouts from ISO 8601, or from a date or a timestamp.
    """
    if not layouts:
        return column.try_cast("timestamp")
    text = F.trim(column.cast("string"))
    return F.coalesce(*(F.try_to_timestamp(text, F.lit(layout)) for layout in layouts))


def storable(timestamp: Column) -> Column:
    """The timestamp where every reader of a table can hold it, in nanoseconds since 1970 too; null elsewhere."""
    return F.when(timestamp.between(*(F.lit(text).cast("timestamp") for text in _EVERY_READER_HOLDS)), timestamp)


def as_number(column: Column, type_: str, *, decimal_comma: bool = False) -> Column:
    """As a number of the type, from a number or its text; with `decimal_comma` from text such as 1.234,56 only."""
    if not decimal_comma:
        return column.try_cast(type_)
    text = F.regexp_replace(column, _SPACES, "")
    return F.when(text.rlike(_DECIMAL_COMMA), F.translate(F.translate(text, ".", ""), ",", ".")).try_cast(type_)


def start_of_day(day: date, timezone: str = "UTC") -> Column:
    """The instant at which a day begins in a time zone; where its midnight does not exist, the first one after it."""
    midnight = F.lit(day).cast("timestamp")
    return midnight if timezone == "UTC" else F.to_utc_timestamp(midnight, timezone)


def mapped(text: str | None) -> Column:
    """The expression of a mapping; null where the mapping has none."""
    return F.expr(text) if text else F.lit(None).cast("string")
