"""Reads values of a source into types without ever failing: what can't be read becomes null."""

from pyspark.sql import Column
from pyspark.sql import functions as F


def as_text(column: Column) -> Column:
    """As text without surrounding white space; empty text is no value."""
    return F.nullif(F.trim(column.cast("string")), F.lit(""))


def as_timestamp(column: Column, layout: str | None) -> Column:
    """As a timestamp in UTC, from text in the given layout (Spark's datetime pattern) or in ISO 8601."""
    if layout is None:
        return column.try_cast("timestamp")
    return F.try_to_timestamp(column.cast("string"), F.lit(layout))


def mapped(text: str | None) -> Column:
    """The expression of a mapping; null where the mapping has none."""
    return F.expr(text) if text else F.lit(None).cast("string")
