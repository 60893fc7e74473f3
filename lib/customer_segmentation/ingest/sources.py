"""Reads a configured source as it is: files or a table, joined to its look-ups, with where each line came from."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Relation, Source
from customer_segmentation.contract.columns import SOURCE_FILE
from customer_segmentation.ingest.locations import resolve

_FILE_FORMATS = {"parquet", "csv", "json"}
_DEFAULTS: dict[str, dict[str, str]] = {"csv": {"header": "true"}}


def read_source(spark: SparkSession, source: Source) -> DataFrame:
    """The source's rows with the columns of its look-ups and `source_file`.

    A look-up adds columns and never rows: of several rows with one key it takes the largest, so the choice
    does not depend on their order.

    Returns:
        A row per row of the source; its own columns first, as they came.
    """
    frame = _load(spark, source)
    origin = F.col("_metadata.file_path") if source.path else F.lit(source.table)
    frame = frame.select("*", origin.alias(SOURCE_FILE))
    for lookup in source.joins:
        frame = frame.join(_one_row_per_key(_load(spark, lookup), lookup.using), on=lookup.using, how="left")
    return frame


def fingerprint(spark: SparkSession, sources: Sequence[Source], *settings: object) -> str:
    """A short text that changes when a source, its configuration or the settings it is read with do."""
    parts: list[object] = list(settings)
    for source in sources:
        parts.append(source.model_dump(mode="json"))
        parts.extend(_state(spark, relation) for relation in (source, *source.joins))
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _load(spark: SparkSession, relation: Relation) -> DataFrame:
    options = _DEFAULTS.get(relation.format, {}) | {key: _text(value) for key, value in relation.options.items()}
    reader: DataFrameReader = spark.read.format(relation.format).options(**options)
    if relation.path is not None:
        return reader.load(resolve(relation.path))
    assert relation.table is not None, "validated: path or table"
    return reader.table(relation.table)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_row_per_key(lookup: DataFrame, key: list[str]) -> DataFrame:
    rest = [name for name in lookup.columns if name not in key]
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
        target = f"delta.`{resolve(relation.path)}`" if relation.path is not None else relation.table
        row = spark.sql(f"DESCRIBE HISTORY {target} LIMIT 1").select("version", "timestamp").head()
        return str(row)
    return datetime.now(UTC).isoformat()  # can't be told: taken as new each time
