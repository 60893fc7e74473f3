"""Reads a configured source as it is: files or a table, with the origin of each line, and its look-ups."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from stat import S_ISREG
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from customer_segmentation.config.environment import from_environment
from customer_segmentation.config.expressions import quoted_place
from customer_segmentation.config.schema import (
    CustomerSource,
    EngagementSource,
    Lookup,
    Relation,
    Source,
    TransactionSource,
)
from customer_segmentation.contract.columns import SOURCE_FILE
from customer_segmentation.contract.errors import DataRejectedError, closest
from customer_segmentation.ingest.expressions import columns_of, quoted
from customer_segmentation.ingest.files import CORRUPT as CORRUPT
from customer_segmentation.ingest.files import (
    OWN_SOURCE_FILE,
    by_folders,
    castable,
    file_groups,
    kept_apart,
    put_together,
    with_empty_columns,
)
from customer_segmentation.ingest.folders import SCHEME, base_folder, parts
from customer_segmentation.ingest.paths import is_pattern, may_match_nothing, readable, resolve
from customer_segmentation.ingest.values import as_text
from customer_segmentation.spark.session import runs_locally

FILE_FORMATS = {"parquet", "csv", "json"}
_PLAIN_PATH = re.compile(r"(?:[A-Za-z0-9_.+-]*/)*[A-Za-z0-9][A-Za-z0-9_.+-]*")
"""That Spark names as it is, and passes over nothing of."""
_DEFAULTS: dict[str, dict[str, str]] = {
    # A short or a long line is recognised only when all columns are read, a file with other columns only when compared.
    # A quote within quotes is doubled (RFC 4180).
    "csv": {"header": "true", "columnPruning": "false", "enforceSchema": "false", "quote": '"', "escape": '"'},
    # A number as it is written, not as the nearest double.
    "json": {"primitivesAsString": "true"},
    # A time without a zone as it is written, whatever zone the virtual machine is in.
    "jdbc": {"fetchsize": "10000", "preferTimestampNTZ": "true"},
}

MADE = (SOURCE_FILE, CORRUPT)
"""Columns that no source has itself."""

_TEXT_FIELDS = (
    *("customer_id", "order_id", "line_number", "product_id", "category", "brand", "channel", "store_id", "currency"),
    *("event_type", "campaign_id"),
)
"""What is mapped to text, whatever it is in the source."""

_DRIVERS = {
    "jdbc:postgresql:": "org.postgresql.Driver",
    "jdbc:mysql:": "com.mysql.cj.jdbc.Driver",
    "jdbc:sqlserver:": "com.microsoft.sqlserver.jdbc.SQLServerDriver",
    "jdbc:oracle:": "oracle.jdbc.OracleDriver",
}
"""By the start of an address. A driver among the session's jars is not loaded without its name."""


def malformed(rows: DataFrame) -> Column:
    """Whether a row, as `read_source` gives it, does not have the columns of its file."""
    return F.col(CORRUPT).isNotNull() if CORRUPT in rows.columns else F.lit(False)


def read_source(
    spark: SparkSession,
    source: Source,
    *,
    files: Sequence[str] | None = None,
    known: Mapping[str, str] | None = None,
    version: int | None = None,
) -> DataFrame:
    """The source's own columns, unchanged, and `source_file`; a row per row of the source.

    A column that the source itself calls source_file is called original_source_file.

    Args:
        files: only these of the source's files.
        known: the columns of its other files, with their types.
        version: of a Delta table, where the source names none.
    """
    if source.format in FILE_FORMATS and source.path is not None:
        essential = essential_columns(source)
        return _read_files(spark, source, files, required=used_columns(source), essential=essential, known=known)
    frame = _load(spark, source, version=version)
    return with_origin(frame, source)


def with_origin(frame: DataFrame, source: Source) -> DataFrame:
    """The rows of a table with its name, or path, in `source_file`."""
    rows = frame.toDF(*map(kept_apart, frame.columns))
    return rows.withColumn(SOURCE_FILE, F.lit(source.table or source.path))


def delta_name(relation: Relation) -> str:
    """A Delta table as a SQL statement names it."""
    if relation.path is None:
        return quoted_place(str(relation.table))
    return f"delta.`{resolve(relation.path).replace('`', '``')}`"


def bounds(spark: SparkSession, relation: Relation, column: str) -> tuple[str | None, str | None]:
    """The smallest and the largest value of a column of a database table, as text; asked of the server."""
    query = f"(SELECT MIN({column}) AS low, MAX({column}) AS high FROM {relation.table}) bounds"
    answer = spark.read.format("jdbc").options(**_options(relation)).option("dbtable", query).load()
    row = answer.select(F.col("low").cast("string"), F.col("high").cast("string")).first()
    assert row is not None, "an aggregation without grouping has one row"
    return row["low"], row["high"]


def files_of(spark: SparkSession, relation: Relation) -> dict[str, tuple[int, str]]:
    """The relation's files by path, each with its size in bytes and when it was written.

    As Spark reads them: of a folder the files in it and in folders below named column=value, unless the option
    recursiveFileLookup asks for all.
    """
    if runs_locally() and (file := single_file(resolve(str(relation.path)))) is not None:
        return file
    try:
        listed = (
            spark.read.format("binaryFile")
            .option("recursiveFileLookup", "true")
            .load(readable(str(relation.path)))
            .select("path", "length", F.col("modificationTime").cast("string").alias("modified"))
            .collect()
        )
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND" or not may_match_nothing(relation):
            raise
        return {}
    return {
        path: (length, modified)
        for path, length, modified in listed
        if _reads_all_folders(relation) or _is_read(path, resolve(str(relation.path)))
    }


def single_file(path: str) -> dict[str, tuple[int, str]] | None:
    """What `files_of` says of a path that is a single file of this machine, without Spark; None where it is not."""
    absolute = "/" + os.path.abspath(path).lstrip("/")  # noqa: PTH100 (without .. in it, as Spark names files)
    if not _PLAIN_PATH.fullmatch(path) or path.endswith("._COPYING_"):
        return None
    try:
        status = os.stat(absolute)  # noqa: PTH116
    except OSError:
        return None
    if not S_ISREG(status.st_mode) or status.st_size == 0:  # Spark reads no empty file
        return None
    seconds, milliseconds = divmod(status.st_mtime_ns // 10**6, 1000)
    modified = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    fraction = f".{milliseconds:03}".rstrip("0").rstrip(".")
    return {f"file:{absolute}": (status.st_size, modified + fraction)}


def has_file(spark: SparkSession, relation: Relation, file: str) -> bool:
    """Whether a file is one that the relation is read from, or was before it went.

    Args:
        file: its address, as Spark names it in an error.
    """
    file = unquote(file)
    if relation.path is not None:
        path = resolve(relation.path)
        is_read = relation.format == "delta" or _reads_all_folders(relation) or _is_read(file, path)
        return is_read and _lies_at(file, path)
    if relation.format == "jdbc":
        return False
    try:
        files = spark.read.table(quoted_place(str(relation.table))).inputFiles()
    except PySparkException:
        return False
    return parts(file) in [parts(unquote(each)) for each in files]


def with_lookups(spark: SparkSession, frame: DataFrame, source: Source) -> DataFrame:
    """The rows with the columns of the source's look-ups.

    A look-up adds columns and never rows: of several rows with one key it takes the largest, so the choice
    does not depend on their order. A column that the source has itself, or an earlier look-up, is not replaced.

    Raises:
        DataRejectedError: a look-up, or the source, lacks a column that they are joined by.
    """
    for lookup in source.joins:
        rows = _load(spark, lookup)
        if SOURCE_FILE in rows.columns:
            rows = rows.drop(SOURCE_FILE)
        place = f"{place_of(source)}: the look-up {lookup.table or lookup.path}"
        _require(lookup.using, rows.columns, f"{place} does not fit: there")
        _require(lookup.using, frame.columns, f"{place} is joined by a column that the source does not have: there")
        frame = _joined(frame, rows, lookup.using)
    return frame


def _joined(frame: DataFrame, rows: DataFrame, key: Sequence[str]) -> DataFrame:
    """The frame with the columns of a look-up that it does not have itself, where its key has a row there.

    Names are compared without case. A text is looked up among numbers as it is written: 7 is the number 7, 007 is not.
    """
    types, types_there = ({f.name.lower(): f.dataType for f in each.schema.fields} for each in (frame, rows))
    added = [name for name in rows.columns if name.lower() not in (*types, CORRUPT)]
    if not added:
        return frame
    keys, is_equal = {}, F.lit(True)
    for place, name in enumerate(key):
        type_, type_there = types[name.lower()], types_there[name.lower()]
        here, there = F.col(quoted(name)), F.col(quoted(name))
        if isinstance(type_, StringType) != isinstance(type_there, StringType):
            here, there = as_text(here, type_), as_text(there, type_there)
        keys[f"_key_{place}"] = there
        is_equal = is_equal & (here == F.col(f"_key_{place}"))
    first = {name.lower(): place for place, name in enumerate(key)}
    own = sorted(frame.columns, key=lambda name: first.get(name.lower(), len(first)))
    joined = frame.join(_one_row_per_key(rows, keys, added), on=is_equal, how="left")
    return joined.select(*(F.col(quoted(name)) for name in (*own, *added)))


def require_columns(source: Source, texts: Iterable[str], rows: DataFrame, *, own: DataFrame | None = None) -> None:
    """Make sure that rows have the columns that expressions use.

    Args:
        source: of which the rows are.
        texts: expressions of its mapping.
        rows: with its look-ups, where the expressions may use their columns.
        own: without them.

    Raises:
        DataRejectedError: they have not; it names the column, and what there is.
    """
    names = [name for name in (rows if own is None else own).columns if name not in MADE]
    looked_up = [name for name in rows.columns if name not in (*names, *MADE) and not name.startswith("_")]
    more = f"; its look-ups add {', '.join(looked_up)}" if looked_up else ""
    place = f"{place_of(source)}: the mapping does not fit the source: there"
    for text in texts:
        _require(columns_of(text), names, place, more=more, others=looked_up)


def place_of(source: Source) -> str:
    """How messages name a source: its key in the configuration, else the function that it is an argument of."""
    places = {
        TransactionSource: "sources.transactions",
        CustomerSource: "sources.customers",
        EngagementSource: "sources.engagement",
    }
    return places.get(type(source), "order_lines")


def _require(
    wanted: Iterable[str], names: Sequence[str], place: str, *, more: str = "", others: Sequence[str] = ()
) -> None:
    shown = [name for name in names if name not in MADE]
    known = {name.lower(): name for name in (*shown, *others)}
    for name in wanted:
        if name.lower() in known:
            continue
        meant = closest(name, known.values())
        hint = f"did you mean {meant}? " if meant else ""
        if name.lower() == SOURCE_FILE and OWN_SOURCE_FILE in known:
            hint = f"the source's own column of this name is called {OWN_SOURCE_FILE}. "
        if len(shown) == 1 and re.search(r"\w[;|\t,]\w", shown[0]):
            hint = "the separator may be another one, see options.sep. "
        raise DataRejectedError(f"{place} is no column {name}; {hint}It has {', '.join(shown)}{more}")


def definition(sources: Sequence[Source], *settings: object) -> str:
    """A short text that changes when what is made of a row may, other than by its look-ups: the configuration."""
    excluded: Any = {"missing_files": True, "overlap": True, "partitions": True, "joins": {"__all__": {"when_changed"}}}
    return digest([*settings, *(source.model_dump(mode="json", exclude=excluded) for source in sources)])


def digest(parts: object) -> str:
    """16 hexadecimal digits for anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fingerprint(spark: SparkSession, sources: Sequence[Source], *settings: object) -> str:
    """A short text that changes when a source, a look-up, their configuration or the settings they are read with do."""
    now = datetime.now(UTC).isoformat()  # where the state is unknown, taken as new each time
    return digest([definition(sources, *settings), *(state or now for state in states_of(spark, sources))])


def states_of(spark: SparkSession, sources: Iterable[Source]) -> list[object]:
    """The state of each source and look-up, see `relation_state`."""
    return [relation_state(spark, relation) for source in sources for relation in (source, *source.joins)]


def relation_state(spark: SparkSession, relation: Relation) -> object:
    """What changes when the data does: files with size and time, a Delta version; None where that is unknown."""
    if relation.format in FILE_FORMATS and relation.path is not None:
        return sorted(files_of(spark, relation).items())
    if relation.format == "delta":
        if relation.version is not None:
            return relation.version
        row = spark.sql(f"DESCRIBE HISTORY {delta_name(relation)} LIMIT 1").select("version", "timestamp").head()
        return str(row)
    return None


def lookup_rows(spark: SparkSession, lookup: Lookup) -> DataFrame:
    """The rows of a look-up, one for each key."""
    rows = _load(spark, lookup).drop(SOURCE_FILE)
    key = [name.lower() for name in lookup.using]
    rest = [name for name in rows.columns if name.lower() not in (*key, CORRUPT)]
    return _one_row_per_key(rows, {name: F.col(quoted(name)) for name in lookup.using}, rest)


def _load(spark: SparkSession, relation: Relation, *, version: int | None = None) -> DataFrame:
    if relation.format in FILE_FORMATS and relation.path is not None:
        required = relation.using if isinstance(relation, Lookup) else []
        return _read_files(spark, relation, None, required=required, essential=required)
    reader: DataFrameReader = spark.read.format(relation.format).options(**_options(relation))
    version = version if relation.version is None else relation.version
    if version is not None:
        reader = reader.option("versionAsOf", version)
    if relation.format == "jdbc":
        return _jdbc(spark, reader, relation)
    if relation.path is None:
        assert relation.table is not None, "validated: path or table"
        return reader.table(quoted_place(relation.table))
    return reader.load(resolve(relation.path))


def _read_files(
    spark: SparkSession,
    relation: Relation,
    files: Sequence[str] | None,
    *,
    required: Sequence[str],
    essential: Sequence[str],
    known: Mapping[str, str] | None = None,
) -> DataFrame:
    """The rows of files, with their `source_file`: of a source, or a look-up.

    Files are put into groups that Spark reads in one go: those with the same columns, of the same types, in the same
    order, in folders named by the same columns. The groups come together by the names of their columns.

    Args:
        files: only these, by their exact names.
        required: columns that the mapping uses.
        essential: those of them that no file can be without, whatever its format.
        known: the columns of other files of the relation, with their types.
    """
    options = _options(relation)
    place = place_of(relation) if isinstance(relation, Source) else "sources"
    names = sorted(files_of(spark, relation) if files is None else files)
    groups = file_groups(spark, relation.format, names, options, wanted=required, place=place, known=known or {})
    if not groups:
        types = castable(known or {})
        there = {name.lower() for name in (*types, SOURCE_FILE)}
        types |= {name: "string" for name in required if name.lower() not in there} | {SOURCE_FILE: "string"}
        return spark.createDataFrame([], ", ".join(f"{quoted(name)} {type_}" for name, type_ in types.items()))
    base = None if _reads_all_folders(relation) else base_folder(str(relation.path), names)
    groups = by_folders(groups, base, relation.format)
    frames = [group.rows(F.col("_metadata.file_path").alias(SOURCE_FILE)) for group in groups]
    decimal_comma = isinstance(relation, TransactionSource) and relation.decimal_comma
    has_all_columns = isinstance(relation, Lookup) or (
        isinstance(relation, CustomerSource) and not relation.columns.attributes
    )
    used = None if has_all_columns else required
    rows = put_together(
        groups,
        frames,
        required=required if relation.format == "csv" else (essential if relation.format == "parquet" else []),
        used=used,
        place=place,
        ids=_ids(relation),
        decimal_comma=decimal_comma,
    )
    return with_empty_columns(rows, groups, used=used, known=known or {})


def used_columns(source: Source) -> list[str]:
    """The columns that a source's expressions and look-ups use."""
    texts = [*_mapping(source).values(), *([source.where] if source.where else [])]
    used = [name for text in texts for name in columns_of(text)]
    return list(dict.fromkeys([*used, *(name for lookup in source.joins for name in lookup.using)]))


def essential_columns(source: Source) -> list[str]:
    """The columns without which nothing of a source's rows can be kept."""
    mapping = _mapping(source)
    fields = ("customer_id", "order_id", "ordered_at", "occurred_at", "event_type", "amount", "unit_price")
    return list(dict.fromkeys(name for field in fields if field in mapping for name in columns_of(mapping[field])))


def _ids(relation: Relation) -> list[str]:
    """The columns of a look-up's key, or those that a source's expressions for text and its look-ups use."""
    if isinstance(relation, Lookup):
        return relation.using
    if not isinstance(relation, Source):
        return []
    texts: set[str] = set()
    others: set[str] = set()
    for field, expression in _mapping(relation).items():
        (texts if field in _TEXT_FIELDS else others).update(columns_of(expression))
    return [*(texts - others), *(name for lookup in relation.joins for name in lookup.using)]


def _mapping(source: Source) -> dict[str, str]:
    """The expressions of a source by the names of the columns they are mapped to."""
    columns: BaseModel | None = getattr(source, "columns", None)
    return {} if columns is None else columns.model_dump(exclude_none=True)


def _options(relation: Relation) -> dict[str, str]:
    given = {key: _text(value) for key, value in relation.options.items()}
    secret = from_environment(relation.environment)
    defaults = dict(_DEFAULTS.get(relation.format, {}))
    for start, driver in _DRIVERS.items():
        if given.get("url", "").startswith(start):
            defaults["driver"] = driver
    lower_case = {key.lower(): value for key, value in (given | secret).items()}
    if "quote" in lower_case and "escape" in defaults:
        defaults["escape"] = lower_case["quote"]
    return {key: value for key, value in defaults.items() if key.lower() not in lower_case} | given | secret


def _jdbc(spark: SparkSession, reader: DataFrameReader, relation: Relation) -> DataFrame:
    table, column = str(relation.table), relation.partition_column
    if column is None or relation.partitions == 1:
        return reader.option("dbtable", table).load()
    # The server's own smallest and largest value, so that nobody has to write bounds down and keep them true.
    low, high = bounds(spark, relation, column)
    if low is None:
        return reader.option("dbtable", table).load()
    splits = {"partitionColumn": column, "lowerBound": low, "upperBound": high}
    return reader.options(dbtable=table, numPartitions=str(relation.partitions), **splits).load()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_row_per_key(lookup: DataFrame, key: Mapping[str, Column], rest: Sequence[str]) -> DataFrame:
    keys = [column.alias(name) for name, column in key.items()]
    if not rest:
        return lookup.select(*keys).distinct()
    largest = F.max(F.struct(*(F.col(quoted(name)) for name in rest))).alias("_row")
    named = (F.col(f"_row.{quoted(name)}") for name in rest)
    return lookup.groupBy(*keys).agg(largest).select(*(F.col(quoted(name)) for name in key), *named)


def _reads_all_folders(relation: Relation) -> bool:
    return str(relation.options.get("recursiveFileLookup", "false")).lower() == "true"


def _is_read(file: str, path: str) -> bool:
    """Whether Spark reads a file below a path (or pattern): every folder on the way is named column=value."""
    return all("=" in part for part in parts(file)[len(parts(path)) : -1])


def _lies_at(file: str, path: str) -> bool:
    """Whether a file is at a path (or below it, or below what matches a pattern).

    A path need not name the scheme and the host that Spark names, since it has defaults for them.
    """
    hosts = {scheme[1] for scheme in (SCHEME.match(file), SCHEME.match(path)) if scheme and scheme[1]}
    wanted = parts(path)
    actual = parts(file)[: len(wanted)]
    if len(hosts) > 1 or len(actual) < len(wanted):
        return False
    return actual == wanted or (is_pattern(path) and all(map(_matches, actual, wanted)))


def _matches(part: str, pattern: str) -> bool:
    """Whether a part of a path matches one of a pattern; alternatives in braces stand for anything."""
    return fnmatchcase(part, re.sub(r"\\(.)", r"[\1]", re.sub(r"\{[^}]*\}", "*", pattern)).replace("[^", "[!"))
