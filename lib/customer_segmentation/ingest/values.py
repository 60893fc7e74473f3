"""Reads values of a source into types without ever failing: what can't be read becomes null."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from customer_segmentation.config.schema import Source
from customer_segmentation.ingest.expressions import (
    DECIMAL,
    SafeExpression,
    columns_of,
    has_zone,
    is_column,
    null_safe,
    quoted,
    sql_text,
    text_of_time,
)

INVISIBLE = (
    " \t\r\n\v\f\0\u00a0\u00ad\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b"
    "\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""White space of all kinds, and characters that show nothing: no value begins or ends with one."""

TIME = (
    (StringType, DateType, TimestampType, TimestampNTZType),
    "a timestamp, a date or text (of seconds since 1970: timestamp_seconds(...))",
)
"""The types that a time may have in a source, and how messages say it: a number would be taken for seconds."""

_UTC = "UTC"
_RANGE_OF_NANOSECONDS = ("1678-01-01", "2262-01-01")
_WITH_OFFSET = r"[T ]\s*\d{1,2}\D?.*[A-Za-z+-]"
"""Text of a time, as ISO 8601 has it, with a zone or an offset behind it."""

_WITHOUT_DAY = r"^\s*T?\d{1,2}:"
"""Text of a time of day."""

_SPACES = r"[\\s\\u00a0\\u2007\\u2009\\u202f\\u200b\\ufeff]"
_CURRENCY = r"^([+-]?)(?:\\p{Sc}|[A-Za-z]{1,3}\\p{Sc}|[A-Z]{3})|(?:\\p{Sc}|[A-Z]{3})(?=[)-]?$)"
_GROUPED = {
    ".": r"^[+-]?((\\d{1,3}(,\\d{2,3})*,\\d{3}|\\d+)([.]\\d*)?|[.]\\d+)$",
    ",": r"^[+-]?(\\d{1,3}([.]\\d{3})+|\\d+)(,\\d+)?$",
}
"""Numbers by their decimal sign, with or without the other one between thousands."""


@dataclass(frozen=True)
class NumberStyle:
    """How a source writes numbers as text.

    decimal_comma: 1.234,56 instead of 1234.56.
    accounting: also (12.50) and 12.50- for less than zero, currency signs and codes, and signs between thousands.
    """

    decimal_comma: bool = False
    accounting: bool = False

    def sql(self, text: str, type_: str = DECIMAL) -> str:
        """SQL for the number of a type that a text, given as SQL, holds; null where it holds none."""
        if not (self.decimal_comma or self.accounting):
            # Spark itself passes over usual white space.
            return f"COALESCE(TRY_CAST({text} AS {type_}), TRY_CAST(BTRIM({text}, {sql_text(INVISIBLE)}) AS {type_}))"
        plain = f"REGEXP_REPLACE({text}, '{_SPACES}', '')"
        if self.accounting:
            plain = f"REPLACE(REPLACE(REPLACE({plain}, '−', '-'), '’', ''), '\\'', '')"
            plain = f"REGEXP_REPLACE(REGEXP_REPLACE({plain}, '{_CURRENCY}', '$1'), '{_CURRENCY}', '$1')"
            plain = f"REGEXP_REPLACE({plain}, '^[(]([^()+-]+)[)]$', '-$1')"
            plain = f"REGEXP_REPLACE({plain}, '^([^()+-]+)-$', '-$1')"
            plain = f"REGEXP_REPLACE({plain}, '{_CURRENCY}', '$1')"
        sign, other = (",", ".") if self.decimal_comma else (".", ",")
        digits = f"REPLACE(REPLACE({plain}, '{other}', ''), '{sign}', '.')"
        return f"CASE WHEN {plain} RLIKE '{_GROUPED[sign]}' THEN TRY_CAST({digits} AS {type_}) END"


PLAIN = NumberStyle()


def as_text(column: Column, type_: DataType | None = None) -> Column:
    """As text without white space or invisible characters around it; empty text is no value.

    A whole number of a floating or a decimal type is written as one: 12345678 and not 1.2345678E7 or 12345678.00; what
    is not a number is no value.

    Args:
        type_: of the column; None where it is not known, which makes a longer expression.
    """
    if isinstance(type_, (IntegralType, BooleanType)):
        return column.cast("string")
    text = _shown(column)
    if type_ is not None and not isinstance(type_, (FloatType, DoubleType, DecimalType)):
        return text
    number = text.try_cast("double")
    is_whole = (F.abs(number) < F.lit(1e38)) & (number == F.floor(text.try_cast("decimal(38,0)")).cast("double"))
    whole = F.when(is_whole, number.try_cast("decimal(38,0)").cast("string")).otherwise(text)
    floating = F.when(~F.isnan(number), whole)
    decimal = F.regexp_replace(text, r"[.]0+$", "")
    if type_ is not None:
        return decimal if isinstance(type_, DecimalType) else floating
    name = F.typeof(column)  # a constant: only one of the branches is computed
    return F.when(name.isin("double", "float"), floating).when(name.startswith("decimal"), decimal).otherwise(text)


def as_id(column: Column, type_: DataType | None = None) -> Column:
    """Like `as_text`, for the number of a customer or an order.

    Text that a table with gaps was written to has its numbers as doubles: `17850.0` and `1.2345678E7` are 17850 and
    12345678, `NaN` and `nan` are nobody. Every other text stays as it is, with its leading zeros.
    """
    text = as_text(column, type_)
    if type_ is not None and not isinstance(type_, StringType):
        return text
    is_short = text.rlike(r"^(0|[1-9][0-9]{0,17})[.]0$")
    is_long = text.rlike(r"^[1-9][.][0-9]{1,17}E[0-9]{1,2}$")
    number = text.try_cast("decimal(38,10)")
    whole = (
        F.when(is_short, F.regexp_replace(text, r"[.]0$", ""))
        .when(is_long & (number == F.floor(number)), number.try_cast("decimal(38,0)").cast("string"))
        .when(~text.isin("NaN", "nan"), text)
    )
    # Of most ids no more than this is asked.
    is_suspect = column.cast("string").contains(".") | text.isin("NaN", "nan")
    return F.when(is_suspect, whole).otherwise(text)


def as_timestamp(column: Column, layouts: Sequence[str], *, timezone: str = _UTC, is_local: bool = False) -> Column:
    """As a timestamp in UTC, from text in the first of the layouts that fits (Spark's datetime patterns).

    Without layouts from ISO 8601, or from a date or a timestamp. Text without an offset, a date and a timestamp without
    a zone are local times of the time zone. A local time that does not exist, as clocks were put forward, is moved
    forward by as much; of one that is there twice it is the first.

    Args:
        timezone: its name, such as Europe/Berlin.
        is_local: the timestamp itself is a local time.
    """
    if layouts:
        text = F.btrim(column.cast("string"), F.lit(INVISIBLE))
        parsed = [
            _instant(F.try_to_timestamp(text, F.lit(layout)), _UTC if has_zone(layout) else timezone)
            for layout in layouts
        ]
        return F.coalesce(*parsed)
    # Spark takes a time of day alone for one of today.
    has_day = (F.typeof(column) != "string") | ~column.cast("string").rlike(_WITHOUT_DAY)
    read = F.when(has_day, column.try_cast("timestamp"))
    if timezone == _UTC:
        return read
    has_offset = (F.typeof(column) == "string") & column.cast("string").rlike(_WITH_OFFSET)
    is_instant = (F.typeof(column) == "timestamp") & F.lit(not is_local)
    return F.when(is_instant | has_offset, read).otherwise(_instant(read, timezone))


def _instant(local: Column, timezone: str) -> Column:
    return local if timezone == _UTC else F.to_utc_timestamp(local, timezone)


def storable(timestamp: Column) -> Column:
    """The timestamp where every reader of a table can hold it, in nanoseconds since 1970 too; null elsewhere."""
    return F.when(timestamp.between(*(F.lit(text).cast("timestamp") for text in _RANGE_OF_NANOSECONDS)), timestamp)


def as_number(name: str, type_: str, *, style: NumberStyle = PLAIN, is_text: bool = True) -> Column:
    """A column as a number of the type: from a number or, as the style has it, from its text."""
    return F.expr(style.sql(quoted(name), type_)) if is_text else F.col(quoted(name)).try_cast(type_)


def mapped(text: str | None, rows: DataFrame, *, style: NumberStyle = PLAIN) -> Column:
    """The expression of a mapping; null where the mapping has none, and for a row for which it can't be computed.

    Args:
        text: the expression.
        rows: what it is computed of.
        style: how text holds numbers.
    """
    if text is None:
        return F.lit(None).cast("string")
    expression = _null_safe(text, rows, style)
    return F.expr(expression.sql if expression.is_safe else _guarded(expression.sql, text, rows))


def source_value(text: str | None, rows: DataFrame, *, style: NumberStyle = PLAIN, only_failed: bool = False) -> Column:
    """What the source has for an expression, as text: its value, or else that of the columns it is made of.

    Null only where there is nothing: what is here and not in `mapped` could not be computed.

    Args:
        only_failed: null, too, where the expression is null because its author meant it: a case without an else.
    """
    value = mapped(text, rows, style=style)
    if text is None:
        return value
    if is_column(text):
        # Nearly every value begins with a sign that can be seen.
        written = value.cast("string")
        return F.when(written.between("!", "~"), written).otherwise(_shown(value))
    used = F.nullif(F.concat_ws(" ", *(_shown(F.col(quoted(name))) for name in _used(text, rows))), F.lit(""))
    expression = _null_safe(text, rows, style)
    if only_failed and expression.is_safe:
        used = F.when(F.expr(expression.failed), used) if expression.failed else F.lit(None)
    return F.coalesce(_shown(value), used)


def time_text(text: str, rows: DataFrame, source: Source) -> str:
    """The expression of a time, or the text that it reads as one without a pattern, which may have its own offset."""
    read = text_of_time(text)
    if read == text or source.timestamp_format:
        return text
    return read if isinstance(rows.select(mapped(read, rows)).schema[0].dataType, StringType) else text


def _null_safe(text: str, rows: DataFrame, style: NumberStyle) -> SafeExpression:
    types = {field.name: field.dataType for field in rows.schema.fields}
    return null_safe(text, types, number=style.sql, decimal_comma=style.decimal_comma)


def _guarded(sql: str, text: str, rows: DataFrame) -> str:
    """SQL that gives null for every failure of an expression, whatever functions it has.

    `try_to_binary` gives null where its argument can't be computed. Spark would compute what several columns have in
    common before them all, outside of it, but for the branch of a condition.
    """
    type_ = rows.select(F.expr(sql)).schema[0].dataType
    if not isinstance(type_, (StringType, NumericType, BooleanType, DateType, TimestampType, TimestampNTZType)):
        return sql
    tried = f"CAST(TRY_TO_BINARY(CAST(({sql}) AS STRING), 'utf-8') AS STRING)"
    used = _used(text, rows)
    if used:
        tried = f"CASE WHEN COALESCE(LENGTH(CAST({quoted(used[0])} AS STRING)) >= 0, TRUE) THEN {tried} END"
    return f"TRY_CAST({tried} AS {type_.simpleString()})"


def _used(text: str, rows: DataFrame) -> list[str]:
    names = {name.lower(): name for name in rows.columns}
    return [names[name.lower()] for name in columns_of(text) if name.lower() in names]


def _shown(column: Column) -> Column:
    """As text without what can't be seen around it; null where nothing is left.

    `btrim` inspects every character of a text, so cheap tests come first that most values pass.
    """
    text = column.cast("string")
    is_other = F.octet_length(text) != F.char_length(text)
    may_have_some = is_other | (text < "!") | (F.substring(text, -1, 1) < "!")
    trimmed = F.nullif(F.btrim(text, F.lit(INVISIBLE)), F.lit(""))
    return F.when(may_have_some, trimmed).otherwise(text)
