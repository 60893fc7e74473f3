"""Order lines, mapped, typed and validated one by one: all that needs no other line."""

import zlib
from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from customer_segmentation.config.schema import Source, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import CHECKS, CURRENCY, IS_MALFORMED, raw
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.ingest.checks import FAILED, CheckSuite
from customer_segmentation.ingest.expressions import columns_of, gives_local_time, is_column, quoted
from customer_segmentation.ingest.sources import CORRUPT, malformed, place_of, require_columns, with_lookups
from customer_segmentation.ingest.values import (
    TIME,
    NumberStyle,
    as_id,
    as_number,
    as_text,
    as_timestamp,
    mapped,
    source_value,
    storable,
    time_text,
)

LINE = "_line"
"""The column of the line itself, as a struct."""
OWN_COLUMNS = [name for name in TRANSACTIONS.column_names if name != c.WARNINGS]
"""What a line has of its own in `transactions`."""
_MONEY = "decimal(18,2)"
_PRICE = "decimal(18,6)"
_QUANTITY = "decimal(18,3)"

_NESTED = (ArrayType, MapType, StructType, VariantType)
_NUMBERS = (c.QUANTITY, c.AMOUNT, c.DISCOUNT, c.COUPON)
_TIMES = (c.ORDERED_AT, c.CHANGED_AT)


def validated_lines(spark: SparkSession, frame: DataFrame, source: TransactionSource, suite: CheckSuite) -> DataFrame:
    """Every line of a source that its `where` keeps, with the codes of the checks that it fails by itself.

    Args:
        frame: rows of the source as `sources.read_source` gives them.
        source: the mapping.
        suite: the checks.

    Returns:
        source_file, row (the line as JSON), the columns of `transactions`, reasons (codes of the checks that reject
        the line); ingested_at and batch_id, null until the line is rejected.

    Raises:
        DataRejectedError: a mapped column has a type that can't be what it is mapped to.
    """
    return with_codes(checked_lines(spark, frame, source, suite), suite)


def checked_lines(spark: SparkSession, frame: DataFrame, source: TransactionSource, suite: CheckSuite) -> DataFrame:
    """Like `validated_lines`, in a compact form to persist: `with_codes` makes texts of it.

    Returns:
        source_file, the line itself as a struct, the columns of `transactions` but warnings, and the checks that it
        failed as bits of a number (see `CheckSuite.failed`).
    """
    # A check of somebody's own may read what the source has for a value, also where the value can be read.
    has_own = any(check not in CHECKS for check in suite.checks)
    return typed_lines(spark, frame, source, timezone=suite.timezone, only_unread=not has_own).select(
        c.SOURCE_FILE, LINE, *OWN_COLUMNS, suite.failed().alias(FAILED), IS_MALFORMED
    )


def with_codes(lines: DataFrame, suite: CheckSuite) -> DataFrame:
    """The lines of `checked_lines`, or some of them, in the form of `validated_lines`."""
    return lines.select(
        c.SOURCE_FILE,
        _row_as_json(lines).alias(c.ROW),
        *OWN_COLUMNS,
        suite.failed_codes("warn").alias(c.WARNINGS),
        suite.failed_codes("reject").alias(c.REASONS),
        F.lit(None).cast("timestamp").alias(c.INGESTED_AT),
        F.lit(None).cast("string").alias(c.BATCH_ID),
    )


def as_transactions(lines: DataFrame, suite: CheckSuite) -> DataFrame:
    """The lines of `checked_lines` as rows of `transactions`."""
    return lines.withColumn(c.WARNINGS, suite.failed_codes("warn")).select(TRANSACTIONS.column_names)


def is_filtered_out(source: Source, rows: DataFrame) -> Column:
    """Whether the source's `where` filters a row out; null filters it out too.

    Args:
        rows: of the source; see `values.mapped`.
    """
    return F.lit(False) if source.where is None else ~F.coalesce(mapped(source.where, rows), F.lit(False))


def count_filtered_out(frame: DataFrame, source: Source) -> int:
    """How many rows the source's `where` filters out. Reads the frame where there is one."""
    return 0 if source.where is None else frame.where(is_filtered_out(source, frame)).count()


def struct_names(frame: DataFrame, name: str) -> list[str]:
    """The names of the fields of a column that is a struct."""
    return [field.name for field in frame.schema[name].dataType.fields]  # type: ignore[attr-defined]


def line_as_json(line: Column, names: Sequence[str], is_malformed: Column) -> Column:
    """A line, given as a struct of some names, as JSON; the text of a malformed line is in it."""
    options = {"ignoreNullFields": "false"}
    whole = F.to_json(line, options)
    if CORRUPT not in names:
        return whole
    return F.when(is_malformed, whole).otherwise(F.to_json(line.dropFields(CORRUPT), options))


def typed_lines(
    spark: SparkSession,
    frame: DataFrame,
    source: TransactionSource,
    *,
    timezone: str = "UTC",
    only_unread: bool = False,
) -> DataFrame:
    """Order lines with every canonical column typed; what can't be read is null beside its raw value.

    Args:
        frame: rows of the source as `sources.read_source` gives them.
        source: the mapping.
        timezone: of local times, where the source has none of its own.
        only_unread: of a value that was read, the raw_ column may be empty text: to write numbers and times as text
            costs more than to read them.

    Returns:
        source_file, the line itself as a struct, its digest `line_id`, the canonical columns of `transactions`, a raw_
        column for what may be unreadable, the currency, and whether the line is malformed.

    Raises:
        DataRejectedError: a column of the mapping is not there, or has a type that can't be what it is mapped to.
    """
    mapping, own = source.columns, sorted((name for name in frame.columns if name != c.SOURCE_FILE), key=CORRUPT.__eq__)
    _check_where(frame, source)
    kept = frame.where(~is_filtered_out(source, frame)).select(
        "*", F.struct(*(F.col(quoted(name)) for name in own)).alias(LINE), malformed(frame).alias(IS_MALFORMED)
    )
    rows = with_lookups(spark, kept, source)
    require_columns(source, mapping.model_dump(exclude_none=True).values(), rows, own=frame)
    style = NumberStyle(source.decimal_comma, source.accounting)
    texts = mapping.model_dump(exclude={c.UNIT_PRICE}) | {c.AMOUNT: mapping.amount or mapping.unit_price}
    texts |= {name: time_text(text, rows, source) for name in _TIMES if (text := texts[name]) is not None}
    values = {name: mapped(text, rows, style=style) for name, text in texts.items()}
    schema = rows.select(*(value.alias(name) for name, value in values.items())).schema
    types = {name: schema[name].dataType for name in texts}
    _check_types(types, source)

    def written(name: str) -> Column:
        text = source_value(texts[name], rows, style=style, only_failed=name in (c.DISCOUNT, c.COUPON))
        read = _read_for_certain(name, values[name], types[name], source) if only_unread else None
        return text if read is None else F.when(read.isNotNull(), F.lit("")).otherwise(text)

    flag = _as_flag(values[c.IS_RETURN], types[c.IS_RETURN])
    said = source_value(texts[c.IS_RETURN], rows, style=style, only_failed=True).cast("string")
    unread_flag = F.when(flag.isNull() & (F.lower(said) != "nan"), said)
    lines = rows.select(
        c.SOURCE_FILE,
        LINE,
        IS_MALFORMED,
        *([F.col(CORRUPT)] if CORRUPT in own else []),
        *(value.alias(_value(name)) for name, value in values.items()),
        *(written(name).alias(raw(name)) for name in (*_NUMBERS, *_TIMES)),
        unread_flag.alias(raw(c.IS_RETURN)),
    )
    numbers = lines.select("*", *_numbers(source, types))
    typed = numbers.select("*", *_typed(source, texts, types, source.timezone or timezone))
    from_source = [name for name, text in texts.items() if text is not None and _is_of(own, text)]
    rests_on = _looked_up_by(source, own, texts, from_source)
    return typed.withColumn(c.LINE_ID, _digest(from_source, rests_on, has_text=CORRUPT in own))


def _kinds(source: TransactionSource) -> dict[str, str]:
    """The type that each number is read as."""
    amount = _PRICE if source.columns.amount is None else _MONEY
    return {c.QUANTITY: _QUANTITY, c.AMOUNT: amount, c.DISCOUNT: _MONEY, c.COUPON: _MONEY}


def _read_for_certain(name: str, value: Column, type_: DataType, source: TransactionSource) -> Column | None:
    """A column that is null wherever the canonical column of a value is; None where that is not so simple."""
    if name == c.ORDERED_AT:
        is_time = isinstance(type_, (DateType, TimestampType, TimestampNTZType)) and not source.timestamp_format
        return value if is_time else None
    # A price can be read and its product be too large.
    is_number = isinstance(type_, NumericType) and not (name == c.AMOUNT and source.columns.amount is None)
    return value.try_cast(_kinds(source)[name]) if is_number and name in _NUMBERS else None


def _numbers(source: TransactionSource, types: Mapping[str, DataType]) -> list[Column]:
    """The values that are numbers, each once: several columns are made of them."""
    style = NumberStyle(source.decimal_comma, source.accounting)
    return [
        as_number(_value(name), kind, style=style, is_text=isinstance(types[name], StringType)).alias(_number(name))
        for name, kind in _kinds(source).items()
    ]


def _typed(
    source: TransactionSource, texts: Mapping[str, str | None], types: Mapping[str, DataType], timezone: str
) -> list[Column]:
    """The canonical columns, of the mapped values."""
    mapping = source.columns

    def money(name: str) -> Column:
        return F.abs(F.col(_number(name))) if getattr(mapping, name) else F.lit(0).cast(_MONEY)

    def time(name: str) -> Column:
        text = texts[name]
        if text is None:
            return F.lit(None).cast("timestamp")
        value, is_local = F.col(_value(name)), gives_local_time(text)
        return as_timestamp(value, source.timestamp_format, timezone=timezone, is_local=is_local)

    def text(name: str) -> Column:
        value = F.col(_value(name))
        return value if getattr(mapping, name) is None else as_text(value, types[name])

    flag = F.lit(False)
    if mapping.is_return is not None:
        flag = F.coalesce(_as_flag(F.col(_value(c.IS_RETURN)), types[c.IS_RETURN]), F.lit(False))
    quantity = F.col(_number(c.QUANTITY)) if mapping.quantity is not None else F.lit(1).cast(_QUANTITY)
    if mapping.amount is not None:
        amount = F.col(_number(c.AMOUNT))
    else:
        amount = (F.col(_number(c.AMOUNT)) * quantity).try_cast(_MONEY)
    is_return = flag | F.coalesce((quantity if mapping.quantity is not None else amount) < 0, F.lit(False))
    if mapping.amount is not None and mapping.quantity is not None:
        # Money that is returned without goods.
        no_goods = quantity == 0
        if mapping.is_return is not None:
            no_goods = no_goods | F.col(raw(c.QUANTITY)).isNull()
        is_refund = F.coalesce(no_goods & ((amount < 0) | (flag & (amount != 0))), F.lit(False))
        is_return = is_return | is_refund
        quantity = F.when(is_refund, F.lit(0).cast(_QUANTITY)).otherwise(quantity)
    return [
        as_id(F.col(_value(c.CUSTOMER_ID)), types[c.CUSTOMER_ID]).alias(c.CUSTOMER_ID),
        as_id(F.col(_value(c.ORDER_ID)), types[c.ORDER_ID]).alias(c.ORDER_ID),
        time(c.ORDERED_AT).alias(c.ORDERED_AT),
        text(c.PRODUCT_ID).alias(c.PRODUCT_ID),
        text(c.CATEGORY).alias(c.CATEGORY),
        _negative_when(is_return, quantity).alias(c.QUANTITY),
        _negative_when(is_return, amount).alias(c.AMOUNT),
        money(c.DISCOUNT).alias(c.DISCOUNT),
        text(c.CHANNEL).alias(c.CHANNEL),
        text(c.BRAND).alias(c.BRAND),
        text(c.STORE_ID).alias(c.STORE_ID),
        money(c.COUPON).alias(c.COUPON),
        text(CURRENCY).alias(CURRENCY),
        is_return.alias(c.IS_RETURN),
        text(c.LINE_NUMBER).alias(c.LINE_NUMBER),
        storable(time(c.CHANGED_AT)).alias(c.CHANGED_AT),
    ]


def _value(name: str) -> str:
    """The column that holds the value of the mapping of a canonical column."""
    return f"value_{name}"


def _number(name: str) -> str:
    """The column that holds that value as a number."""
    return f"number_{name}"


def _as_flag(value: Column, type_: DataType) -> Column:
    """True or false, also from text such as yes, n or, as tables with gaps are written, 1.0; NaN is neither."""
    if isinstance(type_, (FloatType, DoubleType)):
        return F.when(~F.isnan(value), value.cast("boolean"))
    if not isinstance(type_, StringType):
        return value.try_cast("boolean")
    text = as_text(value, type_)
    return F.coalesce(text.try_cast("boolean"), text.try_cast("decimal(1,0)").cast("boolean"))


def _is_of(own: Sequence[str], text: str) -> bool:
    """Whether an expression is made of the source's own columns, and of no look-up's."""
    names = {name.lower() for name in own}
    return all(name.lower() in names for name in columns_of(text))


def _check_where(frame: DataFrame, source: Source) -> None:
    if source.where is None:
        return
    require_columns(source, [source.where], frame)
    type_ = frame.select(mapped(source.where, frame)).schema[0].dataType
    if not isinstance(type_, BooleanType):
        raise DataRejectedError(
            f"{place_of(source)}: where must be true or false for a row, but {source.where!r} is {type_.simpleString()}"
        )


def _check_types(types: dict[str, DataType], source: TransactionSource) -> None:
    """Reject a mapping whose columns can't hold what they are mapped to: a cast would make nonsense of them."""
    needed: dict[str, tuple[tuple[type[DataType], ...], str]] = {
        c.ORDERED_AT: TIME,
        c.CHANGED_AT: TIME,
        c.IS_RETURN: ((BooleanType, StringType, NumericType), "true or false"),
        **dict.fromkeys(_NUMBERS, ((NumericType, StringType), "a number or its text")),
    }
    problems = []
    for name, expression in source.columns.model_dump(exclude_none=True).items():
        target = c.AMOUNT if name == c.UNIT_PRICE else name
        type_ = types[target]
        if target in needed:
            kinds, expected = needed[target]
            fits = isinstance(type_, kinds)
        else:
            expected, fits = "text or a number", not isinstance(type_, (*_NESTED, BinaryType))
        if not fits and type_.typeName() != "void":
            problems.append(f"{name} must be {expected}, but {expression!r} is {type_.simpleString()}")
    if problems:
        raise DataRejectedError(f"{place_of(source)}: the mapping does not fit the source: {'; '.join(problems)}")


def _looked_up_by(
    source: TransactionSource, own: Sequence[str], texts: Mapping[str, str | None], from_source: Sequence[str]
) -> list[str]:
    """The source's own columns that mapped columns of look-ups rest on, but for those that are mapped themselves."""
    mapped_as_is = {columns_of(texts[name] or "")[0].lower() for name in from_source if is_column(texts[name] or "")}
    looked_up = [text for name, text in texts.items() if text is not None and name not in from_source]
    used = [name for text in looked_up for name in columns_of(text)]
    used += [name for lookup in source.joins for name in lookup.using] if looked_up else []
    names = {name.lower() for name in used} - mapped_as_is
    return [name for name in own if name.lower() in names and name != CORRUPT]


def _digest(names: Sequence[str], rests_on: Sequence[str], *, has_text: bool) -> Column:
    """A digest that equal lines share, in 64 bits: of the mapped values, or of their texts where they are unreadable.

    A column that nobody mapped, or that comes from a look-up, makes no difference; nor does one that is null.

    Args:
        names: canonical columns.
        rests_on: the source's own columns that say what a look-up gives.
        has_text: whether the text of a malformed line is there.
    """
    values: list[Column] = []
    places = F.lit(0).cast("bigint")
    for name in rests_on:
        value = F.col(LINE).getField(name).cast("string")
        values.append(value)
        places = places + F.when(
            value.isNotNull(), F.lit(zlib.crc32(f"{LINE}.{name}".encode())).cast("bigint")
        ).otherwise(0)
    for name in [*sorted(names), *([CORRUPT] if has_text else [])]:
        parts = [F.col(name)]
        if name in (*_NUMBERS, *_TIMES):
            parts.append(F.when(F.col(name).isNull(), F.col(raw(name))))
        if name == c.IS_RETURN:
            parts.append(F.col(raw(name)))
        values += parts
        is_there = reduce(Column.__or__, (part.isNotNull() for part in parts))
        places = places + F.when(is_there, F.lit(zlib.crc32(name.encode())).cast("bigint")).otherwise(0)
    # The hash passes over nulls: without the places, (a, null) and (null, a) would be equal.
    return F.xxhash64(*values, places)


def _row_as_json(typed: DataFrame) -> Column:
    return line_as_json(F.col(LINE), struct_names(typed, LINE), F.col(IS_MALFORMED))


def _negative_when(condition: Column, value: Column) -> Column:
    return F.when(condition, -F.abs(value)).otherwise(value)
