"""Order lines, mapped and judged one by one: what can be said of a line without looking at the others."""

import zlib
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from customer_segmentation.config.schema import Source, TransactionColumns, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.ingest.checks import CURRENCY, FAILED, IS_MALFORMED, Check, codes, failed, raw
from customer_segmentation.ingest.sources import CORRUPT, malformed, with_lookups
from customer_segmentation.ingest.values import as_number, as_text, as_timestamp, mapped, storable

_LINE = "_line"
OWN_COLUMNS = [name for name in TRANSACTIONS.column_names if name != c.WARNINGS]
"""What a line has of its own in `transactions`."""
_MONEY = "decimal(18,2)"
_PRICE = "decimal(18,6)"
_QUANTITY = "decimal(18,3)"

_NESTED = (ArrayType, MapType, StructType, VariantType)
_NUMBERS = (c.QUANTITY, c.AMOUNT, c.DISCOUNT, c.COUPON)


def judged_lines(spark: SparkSession, frame: DataFrame, source: TransactionSource, checks: list[Check]) -> DataFrame:
    """Every line of a source that its `where` keeps, with what its own checks say.

    Args:
        frame: rows of the source as `sources.read_source` gives them.
        source: the mapping.
        checks: see `checks.transaction_checks`.

    Returns:
        source_file, row (the line as JSON), the columns of `transactions`, reasons (codes of the checks that refuse
        the line); ingested_at and batch_id, null until the line is refused.

    Raises:
        DataRefusedError: a mapped column has a type that can't be what it is mapped to.
    """
    return told_lines(checked_lines(spark, frame, source, checks), checks)


def checked_lines(spark: SparkSession, frame: DataFrame, source: TransactionSource, checks: list[Check]) -> DataFrame:
    """Like `judged_lines`, in a form that costs little to make and to keep: texts are made of it where wanted.

    Returns:
        source_file, the line itself as a struct, the columns of `transactions` but warnings, and the checks that it
        failed as bits of a number (see `checks.failed`).
    """
    return typed_lines(spark, frame, source).select(
        c.SOURCE_FILE, _LINE, *OWN_COLUMNS, failed(checks).alias(FAILED), IS_MALFORMED
    )


def told_lines(lines: DataFrame, checks: list[Check]) -> DataFrame:
    """The lines of `checked_lines`, or some of them, as `judged_lines` tells them."""
    return lines.select(
        c.SOURCE_FILE,
        _line_as_it_came(lines).alias(c.ROW),
        *OWN_COLUMNS,
        codes(checks, refuses=False).alias(c.WARNINGS),
        codes(checks, refuses=True).alias(c.REASONS),
        F.lit(None).cast("timestamp").alias(c.INGESTED_AT),
        F.lit(None).cast("string").alias(c.BATCH_ID),
    )


def good_lines(lines: DataFrame, checks: list[Check]) -> DataFrame:
    """The lines of `checked_lines` as rows of `transactions`."""
    told = lines.withColumn(c.WARNINGS, codes(checks, refuses=False))
    return told.select(TRANSACTIONS.column_names)


def left_out(source: Source) -> Column:
    """Whether the source's `where` leaves a row out; what is neither true nor false is left out too."""
    return F.lit(False) if source.where is None else ~F.coalesce(F.expr(source.where), F.lit(False))


def count_left_out(frame: DataFrame, source: Source) -> int:
    """How many rows the source's `where` leaves out. Reads the frame where there is one."""
    return 0 if source.where is None else frame.where(left_out(source)).count()


def as_it_came(line: Column, names: Sequence[str], is_malformed: Column) -> Column:
    """A line, given as a struct of some names, as JSON; the text of a malformed line is in it."""
    options = {"ignoreNullFields": "false"}
    whole = F.to_json(line, options)
    if CORRUPT not in names:
        return whole
    return F.when(is_malformed, whole).otherwise(F.to_json(line.dropFields(CORRUPT), options))


def identified_lines(frame: DataFrame, source: Source) -> DataFrame:
    """The rows that the source's `where` keeps, with the row itself as a struct and its digest `line_id`."""
    own = [name for name in frame.columns if name != c.SOURCE_FILE]
    return frame.where(~left_out(source)).select(
        "*",
        F.struct(*(F.col(f"`{name}`") for name in own)).alias(_LINE),
        _digest(frame, own).alias(c.LINE_ID),
        malformed(frame).alias(IS_MALFORMED),
    )


def typed_lines(spark: SparkSession, frame: DataFrame, source: TransactionSource) -> DataFrame:
    """Order lines with every canonical column typed; what can't be read is null beside its raw value.

    Returns:
        source_file, the line itself as a struct, its digest `line_id`, the canonical columns of `transactions`, a raw_
        column for each, the currency, and whether the line is malformed.
    """
    mapping = source.columns
    _check_where(frame, source)
    lines = with_lookups(spark, identified_lines(frame, source), source).select(
        c.SOURCE_FILE,
        _LINE,
        c.LINE_ID,
        IS_MALFORMED,
        *(column.alias(raw(name)) for name, column in _raw_columns(mapping).items()),
    )
    types = {field.name: field.dataType for field in lines.schema.fields}
    _check_types(types, mapping)

    def number(name: str, type_: str) -> Column:
        is_text = isinstance(types[raw(name)], StringType)
        return as_number(F.col(raw(name)), type_, decimal_comma=source.decimal_comma and is_text)

    quantity = number(c.QUANTITY, _QUANTITY)
    if mapping.amount is not None:
        amount = number(c.AMOUNT, _MONEY)
    else:
        amount = (number(c.AMOUNT, _PRICE) * quantity).try_cast(_MONEY)
    is_return = F.coalesce((quantity if mapping.quantity is not None else amount) < 0, F.lit(False))
    if mapping.is_return is not None:
        is_return = is_return | F.coalesce(F.col(raw(c.IS_RETURN)).try_cast("boolean"), F.lit(False))
    return lines.select(
        "*",
        as_text(F.col(raw(c.CUSTOMER_ID))).alias(c.CUSTOMER_ID),
        as_text(F.col(raw(c.ORDER_ID))).alias(c.ORDER_ID),
        as_timestamp(F.col(raw(c.ORDERED_AT)), source.timestamp_format).alias(c.ORDERED_AT),
        as_text(F.col(raw(c.PRODUCT_ID))).alias(c.PRODUCT_ID),
        as_text(F.col(raw(c.CATEGORY))).alias(c.CATEGORY),
        _negative_when(is_return, quantity).alias(c.QUANTITY),
        _negative_when(is_return, amount).alias(c.AMOUNT),
        F.abs(number(c.DISCOUNT, _MONEY)).alias(c.DISCOUNT),
        as_text(F.col(raw(c.CHANNEL))).alias(c.CHANNEL),
        as_text(F.col(raw(c.BRAND))).alias(c.BRAND),
        as_text(F.col(raw(c.STORE_ID))).alias(c.STORE_ID),
        F.abs(number(c.COUPON, _MONEY)).alias(c.COUPON),
        as_text(F.col(raw(CURRENCY))).alias(CURRENCY),
        is_return.alias(c.IS_RETURN),
        as_text(F.col(raw(c.LINE_NUMBER))).alias(c.LINE_NUMBER),
        storable(as_timestamp(F.col(raw(c.CHANGED_AT)), source.timestamp_format)).alias(c.CHANGED_AT),
    )


def _raw_columns(mapping: TransactionColumns) -> dict[str, Column]:
    """The mapped values as the source has them; a price stands in for an amount."""
    given = mapping.model_dump(exclude={c.UNIT_PRICE})
    given[c.AMOUNT] = mapping.amount or mapping.unit_price
    columns = {name: mapped(text) for name, text in given.items()}
    if mapping.quantity is None:
        columns[c.QUANTITY] = F.lit(1)
    for name in (c.DISCOUNT, c.COUPON):
        if given[name] is None:
            columns[name] = F.lit(0)
    return columns


def _check_where(frame: DataFrame, source: Source) -> None:
    if source.where is None:
        return
    found = frame.select(F.expr(source.where)).schema[0].dataType
    if not isinstance(found, BooleanType):
        raise DataRefusedError(
            f"sources.transactions: where must be true or false for a row, but {source.where!r} is "
            f"{found.simpleString()}"
        )


def _check_types(types: dict[str, DataType], mapping: TransactionColumns) -> None:
    """Refuse a mapping whose columns can't hold what they are mapped to: a cast would make nonsense of them."""
    time = (
        (StringType, DateType, TimestampType, TimestampNTZType),
        "a timestamp, a date or text (of seconds since 1970: timestamp_seconds(...))",
    )
    needed: dict[str, tuple[tuple[type[DataType], ...], str]] = {
        c.ORDERED_AT: time,
        c.CHANGED_AT: time,
        c.IS_RETURN: ((BooleanType, StringType, NumericType), "true or false"),
        **dict.fromkeys(_NUMBERS, ((NumericType, StringType), "a number or its text")),
    }
    problems = []
    for name, expression in mapping.model_dump(exclude_none=True).items():
        target = c.AMOUNT if name == c.UNIT_PRICE else name
        found = types[raw(target)]
        if target in needed:
            kinds, expected = needed[target]
            fits = isinstance(found, kinds)
        else:
            expected, fits = "text or a number", not isinstance(found, (*_NESTED, BinaryType))
        if not fits and found.typeName() != "void":
            problems.append(f"{name} must be {expected}, but {expression!r} is {found.simpleString()}")
    if problems:
        raise DataRefusedError("sources.transactions: the mapping does not fit the source: " + "; ".join(problems))


def _digest(frame: DataFrame, own: list[str]) -> Column:
    """A digest of the line as it came: 64 bits, for the values that are there and the columns they are in.

    A column that is null or not there makes no difference, so lines keep their digest when a source gets more columns.
    """
    types = {field.name: field.dataType for field in frame.schema.fields}
    values, places = [], F.lit(0).cast("bigint")
    for name in sorted(own):
        value = F.col(f"`{name}`")
        values.append(F.to_json(F.struct(value)) if isinstance(types[name], _NESTED) else value)
        places = places + F.when(value.isNotNull(), F.lit(zlib.crc32(name.encode())).cast("bigint")).otherwise(0)
    # The hash passes over nulls: without the places, (a, null) and (null, a) would be equal.
    return F.xxhash64(*values, places)


def _line_as_it_came(typed: DataFrame) -> Column:
    names = [field.name for field in typed.schema[_LINE].dataType.fields]  # type: ignore[attr-defined]
    return as_it_came(F.col(_LINE), names, F.col(IS_MALFORMED))


def _negative_when(condition: Column, value: Column) -> Column:
    return F.when(condition, -F.abs(value)).otherwise(value)
