"""Reads a configured source as it is: files or a table, with where each line came from, and its look-ups."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructType

from customer_segmentation.config.schema import Relation, Source
from customer_segmentation.contract.columns import SOURCE_FILE
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.ingest.locations import resolve

CORRUPT = "_corrupt_record"
"""Column that holds the text of a line that does not have the columns of its file."""

FILE_FORMATS = {"parquet", "csv", "json"}
_PATTERN = re.compile(r"[*?\[{]")
_DEFAULTS: dict[str, dict[str, str]] = {
    # A short or a long line is told only when all columns are read, a file with other columns only when compared.
    "csv": {"header": "true", "columnPruning": "false", "enforceSchema": "false"},
    # A number as it is written, not as the nearest double.
    "json": {"primitivesAsString": "true"},
    "jdbc": {"fetchsize": "10000"},
}

_DRIVERS = {
    "jdbc:postgresql:": "org.postgresql.Driver",
    "jdbc:mysql:": "com.mysql.cj.jdbc.Driver",
    "jdbc:sqlserver:": "com.microsoft.sqlserver.jdbc.SQLServerDriver",
    "jdbc:oracle:": "oracle.jdbc.OracleDriver",
}
"""By the start of an address. A driver that came with the session's jars is not found without its name."""


def malformed(rows: DataFrame) -> Column:
    """Whether a row, as `read_source` gives it, does not have the columns of its file."""
    return F.col(CORRUPT).isNotNull() if CORRUPT in rows.columns else F.lit(False)


def read_source(
    spark: SparkSession,
    source: Source,
    *,
    files: Sequence[str] | None = None,
    version: int | None = None,
) -> DataFrame:
    """The source's own columns as they came, and `source_file`; a row per row of the source.

    Args:
        files: only these of the source's files.
        version: of a Delta table, where the source names none.
    """
    frame = _load(spark, source, files=files, version=version)
    return frame.select("*", origin(source).alias(SOURCE_FILE))


def origin(source: Source) -> Column:
    """Where a row of the source came from: its file, or its table."""
    if source.format in FILE_FORMATS and source.path is not None:
        return F.col("_metadata.file_path")
    return F.lit(source.table or source.path)


def delta_name(relation: Relation) -> str:
    """A Delta table as a SQL statement names it."""
    if relation.path is None:
        return str(relation.table)
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
    found = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .load(resolve(str(relation.path)))
        .select("path", "length", F.col("modificationTime").cast("string").alias("modified"))
    )
    everything = str(relation.options.get("recursiveFileLookup", "false")).lower() == "true"
    return {
        path: (length, modified)
        for path, length, modified in found.collect()
        if everything or _is_read(path, resolve(str(relation.path)))
    }


def with_lookups(spark: SparkSession, frame: DataFrame, source: Source) -> DataFrame:
    """The rows with the columns of the source's look-ups.

    A look-up adds columns and never rows: of several rows with one key it takes the largest, so the choice
    does not depend on their order.
    """
    for lookup in source.joins:
        frame = frame.join(_one_row_per_key(_load(spark, lookup), lookup.using), on=lookup.using, how="left")
    return frame


def definition(spark: SparkSession, sources: Sequence[Source], *settings: object) -> str:
    """A short text that changes when what is made of a row may: the configuration, a look-up, the settings."""
    parts: list[object] = list(settings)
    for source in sources:
        parts.append(source.model_dump(mode="json", exclude={"gone_files", "overlap", "partitions"}))
        parts.extend(_state(spark, lookup) for lookup in source.joins)
    return digest(parts)


def digest(parts: object) -> str:
    """16 hexadecimal digits for anything JSON can tell."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fingerprint(spark: SparkSession, sources: Sequence[Source], *settings: object) -> str:
    """A short text that changes when a source, its configuration or the settings it is read with do."""
    return digest([definition(spark, sources, *settings), *(_state(spark, source) for source in sources)])


def _load(
    spark: SparkSession, relation: Relation, *, files: Sequence[str] | None = None, version: int | None = None
) -> DataFrame:
    reader: DataFrameReader = spark.read.format(relation.format).options(**_options(relation))
    version = version if relation.version is None else relation.version
    if version is not None:
        reader = reader.option("versionAsOf", version)
    if relation.format == "jdbc":
        return _jdbc(spark, reader, relation)
    if relation.path is None:
        assert relation.table is not None, "validated: path or table"
        return reader.table(relation.table)
    path: str | list[str] = resolve(relation.path)
    if files is not None:
        base = _folder(resolve(relation.path), files)
        if base is not None:
            # Folders named column=value below it are columns.
            reader = reader.option("basePath", base)
        path = list(files)
    if relation.format == "csv":
        # A column of its own catches what does not fit the others; Spark makes it only when the schema names it.
        columns = reader.load(path).schema.fields
        reader = reader.schema(StructType([*columns]).add(CORRUPT, StringType()))
        reader = reader.option("columnNameOfCorruptRecord", CORRUPT)
    return reader.load(path)


def _options(relation: Relation) -> dict[str, str]:
    missing = sorted(variable for variable in relation.environment.values() if variable not in os.environ)
    if missing:
        raise ConfigurationError(
            f"the environment variable {', '.join(missing)} is not set; a source takes "
            f"{', '.join(relation.environment)} from it"
        )
    given = {key: _text(value) for key, value in relation.options.items()}
    secret = {key: os.environ[variable] for key, variable in relation.environment.items()}
    defaults = dict(_DEFAULTS.get(relation.format, {}))
    for start, driver in _DRIVERS.items():
        if given.get("url", "").startswith(start):
            defaults["driver"] = driver
    return defaults | given | secret


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


def _one_row_per_key(lookup: DataFrame, key: list[str]) -> DataFrame:
    rest = [name for name in lookup.columns if name not in (*key, CORRUPT)]
    largest = F.max(F.struct(*(F.col(f"`{name}`") for name in rest))).alias("_row")
    return lookup.groupBy(*key).agg(largest).select(*key, *(F.col(f"_row.`{name}`") for name in rest))


def _state(spark: SparkSession, relation: Relation) -> object:
    """What changes when the relation's data does: files with size and time, a Delta version, else the time."""
    if relation.format in FILE_FORMATS and relation.path is not None:
        return sorted(files_of(spark, relation).items())
    if relation.format == "delta":
        if relation.version is not None:
            return relation.version
        row = spark.sql(f"DESCRIBE HISTORY {delta_name(relation)} LIMIT 1").select("version", "timestamp").head()
        return str(row)
    return datetime.now(UTC).isoformat()  # can't be told: taken as new each time


def _folder(path: str, files: Sequence[str]) -> str | None:
    """The folder that a path or the start of a pattern is; None where it is a file itself."""
    if len(files) == 1 and _parts(files[0]) == _parts(path):
        return None
    head = _PATTERN.split(path, maxsplit=1)
    return path if len(head) == 1 else head[0].rpartition("/")[0] or None


def _is_read(file: str, path: str) -> bool:
    """Whether Spark reads a file below a path (or pattern): every folder on the way is named column=value."""
    return all("=" in part for part in _parts(file)[len(_parts(path)) : -1])


def _parts(path: str) -> list[str]:
    scheme = re.match(r"^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?", path)
    rest = path[scheme.end() :] if scheme else str(Path(path).absolute())
    return [part for part in rest.split("/") if part not in ("", ".")]
