"""Profiles of the columns of a table: missing and distinct values, minimum and maximum, most frequent values.

Values that could name a person are left blank: identifiers, texts of a few customers, numbers that are as good as one.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import Table
from customer_segmentation.explore.summary import Summary, summary_aggregates, summary_of
from customer_segmentation.explore.tally import Group

DISTINCT_ERROR = 0.05
"""Relative standard deviation of the number of distinct values. Spark plans hundreds of buffer columns for 2%, which
takes longer than counting a small table."""
MAX_LISTED_VALUES = 1_000
"""Text columns with more distinct values than this are not low in cardinality: their values are not counted."""
MIN_CUSTOMERS = 5
"""An attribute's value is shown only when at least this many customers have it."""
MIN_IDENTIFIER_SHARE = 0.8
"""Distinct values by known ones, as estimated, from which whole numbers count as identifiers."""

PERSONAL_COLUMNS = frozenset({c.CUSTOMER_ID, c.ORDER_ID, c.ROW})
"""Columns of which no value is shown, whatever the table."""


@dataclass(frozen=True)
class ColumnProfile:
    """A column of a table.

    missing: rows without a value: null, not a number, or blank text.
    distinct: known values that differ, as exact as `DISTINCT_ERROR` says; None for nested types.
    is_counted: whether distinct is exact, because the values were counted one by one.
    minimum, maximum: of numbers, dates and times, as text.
    summary: of a number; None for others.
    values: most frequent first, for texts and booleans with few of them; never of an identifier.
    """

    table: str
    position: int
    column: str
    type: str
    rows: int
    missing: int
    distinct: int | None
    minimum: str | None = None
    maximum: str | None = None
    summary: Summary | None = None
    is_counted: bool = False
    values: tuple[Group, ...] = ()

    @property
    def missing_share(self) -> float | None:
        """Rows without a value by all rows; None without rows."""
        return self.missing / self.rows if self.rows else None


def column_profiles(frame: DataFrame, table: Table) -> list[ColumnProfile]:
    """A profile of each column, without the values. Runs one aggregation.

    Args:
        frame: rows of the table.
        table: what they are rows of.
    """
    fields = frame.schema.fields
    aggregates = [
        F.struct(*_aggregates(_quoted(field.name), field.dataType)).alias(f"_{number}")
        for number, field in enumerate(fields)
    ]
    row = frame.agg(F.count(F.lit(1)).alias("rows"), *aggregates).first()
    assert row is not None, "an aggregation without grouping has one row"
    return [
        _profile(table.name, number, field.name, field.dataType, row["rows"], row[f"_{number}"].asDict())
        for number, field in enumerate(fields)
    ]


def listed_columns(frame: DataFrame, profiles: list[ColumnProfile]) -> dict[str, Column]:
    """The columns whose values are few enough to be counted one by one, and name nobody, by name."""
    return {
        field.name: _known(_quoted(field.name), field.dataType)
        for field, profile in zip(frame.schema.fields, profiles, strict=True)
        if isinstance(field.dataType, StringType | BooleanType)
        and field.name not in PERSONAL_COLUMNS
        and profile.distinct is not None
        and 0 < profile.distinct <= MAX_LISTED_VALUES
    }


def with_values(
    profiles: list[ColumnProfile], values: dict[str, list[Group]], *, min_rows: int = 1
) -> list[ColumnProfile]:
    """The profiles with their exact number of distinct values, and the values that at least so many rows have."""

    def counted(profile: ColumnProfile) -> ColumnProfile:
        if profile.column not in values:
            return profile
        known = [group for group in values[profile.column] if group.value is not None]
        frequent = tuple(group for group in known if group.rows >= min_rows)
        return replace(profile, distinct=len(known), is_counted=True, values=frequent)

    return [counted(profile) for profile in profiles]


def _aggregates(column: Column, kind: DataType) -> list[Column]:
    value = _known(column, kind)
    aggregates = {"known": F.count(value)}
    if _is_flat(kind):
        aggregates["distinct"] = F.approx_count_distinct(value, DISTINCT_ERROR)
    if isinstance(kind, NumericType):
        aggregates |= summary_aggregates(value)
    elif isinstance(kind, DateType | TimestampType | TimestampNTZType):
        aggregates |= {"minimum": F.min(value).cast("string"), "maximum": F.max(value).cast("string")}
    return [aggregate.alias(name) for name, aggregate in aggregates.items()]


def _known(column: Column, kind: DataType) -> Column:
    """The value; null where it is not a number or blank text."""
    if isinstance(kind, StringType):
        return F.when(F.trim(column) != "", column)
    if isinstance(kind, DoubleType | FloatType):
        return F.when(~F.isnan(column), column)
    return column


def _is_flat(kind: DataType) -> bool:
    return isinstance(kind, StringType | BooleanType | NumericType | DateType | TimestampType | TimestampNTZType)


def _profile(table: str, position: int, column: str, kind: DataType, rows: int, row: dict[str, Any]) -> ColumnProfile:
    distinct, known = row.get("distinct"), row["known"]
    # The estimate may be above what is possible.
    distinct = None if distinct is None else min(distinct, known)
    profile = ColumnProfile(table, position, column, kind.simpleString(), rows, rows - known, distinct)
    identifies = isinstance(kind, IntegralType) and (distinct or 0) >= MIN_IDENTIFIER_SHARE * known
    if column in PERSONAL_COLUMNS or "minimum" not in row or identifies:
        return profile
    summary = summary_of(row) if "quantiles" in row else None
    return replace(profile, minimum=_text(row["minimum"]), maximum=_text(row["maximum"]), summary=summary)


def _text(value: int | float | Decimal | date | datetime | str | None) -> str | None:
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _quoted(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")
