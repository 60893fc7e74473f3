"""Customer attributes: one row per customer, with all columns that are mapped."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    CalendarIntervalType,
    DataType,
    DayTimeIntervalType,
    MapType,
    NullType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
    YearMonthIntervalType,
)

from customer_segmentation.config.schema import CustomerSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.features import FEATURES
from customer_segmentation.contract.tables import CUSTOMER_FEATURES, CUSTOMER_SEGMENTS_HISTORY
from customer_segmentation.ingest.expressions import quoted
from customer_segmentation.ingest.rejections import FILE, REASONS, ROW, VALIDATION_COLUMNS, rows_of, validated_rows
from customer_segmentation.ingest.sources import CORRUPT, malformed, require_columns
from customer_segmentation.ingest.values import as_id, mapped

RESERVED = frozenset(
    {
        *CUSTOMER_FEATURES.column_names,
        *CUSTOMER_SEGMENTS_HISTORY.column_names,
        *(f"z_{feature.name}" for feature in FEATURES),
        c.SECOND_SEGMENT_ID,
        *VALIDATION_COLUMNS,
    }
)
"""What stands beside attributes when customers are described, clustered or assigned: no attribute has such a name."""

_SOURCE_NAME = "source_name"
"""Key in a column's metadata: what the source calls an attribute that has another name here."""
_MAX_RENAMED_SHOWN = 10
_NESTED = (StructType, MapType, VariantType)
_WITHOUT_A_TABLE_TYPE = (NullType, CalendarIntervalType, DayTimeIntervalType, YearMonthIntervalType)


def mapped_customers(spark: SparkSession, sources: Sequence[CustomerSource]) -> DataFrame:
    """Every row that the sources' `where` keep.

    Returns:
        customer_id, then the mapped attributes, or all of the source's with none mapped; and `VALIDATION_COLUMNS`: a
        row without a customer is rejected. A name that a table can't have, or that is `RESERVED`, is made into another
        one, see `renamed_attributes`. Where sources have an attribute in different types that are not all numbers, it
        is text.
    """
    frames = [_mapped(spark, source) for source in sources]
    types = _common_types(frame for frame, _ in frames)
    source_names = {name: source_name for _, names in reversed(frames) for name, source_name in names.items()}
    rows = reduce(DataFrame.unionByName, [_typed(frame, types) for frame, _ in frames])
    return rows.select(
        c.CUSTOMER_ID,
        *(F.col(quoted(name)).alias(name, metadata=_metadata(name, source_names.get(name))) for name in types),
        *VALIDATION_COLUMNS,
    )


def validated_customers(spark: SparkSession, sources: Sequence[CustomerSource]) -> DataFrame:
    """Like `mapped_customers`, with one row per customer kept.

    Of several rows for one customer the one with the largest values is kept, so the choice does not depend on their
    order; the others are rejected.
    """
    rows = mapped_customers(spark, sources)
    names = attributes(rows)
    largest_first = [F.struct(*(F.col(quoted(name)) for name in names)).desc()] if names else []
    # Rejected rows are no rivals; their texts keep them from meeting in one place.
    rivals = Window.partitionBy(c.CUSTOMER_ID, F.when(F.size(REASONS) > 0, F.xxhash64(ROW)))
    place = F.row_number().over(rivals.orderBy(*largest_first, ROW, FILE))
    is_another = (F.size(REASONS) == 0) & (place > 1)
    against = F.when(is_another, F.array(F.lit("another_row"))).otherwise(F.col(REASONS))
    return rows.withColumn(REASONS, against)


def attributes(rows: DataFrame) -> list[str]:
    """The names of the attributes in rows of `mapped_customers`."""
    return [name for name in rows.columns if name not in (c.CUSTOMER_ID, *VALIDATION_COLUMNS)]


def renamed_attributes(customers: DataFrame) -> dict[str, str]:
    """What the source calls the attributes that have another name in `customers`, by that name.

    Args:
        customers: rows of `mapped_customers` or of the `customers` table.
    """
    fields = customers.schema.fields
    return {field.name: field.metadata[_SOURCE_NAME] for field in fields if _SOURCE_NAME in (field.metadata or {})}


def describe_renamed(customers: DataFrame) -> str:
    """Which attributes have another name here than in the source, in words; empty where none has."""
    pairs = [f"{source_name!r} is {name}" for name, source_name in renamed_attributes(customers).items()]
    more = f" and {len(pairs) - _MAX_RENAMED_SHOWN} more" if len(pairs) > _MAX_RENAMED_SHOWN else ""
    return f"attributes renamed: {', '.join(pairs[:_MAX_RENAMED_SHOWN])}{more}" if pairs else ""


def _mapped(spark: SparkSession, source: CustomerSource) -> tuple[DataFrame, dict[str, str]]:
    """The rows with the source's attributes under names of ours, and what the source calls those it names otherwise."""
    rows = rows_of(spark, source)
    mapping = source.columns.attributes
    require_columns(source, [source.columns.customer_id, *mapping.values()], rows)
    if mapping:
        columns = {name: mapped(text, rows) for name, text in mapping.items()}
    else:
        not_attributes = {CORRUPT, *VALIDATION_COLUMNS}
        columns = {
            name: F.col(quoted(name))
            for name in rows.columns
            if name not in not_attributes and not _is_name(source.columns.customer_id, name)
        }
    names = _unique_names(columns)
    customer_id = as_id(mapped(source.columns.customer_id, rows))
    frame = validated_rows(
        rows,
        {"malformed_line": malformed(rows), "missing_customer": customer_id.isNull()},
        customer_id.alias(c.CUSTOMER_ID),
        *(column.alias(names[source_name]) for source_name, column in columns.items()),
    )
    return frame, {name: source_name for source_name, name in names.items() if name != source_name}


def _is_name(expression: str, name: str) -> bool:
    """Whether an expression is just the name of a column."""
    text = expression.strip()
    if len(text) > 1 and text[0] == text[-1] == "`":
        text = text[1:-1].replace("``", "`")
    return text.lower() == name.lower()


def _unique_names(source_names: Iterable[str]) -> dict[str, str]:
    """A name for each attribute that a table takes, none twice in upper or lower case, none of them `RESERVED`.

    A name that may stay as it is stays, whatever comes before it.
    """
    source_names = list(source_names)
    names: dict[str, str] = {}
    taken = set(RESERVED)
    for name in source_names:
        if name == _safe(name) and name.lower() not in taken:
            names[name] = name
            taken.add(name.lower())
    for source_name in source_names:
        if source_name in names:
            continue
        base = _safe(source_name)
        if base.lower() in RESERVED:
            base = f"source_{base}"
        name, number = base, 2
        while name.lower() in taken:
            name, number = f"{base}_{number}", number + 1
        names[source_name] = name
        taken.add(name.lower())
    return {source_name: names[source_name] for source_name in source_names}


def _safe(name: str) -> str:
    """A name Delta takes: anything but letters, digits and underscores becomes an underscore."""
    return "".join(character if character.isalnum() or character == "_" else "_" for character in name) or "_"


def _common_types(frames: Iterable[DataFrame]) -> dict[str, DataType | None]:
    """The attributes of all frames, each with the one type that it has; None where numbers differ in theirs."""
    spelled: dict[str, str] = {}
    types_by_name: dict[str, list[DataType]] = {}
    for frame in frames:
        for field in frame.schema.fields:
            if field.name not in (c.CUSTOMER_ID, *VALIDATION_COLUMNS):
                name = spelled.setdefault(field.name.lower(), field.name)
                types_by_name.setdefault(name, []).append(_table_type(field.dataType))
    return {name: _common(types) for name, types in types_by_name.items()}


def _common(types: list[DataType]) -> DataType | None:
    if all(type_ == types[0] for type_ in types):
        return types[0]
    return None if all(isinstance(type_, NumericType) for type_ in types) else StringType()


def _table_type(type_: DataType) -> DataType:
    """The type in the table: what it can't hold, or what has no order, is text."""
    if isinstance(type_, TimestampNTZType):
        return TimestampType()
    if isinstance(type_, (*_WITHOUT_A_TABLE_TYPE, *_NESTED)):
        return StringType()
    if isinstance(type_, ArrayType):
        return type_ if _table_type(type_.elementType) == type_.elementType else StringType()
    return type_


def _typed(frame: DataFrame, types: Mapping[str, DataType | None]) -> DataFrame:
    """The rows with all attributes in their types; null where the frame has none of the name."""
    fields = {field.name.lower(): field for field in frame.schema.fields}

    def typed(name: str, type_: DataType | None) -> Column:
        field = fields.get(name.lower())
        if field is None:
            return F.lit(None) if type_ is None else F.lit(None).cast(type_)
        column = F.col(quoted(field.name))
        if type_ is None or type_ == field.dataType:
            return column
        is_nested = isinstance(field.dataType, (*_NESTED, ArrayType))
        return F.to_json(column) if is_nested else column.cast(type_)

    return frame.select(
        c.CUSTOMER_ID, *(typed(name, type_).alias(name) for name, type_ in types.items()), *VALIDATION_COLUMNS
    )


def _metadata(name: str, source_name: str | None) -> dict[str, str]:
    if source_name is None:
        return {"comment": f"Attribute {name}, as the source has it."}
    return {"comment": f"Attribute, named {source_name} in the source.", _SOURCE_NAME: source_name}
