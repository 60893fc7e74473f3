"""Reads a configured source as it is: files or a table, with where each line came from, and its look-ups."""

import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime

from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructType

from customer_segmentation.config.schema import Relation, Source
from customer_segmentation.contract.columns import SOURCE_FILE
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.ingest.locations import resolve

CORRUPT = "_corrupt_record"
"""Column that holds the text of a line that does not have the columns of its file."""

_FILE_FORMATS = {"parquet", "csv", "json"}
_COSTLY_FORMATS = {"csv", "json", "jdbc"}
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


def read_source(spark: SparkSession, source: Source) -> DataFrame:
    """The source's own columns as they came, and `source_file`; a row per row of the source."""
    frame = _load(spark, source)
    origin = F.col("_metadata.file_path") if source.path else F.lit(source.table)
    return frame.select("*", origin.alias(SOURCE_FILE))


def with_lookups(spark: SparkSession, frame: DataFrame, source: Source) -> DataFrame:
    """The rows with the columns of the source's look-ups.

    A look-up adds columns and never rows: of several rows with one key it takes the largest, so the choice
    does not depend on their order.
    """
    for lookup in source.joins:
        frame = frame.join(_one_row_per_key(_load(spark, lookup), lookup.using), on=lookup.using, how="left")
    return frame


def is_costly(source: Source) -> bool:
    """Whether reading the source again costs more than keeping what was read: text has to be parsed, a server asked."""
    return source.format in _COSTLY_FORMATS


def fingerprint(spark: SparkSession, sources: Sequence[Source], *settings: object) -> str:
    """A short text that changes when a source, its configuration or the settings it is read with do."""
    parts: list[object] = list(settings)
    for source in sources:
        parts.append(source.model_dump(mode="json"))
        parts.extend(_state(spark, relation) for relation in (source, *source.joins))
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _load(spark: SparkSession, relation: Relation) -> DataFrame:
    reader: DataFrameReader = spark.read.format(relation.format).options(**_options(relation))
    if relation.version is not None:
        reader = reader.option("versionAsOf", relation.version)
    if relation.format == "jdbc":
        return _jdbc(reader, relation)
    if relation.path is None:
        assert relation.table is not None, "validated: path or table"
        return reader.table(relation.table)
    path = resolve(relation.path)
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


def _jdbc(reader: DataFrameReader, relation: Relation) -> DataFrame:
    table, column = str(relation.table), relation.partition_column
    if column is None or relation.partitions == 1:
        return reader.option("dbtable", table).load()
    # The server's own smallest and largest value, so that nobody has to write bounds down and keep them true.
    bounds = f"(SELECT MIN({column}) AS low, MAX({column}) AS high FROM {table}) bounds"
    row = (
        reader.option("dbtable", bounds)
        .load()
        .select(F.col("low").cast("string"), F.col("high").cast("string"))
        .first()
    )
    if row is None or row["low"] is None:
        return reader.option("dbtable", table).load()
    splits = {"partitionColumn": column, "lowerBound": row["low"], "upperBound": row["high"]}
    return reader.options(dbtable=table, numPartitions=str(relation.partitions), **splits).load()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_row_per_key(lookup: DataFrame, key: list[str]) -> DataFrame:
    rest = [name for name in lookup.columns if name not in (*key, CORRUPT)]
    largest = F.max(F.struct(*(F.col(f"`{name}`") for name in rest))).alias("_row")
    return lookup.groupBy(*key).agg(largest).select(*key, *(F.col(f"_row.`{name}`") for name in rest))


def _state(spark: SparkSession, relation: Relation) -> object:
    """What changes when the relation's data does: files with size and time, a Delta version, else the time."""
    if relation.format in _FILE_FORMATS and relation.path is not None:
        files = (
            spark.read.format("binaryFile")
            .option("recursiveFileLookup", "true")
            .load(resolve(relation.path))
            .select("path", "length", F.col("modificationTime").cast("string").alias("modified"))
        )
        return sorted(tuple(row) for row in files.collect())
    if relation.format == "delta":
        if relation.version is not None:
            return relation.version
        target = f"delta.`{resolve(relation.path)}`" if relation.path is not None else relation.table
        row = spark.sql(f"DESCRIBE HISTORY {target} LIMIT 1").select("version", "timestamp").head()
        return str(row)
    return datetime.now(UTC).isoformat()  # can't be told: taken as new each time
