"""Profiles of the columns of a table: missing and distinct values, minimum and maximum, most frequent values.

Values that could name a person are left blank: identifiers, texts of a few customers, numbers that are as good as one.
"""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from customer_segmentation.contract import columns as c
from customer_segmentation.explore.buckets import Group, Summary
from customer_segmentation.explore.distributions import aggregated, summary_aggregates
from customer_segmentation.preparation import sql

DISTINCT_ERROR = 0.05
"""Relative standard deviation of the number of distinct values. Spark plans hundreds of buffer columns for 2%, which
takes longer than counting a small table."""
MAX_LISTED_VALUES = 1_000
"""Text columns with more distinct values than this are not low in cardinality: their values are not counted."""
MIN_IDENTIFIER_SHARE = 0.8
"""Distinct values by known ones, as estimated, from which whole numbers count as identifiers."""
TOP_VALUES = 10

PERSONAL_COLUMNS = frozenset({c.CUSTOMER_ID, c.ORDER_ID, c.ROW})
"""Columns of which no value is shown, whatever the table."""

_LISTED = (T.StringType, T.BooleanType)
_ORDERED = (T.DateType, T.TimestampType, T.TimestampNTZType)


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


def column_profiles(frame: DataFrame, table: str) -> list[ColumnProfile]:
    """A profile of each column of a table's rows, without the values. Runs one aggregation."""
    fields = frame.schema.fields
    aggregates = {f"_{number}": _aggregates(field) for number, field in enumerate(fields)}
    rows = aggregated(frame, {"all": {"rows": F.count(F.lit(1))}, **aggregates})
    return [
        _profile(table, number, field, rows["all"]["rows"], rows[f"_{number}"]) for number, field in enumerate(fields)
    ]


def listed_columns(frame: DataFrame, profiles: list[ColumnProfile]) -> dict[str, Column]:
    """The columns whose values are few enough to be counted one by one, and name nobody, by name."""
    return {
        field.name: _known(field)
        for field, profile in zip(frame.schema.fields, profiles, strict=True)
        if isinstance(field.dataType, _LISTED)
        and field.name not in PERSONAL_COLUMNS
        and 0 < (profile.distinct or 0) <= MAX_LISTED_VALUES
    }


def with_values(profiles: list[ColumnProfile], values: dict[str, list[Group]], min_rows: int) -> list[ColumnProfile]:
    """The profiles with their exact number of distinct values, and the values that at least so many rows have."""
    known = {name: [group for group in groups if group.label is not None] for name, groups in values.items()}
    frequent = {name: tuple(group for group in groups if group.count >= min_rows) for name, groups in known.items()}
    return [
        replace(each, distinct=len(known[each.column]), is_counted=True, values=frequent[each.column])
        if each.column in known
        else each
        for each in profiles
    ]


def profile_rows(profiles: list[ColumnProfile], *, run_id: str, as_of: date) -> list[dict[str, Any]]:
    """Rows of `data_profile`: one per table and column."""
    return [
        {
            c.RUN_ID: run_id,
            c.AS_OF_DATE: as_of,
            "table_name": profile.table,
            "position": profile.position,
            "column_name": profile.column,
            "column_type": profile.type,
            "row_count": profile.rows,
            "missing": profile.missing,
            "missing_share": profile.missing_share,
            "distinct_values": profile.distinct,
            "minimum": profile.minimum,
            "maximum": profile.maximum,
            "mean": profile.summary and profile.summary.mean,
            "quantiles": profile.summary
            and {f"{at:g}": value for at, value in sorted((profile.summary.quantiles or {}).items())},
            "top_values": [
                {"value": group.label, "rows": group.count, "share": group.count / profile.rows}
                for group in profile.values[:TOP_VALUES]
            ],
        }
        for profile in profiles
    ]


def _known(field: T.StructField) -> Column:
    """The value; null where it is not a number or blank text."""
    column = F.col(sql.column(field.name))
    if isinstance(field.dataType, T.StringType):
        return F.when(F.trim(column) != "", column)
    return F.when(~F.isnan(column), column) if isinstance(field.dataType, T.DoubleType | T.FloatType) else column


def _aggregates(field: T.StructField) -> dict[str, Column]:
    value, kind = _known(field), field.dataType
    aggregates = {"known": F.count(value)}
    if isinstance(kind, T.NumericType):
        aggregates = summary_aggregates(value)
    elif isinstance(kind, _ORDERED):
        aggregates |= {"minimum": F.min(value).cast("string"), "maximum": F.max(value).cast("string")}
    if isinstance(kind, (T.NumericType, *_LISTED, *_ORDERED)):
        aggregates["distinct"] = F.approx_count_distinct(value, DISTINCT_ERROR)
    return aggregates


def _profile(table: str, position: int, field: T.StructField, rows: int, row: dict[str, Any]) -> ColumnProfile:
    known, kind, distinct = row["known"], field.dataType, row.pop("distinct", None)
    # The estimate may be above what is possible.
    distinct = None if distinct is None else min(distinct, known)
    profile = ColumnProfile(table, position, field.name, kind.simpleString(), rows, rows - known, distinct)
    identifies = isinstance(kind, T.IntegralType) and (distinct or 0) >= MIN_IDENTIFIER_SHARE * known
    if field.name in PERSONAL_COLUMNS or "minimum" not in row or identifies:
        return profile
    summary = Summary(**row) if "quantiles" in row else None
    return replace(profile, minimum=_text(row["minimum"]), maximum=_text(row["maximum"]), summary=summary)


def _text(value: object) -> str | None:
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
