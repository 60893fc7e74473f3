"""Reads files of one source whose formats differ slightly as one table.

Files come with the same columns in another order, case or spacing, with columns more or fewer, with other types, as
arrays or a value a line. What can be read together is put into a group by what its first bytes say (see `sniffing`);
what can't is rejected by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    MapType,
    NumericType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from customer_segmentation.contract.columns import SOURCE_FILE
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest import sniffing
from customer_segmentation.ingest.expressions import quoted
from customer_segmentation.ingest.folders import FolderColumns, folder_columns
from customer_segmentation.ingest.paths import exact
from customer_segmentation.ingest.sniffing import Head, NotReadableError
from customer_segmentation.ingest.values import as_text

CORRUPT = "_corrupt_record"
"""Column that holds the text of a line that does not have the columns of its file."""
_ORIGINAL = "original_"
OWN_SOURCE_FILE = f"{_ORIGINAL}{SOURCE_FILE}"
"""What a column is called, but for the case, that a source itself calls source_file."""
TYPE_IN_FILES = "type_in_files"
"""Key in a column's metadata: the type that files have it in, where it is another one for the sake of all files."""
VOID = "void"
"""The type of a column that holds nothing."""
_HIDDEN = "_hidden_by_folder_"
"""Begins the name of a column that a file has, and its folder too."""

_OF_SPARK = {
    "ascii": "US-ASCII",
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-be": "UTF-16BE",
    "utf-16-le": "UTF-16LE",
    "utf-32": "UTF-32",
}
"""Encodings that Spark reads text in whatever its settings, by Python's names."""
_ANY_ENCODING = "spark.sql.legacy.javaCharsets"
_TIMES = (DateType, TimestampType, TimestampNTZType)
_NESTED = (ArrayType, MapType, StructType, VariantType, BinaryType)
_FLOATS, _EXACT = (FloatType, DoubleType), (LongType, DecimalType)
"""Numbers of which the first can't hold all digits of the second."""
_SIGNED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}
_NANOSECONDS_IN_MICROSECOND = 1_000


def castable(types: Mapping[str, str]) -> dict[str, str]:
    """Types of columns that values can be given: text where a column holds nothing."""
    return {name: "string" if type_ == VOID else type_ for name, type_ in types.items()}


def kept_apart(name: str) -> str:
    """What a column of a source is called in its rows: another name for the one that rows have for their origin."""
    return f"{_ORIGINAL}{name}" if name.lower() == SOURCE_FILE else name


def original_name(name: str) -> str:
    """The name in the source of a column that is called `kept_apart` of it."""
    return name.removeprefix(_ORIGINAL) if name.lower() == OWN_SOURCE_FILE else name


@dataclass(frozen=True)
class Group:
    """Files that Spark reads in one go.

    reader: with all options.
    names: what the columns of the files are called in the rows, where that differs.
    schema: of the files; None where Spark finds it out.
    signs: characters to put right in every text, see `sniffing.single_byte_signs`.
    nanoseconds: columns that are read as whole numbers of nanoseconds since 1970, by whether they are moments.
    has_corrupt: whether `CORRUPT` is to be read too.
    known: columns that other files have, where the values of these alone don't show the types.
    base: the folder below which folders named column=value are columns.
    folder_columns: these columns; their values are text as it stands, and come before a column of that name in a file.
    empty: columns of the files that hold nothing, as their schema says, and so have no type; they are in no row.
    """

    reader: DataFrameReader
    files: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)
    schema: StructType | None = None
    signs: Mapping[str, str] = field(default_factory=dict)
    nanoseconds: Mapping[str, bool] = field(default_factory=dict)
    has_corrupt: bool = False
    known: StructType = field(default_factory=StructType)
    base: str | None = None
    folder_columns: Sequence[str] = ()
    empty: Sequence[str] = ()

    def rows(self, *more: Column) -> DataFrame:
        """The rows of the files and more columns of them."""
        reader, schema = self._reader(), self.schema
        if self.has_corrupt:
            # A column of its own catches what does not fit the others; Spark makes it only when the schema names it.
            schema = _with_known(schema or self.inferred(), self.known)
            schema = StructType([*_own_fields(schema), StructField(CORRUPT, StringType())])
            reader = reader.option("columnNameOfCorruptRecord", CORRUPT)
        frame = (reader if schema is None else reader.schema(self._with_folder_columns(schema))).load(self._paths())
        if schema is None and self._has_folder_numbers(frame.schema):
            frame = reader.schema(self._with_folder_columns(frame.schema)).load(self._paths())
        return frame.select(
            *(
                self._value(f.name, f.dataType).alias(self._name(f.name))
                for f in frame.schema.fields
                if not f.name.startswith(_HIDDEN) and self._name(f.name) not in self.empty
            ),
            *more,
        )

    def inferred(self) -> StructType:
        """The columns of the files as Spark finds them out."""
        return self._reader().load(self._paths()).schema

    def _reader(self) -> DataFrameReader:
        return self.reader if self.base is None else self.reader.option("basePath", self.base)

    def _paths(self) -> list[str]:
        return [exact(file) for file in self.files]

    def _has_folder_numbers(self, schema: StructType) -> bool:
        """Whether the session takes a value such as 007 in the name of a folder for a number, or a date."""
        names = {name.lower() for name in self.folder_columns}
        return any(f.name.lower() in names and not isinstance(f.dataType, StringType) for f in schema.fields)

    def _with_folder_columns(self, schema: StructType) -> StructType:
        """With the folders' columns as text. A column of such a name that the files have keeps its place, hidden."""
        names = {name.lower(): name for name in self.folder_columns}
        if self.schema is None:  # Spark has put the folders' columns in
            own = [column for column in schema.fields if column.name.lower() not in names]
        else:
            own = [
                StructField(_HIDDEN + column.name, column.dataType) if column.name.lower() in names else column
                for column in schema.fields
            ]
        return StructType([*own, *(StructField(name, StringType()) for name in names.values())])

    def _name(self, name: str) -> str:
        return kept_apart(self.names.get(name, self._right(name)))

    def _value(self, name: str, type_: DataType) -> Column:
        value = F.col(quoted(name))
        if name in self.nanoseconds:
            moment = F.timestamp_micros(F.floor(value / _NANOSECONDS_IN_MICROSECOND).cast("bigint"))
            return moment if self.nanoseconds[name] else moment.cast("timestamp_ntz")
        if self.signs and isinstance(type_, StringType):
            return F.translate(value, "".join(self.signs), "".join(self.signs.values()))
        return value

    def _right(self, name: str) -> str:
        return "".join(self.signs.get(sign, sign) for sign in name)


def file_groups(
    spark: SparkSession,
    format_: str,
    files: Sequence[str],
    options: Mapping[str, str],
    *,
    wanted: Sequence[str],
    place: str,
    known: Mapping[str, str],
) -> list[Group]:
    """The files of a source in groups that Spark reads in one go each; those without a row are in none.

    Args:
        files: sorted.
        options: Spark's, for the format.
        wanted: names that the mapping uses: a column whose name differs from one in case, spacing or punctuation alone
            is called so.
        place: of the source in the configuration, for messages.
        known: the columns of other files, with their types.

    Raises:
        DataRejectedError: a file is not what its source says.
    """
    if not files:
        return []
    heads = {} if format_ == "parquet" else _heads(spark, format_, files, options, place)
    files = [file for file in files if not (file in heads and heads[file].is_empty)]
    if not files:
        return []
    if format_ == "json":
        return _json_groups(spark, files, heads, options, place, _struct_of(spark, known))
    if format_ == "parquet":
        return _parquet_groups(spark, files, options, wanted, place)
    return _csv_groups(spark, files, heads, options, wanted, place)


def by_folders(groups: Sequence[Group], base: str | None, format_: str) -> list[Group]:
    """The groups, split so that the files of each have the same columns from folders named column=value.

    Spark would read those alone that have some, and none where they differ.

    Args:
        base: the folder below which folders are columns; None where none is.
        format_: of the files.
    """
    parts = []
    for group in groups:
        files_by_columns: dict[FolderColumns, list[str]] = {}
        for file in group.files:
            columns = FolderColumns() if base is None else folder_columns(file, base)
            files_by_columns.setdefault(columns, []).append(file)
        parts += [
            replace(group, files=files, base=base if columns.names else None, folder_columns=columns.names)
            for columns, files in files_by_columns.items()
        ]
    return _with_types_of_all(parts) if format_ == "json" and len(parts) > 1 else parts


def _with_types_of_all(groups: Sequence[Group]) -> list[Group]:
    """Groups of JSON that are read with the types that the values of all their files show."""
    schemas = [StructType(_own_fields(group.inferred())) for group in groups]
    shown = reduce(_with_known, schemas)
    return [
        replace(group, known=_with_known(shown, group.known), schema=schema, has_corrupt=True)
        for group, schema in zip(groups, schemas, strict=True)
    ]


def put_together(
    groups: Sequence[Group],
    frames: Sequence[DataFrame],
    *,
    required: Sequence[str],
    used: Sequence[str] | None = None,
    place: str,
    ids: Sequence[str] = (),
    decimal_comma: bool = False,
) -> DataFrame:
    """The rows of all groups, by the names of their columns; a column that a file lacks is null in its rows.

    Args:
        groups: and `frames`, their rows.
        required: columns that no file may lack if another one has them.
        used: columns that anything is made of; others may have any types, and are text where these differ. None: all.
        place: of the source in the configuration, for messages.
        ids: columns whose numbers only tell things apart, so that each digit counts.
        decimal_comma: other numbers that become text, as they are text in other files, are written with a comma.

    Raises:
        DataRejectedError: a file lacks a column, or has a type in a used one that does not go with the others'.
    """
    if len(frames) == 1:
        return frames[0]
    types = [{f.name.lower(): (f.name, f.dataType) for f in frame.schema.fields} for frame in frames]
    spelling = {name: own for schema in types for name, (own, _) in schema.items()}
    for group, schema in zip(groups, types, strict=True):
        own_names = {*schema, *(name.lower() for name in group.empty)}
        missing = [name for name in required if name.lower() in spelling and name.lower() not in own_names]
        if missing:
            has = ", ".join(name for name, _ in schema.values() if name not in (SOURCE_FILE, CORRUPT))
            what = "CSV header" if group.has_corrupt else "file"
            raise DataRejectedError(
                f"{place}: {_first(group)} can't be read: {what} without {', '.join(missing)}, which other files have "
                f"and the mapping uses; it has {has}. Its columns are not those of the other files; read it as a "
                "source of its own"
            )
    id_names = {name.lower() for name in ids}
    used_names = spelling.keys() if used is None else {name.lower() for name in used}
    is_text = {
        name: _common(name, groups, types, place, is_id=name in id_names, is_used=name in used_names)
        for name in spelling
    }

    def common(name: str, own: str, type_: DataType) -> Column:
        value = F.col(quoted(own))
        if is_text[name]:
            value = _as_text_too(value, type_, decimal_comma and name not in id_names)
        return value.alias(spelling[name])

    rows = reduce(
        lambda left, right: left.unionByName(right, allowMissingColumns=True),
        [
            frame.select(*(common(name, own, type_) for name, (own, type_) in schema.items()))
            for frame, schema in zip(frames, types, strict=True)
        ],
    )
    numbers = [
        spelling[name]
        for name, is_made_text in is_text.items()
        if is_made_text and all(isinstance(schema[name][1], NumericType) for schema in types if name in schema)
    ]
    return _with_type_in_files(rows, dict.fromkeys(numbers, DoubleType().simpleString())) if numbers else rows


def with_empty_columns(
    rows: DataFrame, groups: Sequence[Group], *, used: Sequence[str] | None, known: Mapping[str, str]
) -> DataFrame:
    """The rows, with nothing in each used column that is there, but holds nothing in any file.

    Args:
        rows: of all groups.
        used: columns that anything is made of; None: all.
        known: the columns of other files, with their types; where they have none, the column is text.
    """
    there = {name.lower() for name in rows.columns}
    used_names = None if used is None else {name.lower() for name in used}
    empty = {name.lower(): name for group in groups for name in group.empty if name.lower() not in there}
    types = {name.lower(): type_ for name, type_ in known.items() if type_ != VOID}
    return rows.select(
        "*",
        *(
            F.lit(None).cast(types.get(lower, "string")).alias(name, metadata={TYPE_IN_FILES: VOID})
            for lower, name in empty.items()
            if used_names is None or lower in used_names
        ),
    )


def _with_type_in_files(rows: DataFrame, types: Mapping[str, str]) -> DataFrame:
    """The rows, with `TYPE_IN_FILES` of some columns."""
    return rows.select(
        *(
            F.col(quoted(name)).alias(name, metadata={TYPE_IN_FILES: types[name]})
            if name in types
            else F.col(quoted(name))
            for name in rows.columns
        )
    )


def _heads(
    spark: SparkSession, format_: str, files: Sequence[str], options: Mapping[str, str], place: str
) -> dict[str, Head]:
    heads = sniffing.heads(spark, files)
    for head in heads.values():
        try:
            sniffing.require_format(head, format_, _encoding(options))
        except NotReadableError as error:
            raise DataRejectedError(f"{place}: {head.file} can't be read: it {error}") from None
    return heads


def _json_groups(
    spark: SparkSession,
    files: Sequence[str],
    heads: Mapping[str, Head],
    options: Mapping[str, str],
    place: str,
    known: StructType,
) -> list[Group]:
    """Files with a value a line, and those with values over several lines.

    Raises:
        DataRejectedError: there are of both, and more files than are looked at.
    """
    reader = spark.read.format("json").options(**options)
    has_corrupt = bool(known)
    if _option(options, "multiLine") is not None:
        return [Group(reader, files, has_corrupt=has_corrupt, known=known)]
    spanning_lines = [
        file
        for file in files
        if file in heads and sniffing.is_many_lines_each(heads[file].data.decode("utf-8", "replace"))
    ]
    unseen = [file for file in files if file not in heads]
    if spanning_lines and unseen:
        raise DataRejectedError(
            f"{place}: {spanning_lines[0]} has JSON over several lines, and of {len(files):,} files {len(unseen):,} "
            "are too many to look at: set options.multiLine to true if all are so, or read those with a value a line "
            "as a source of its own"
        )
    line_by_line = [file for file in files if file not in set(spanning_lines)]
    return [
        Group(reader.option("multiLine", is_multi_line), group_files, has_corrupt=has_corrupt, known=known)
        for group_files, is_multi_line in ((line_by_line, False), (spanning_lines, True))
        if group_files
    ]


def _struct_of(spark: SparkSession, columns: Mapping[str, str]) -> StructType:
    """Columns with their types."""
    return spark.range(0).select(*(F.lit(None).cast(type_).alias(name) for name, type_ in columns.items())).schema


def _own_fields(schema: StructType) -> list[StructField]:
    return [StructField(column.name, column.dataType) for column in schema.fields if column.name != CORRUPT]


def _with_known(inferred: StructType, known: StructType) -> StructType:
    """The columns of some files with those of others: a value that is missing everywhere does not show its type."""
    others = {column.name.lower(): column for column in known.fields}
    own = [
        StructField(column.name, _type_with_known(column.dataType, others[column.name.lower()].dataType))
        if column.name.lower() in others
        else column
        for column in inferred.fields
    ]
    present = {column.name.lower() for column in inferred.fields}
    return StructType([*own, *(column for name, column in others.items() if name not in present)])


def _type_with_known(inferred: DataType, known: DataType) -> DataType:
    if isinstance(inferred, StructType) and isinstance(known, StructType):
        return _with_known(inferred, known)
    if isinstance(inferred, ArrayType) and isinstance(known, ArrayType):
        return ArrayType(_type_with_known(inferred.elementType, known.elementType))
    return known if isinstance(inferred, StringType) and isinstance(known, _NESTED) else inferred


def _csv_groups(
    spark: SparkSession,
    files: Sequence[str],
    heads: Mapping[str, Head],
    options: Mapping[str, str],
    wanted: Sequence[str],
    place: str,
) -> list[Group]:
    encoding = _encoding(options)
    sep = _option(options, "sep") or _option(options, "delimiter") or ","
    sep = {"\\t": "\t"}.get(sep, sep)
    quote = _option(options, "quote") or ""
    encoding_options, signs = _read_in(spark, encoding, place)
    has_header = (_option(options, "header") or "").lower() == "true"
    is_inferred = (_option(options, "inferSchema") or "").lower() == "true"
    by_header: dict[tuple[str, ...] | None, list[str]] = {}
    in_quotes: set[tuple[str, ...] | None] = set()
    for file in files:
        text = sniffing.csv_text(heads[file], encoding) if file in heads else None
        header = _header(text, sep, quote, has_header=has_header) if text is not None else None
        key = tuple(header) if header and not _option(options, "comment") else None
        by_header.setdefault(key, []).append(file)
        if text and header and sniffing.has_lines_in_quotes(text, len(header), sep=sep, quote=quote):
            in_quotes.add(key)
    if None in by_header and len(by_header) > 1:
        # Files without a head are taken to be as the first one; Spark compares their headers.
        unseen = by_header.pop(None)
        first = next(iter(by_header))
        by_header[first] = [*by_header[first], *unseen]
    else:
        unseen = by_header.get(None, [])
    names = _names([key for key in by_header if key is not None], wanted)
    is_wide = encoding_options.get("encoding", "").startswith(("UTF-16", "UTF-32"))
    groups = []
    for key, group_files in by_header.items():
        reader = spark.read.format("csv").options(**options).options(**encoding_options)
        if (key in in_quotes or is_wide) and _option(options, "multiLine") is None:
            reader = reader.option("multiLine", True)
        if key is None:
            groups.append(Group(reader, group_files, signs=signs, has_corrupt=True))
            continue
        own = _distinct(key)
        schema = None if is_inferred else StructType([StructField(name, StringType()) for name in own])
        if not set(group_files) & set(unseen) and _option(options, "enforceSchema") == "false":
            reader = reader.option("enforceSchema", True)  # compared here
        renamed = dict(zip(own, names[key], strict=True))
        groups.append(Group(reader, group_files, renamed, schema, signs, has_corrupt=True))
    return groups


def _header(text: str, sep: str, quote: str, *, has_header: bool) -> list[str] | None:
    """The names of the columns of a CSV: those in its first line, or else as Spark numbers them."""
    if has_header:
        return sniffing.header_of(text, sep=sep, quote=quote)
    return [f"_c{place}" for place in range(sniffing.width_of(text, sep=sep, quote=quote))] or None


def _read_in(spark: SparkSession, encoding: str | None, place: str) -> tuple[dict[str, str], dict[str, str]]:
    """Options to read an encoding with, and characters to put right then."""
    if encoding is None:
        return {}, {}
    known = _OF_SPARK.get(sniffing.python_encoding(encoding) or "")
    if known is not None:
        return {"encoding": known}, {}
    signs = sniffing.single_byte_signs(encoding)
    if signs is not None:
        return {"encoding": "ISO-8859-1"}, signs
    try:
        spark.conf.set(_ANY_ENCODING, "true")
        spark.range(1).select(F.decode(F.lit("a").cast("binary"), encoding)).collect()
    except PySparkException:
        raise DataRejectedError(f"{place}: this Spark does not read text in {encoding}; write it in UTF-8") from None
    return {"encoding": encoding}, {}


def _parquet_groups(
    spark: SparkSession, files: Sequence[str], options: Mapping[str, str], wanted: Sequence[str], place: str
) -> list[Group]:
    by_columns: dict[tuple[tuple[str, str], ...] | None, list[str]] = {}
    schemas: dict[tuple[tuple[str, str], ...], tuple[pa.Schema, dict[str, bool]]] = {}
    for file in files:
        path = sniffing.local_path(file)
        if path is None:
            by_columns.setdefault(None, []).append(file)
            continue
        if path.stat().st_size == 0:
            continue
        try:
            with pq.ParquetFile(path) as parquet:
                schema, nanoseconds = parquet.schema_arrow, _nanoseconds(parquet)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise DataRejectedError(f"{place}: {file} can't be opened: {error.strerror}") from error
            try:
                sniffing.require_parquet(sniffing.heads(spark, [file])[file])
                why = "it is a damaged Parquet file, or was not written to its end"
            except NotReadableError as kind:
                why = f"it {kind}"
            raise DataRejectedError(f"{place}: {file} can't be read: {why}") from error
        columns = tuple((column.name, str(column.type)) for column in schema)
        schemas[columns] = schema, nanoseconds
        by_columns.setdefault(columns, []).append(file)
    names = _names([tuple(name for name, _ in key) for key in by_columns if key is not None], wanted)
    groups = []
    for key, group_files in by_columns.items():
        reader = spark.read.format("parquet").options(**options)
        if key is None:
            # Elsewhere: Spark reads the columns of every file.
            groups.append(
                Group(
                    reader.options(**{"mergeSchema": "true", **options}) if len(group_files) > 1 else reader,
                    group_files,
                )
            )
            continue
        own = tuple(name for name, _ in key)
        schema, nanoseconds = schemas[key]
        renamed = dict(zip(own, names[own], strict=True))
        empty = [renamed[column.name] for column in schema if pa.types.is_null(column.type)]
        spark_schema = _with_nanoseconds(schema, nanoseconds) if nanoseconds else None
        groups.append(Group(reader, group_files, renamed, spark_schema, nanoseconds=nanoseconds, empty=empty))
    return groups


def _nanoseconds(parquet: pq.ParquetFile) -> dict[str, bool]:
    """The columns of timestamps in nanoseconds, which Spark does not read, by whether they are moments."""
    numbers = {
        column.path
        for column in (parquet.schema.column(place) for place in range(len(parquet.schema)))
        if column.physical_type == "INT64" and "nanoseconds" in str(column.logical_type)
    }
    return {
        column.name: column.type.tz is not None
        for column in parquet.schema_arrow
        if column.name in numbers and pa.types.is_timestamp(column.type)
    }


def _with_nanoseconds(schema: pa.Schema, nanoseconds: Mapping[str, bool]) -> StructType:
    fields = []
    for column in schema:
        type_ = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_null(type_):
            continue
        if column.name in nanoseconds:
            fields.append(StructField(column.name, LongType()))
        else:
            # In nanoseconds, but of the older kind that Spark reads.
            own = pa.schema([pa.field(column.name, _signed(type_))])
            fields.append(from_arrow_schema(own, prefer_timestamp_ntz=True)[0])
    return StructType(fields)


def _signed(type_: pa.DataType) -> pa.DataType:
    """A type whose numbers without a sign have one, in the next larger type, as Spark reads them."""
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(part.name, _signed(part.type)) for part in type_])
    if pa.types.is_map(type_):
        return pa.map_(_signed(type_.key_type), _signed(type_.item_type))
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(_signed(type_.value_type))
    return _SIGNED.get(type_, type_)


def _names(headers: Sequence[tuple[str, ...]], wanted: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """What the columns of each header are called: as the mapping does, else as the first header has them.

    Names that differ in case, spacing and punctuation alone are one column, unless a header has both.
    """
    known: dict[str, str] = {}
    cleaned = {header: _distinct([sniffing.clean_name(name) for name in header]) for header in headers}
    exact = {name.lower(): name for names in reversed(cleaned.values()) for name in names}
    for name in wanted:
        if name.lower() in exact or sniffing.name_key(name) not in known:
            known[sniffing.name_key(name)] = exact.get(name.lower(), name)  # column names are case-insensitive in Spark
    names_by_header: dict[tuple[str, ...], list[str]] = {}
    for header, names in cleaned.items():
        keys = [sniffing.name_key(name) for name in names]
        names_by_header[header] = [
            name if keys.count(key) > 1 else known.setdefault(key, name) for name, key in zip(names, keys, strict=True)
        ]
    return names_by_header


def _distinct(names: Sequence[str]) -> list[str]:
    """Names as Spark makes them for a header: one that is empty or there twice gets its place."""
    lower = [name.lower() for name in names]
    return [
        f"_c{place}" if not name else (f"{name}{place}" if lower.count(name.lower()) > 1 else name)
        for place, name in enumerate(names)
    ]


def _common(
    name: str,
    groups: Sequence[Group],
    types: Sequence[Mapping[str, tuple[str, DataType]]],
    place: str,
    *,
    is_id: bool,
    is_used: bool,
) -> bool:
    """Whether a column is to be text in all groups, as it is in some, or since no type of number holds all its digits.

    Raises:
        DataRejectedError: its types do not go together, and it is used.
    """
    typed_groups = [(group, schema[name][1]) for group, schema in zip(groups, types, strict=True) if name in schema]
    if len({type_ for _, type_ in typed_groups}) == 1:
        return False
    if all(isinstance(type_, NumericType) for _, type_ in typed_groups):
        return is_id and all(any(isinstance(type_, kinds) for _, type_ in typed_groups) for kinds in (_FLOATS, _EXACT))
    if not is_used:
        return True
    if all(isinstance(type_, _TIMES) for _, type_ in typed_groups):
        return any(isinstance(type_, TimestampNTZType | DateType) for _, type_ in typed_groups)
    if any(isinstance(type_, StringType) for _, type_ in typed_groups) and not any(
        isinstance(type_, (*_NESTED, BooleanType)) for _, type_ in typed_groups
    ):
        return True
    first, other = typed_groups[0], next(pair for pair in typed_groups if pair[1] != typed_groups[0][1])
    raise DataRejectedError(
        f"{place}: {_first(other[0])} can't be read with the other files: its column {name} is "
        f"{other[1].simpleString()}, in {_first(first[0])} it is {first[1].simpleString()}; read it as a source of its "
        "own"
    )


def _as_text_too(value: Column, type_: DataType, decimal_comma: bool) -> Column:
    if isinstance(type_, StringType):
        return value
    if isinstance(type_, TimestampType):
        return F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX")
    if isinstance(type_, (ArrayType, MapType, StructType, VariantType)):
        return F.to_json(value)
    text = as_text(value)
    return F.translate(text, ".", ",") if decimal_comma and isinstance(type_, NumericType) else text


def _first(group: Group) -> str:
    return group.files[0]


def _encoding(options: Mapping[str, str]) -> str | None:
    return _option(options, "encoding") or _option(options, "charset")


def _option(options: Mapping[str, str], name: str) -> str | None:
    """Names of options are case-insensitive, as in Spark."""
    return next((value for key, value in options.items() if key.lower() == name.lower()), None)
