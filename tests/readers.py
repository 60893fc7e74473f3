"""Readers of Delta tables that are not Spark: deltalake, and DuckDB and Polars through it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from deltalake import DeltaTable
from pyspark.sql import SparkSession

Rows = list[dict[str, Any]]


def by_deltalake(path: Path) -> Rows:
    return DeltaTable(str(path)).to_pyarrow_table().to_pylist()


def by_duckdb(path: Path) -> Rows:
    table = DeltaTable(str(path)).to_pyarrow_dataset()
    with duckdb.connect() as connection:
        answer = connection.register("delta", table).execute("SELECT * FROM delta")
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def by_polars(path: Path) -> Rows:
    return pl.read_delta(str(path)).to_dicts()


READERS: dict[str, Callable[[Path], Rows]] = {"deltalake": by_deltalake, "DuckDB": by_duckdb, "Polars": by_polars}


def assert_all_read_what_spark_reads(spark: SparkSession, root: Path, table: str = "customer_segments") -> Rows:
    """Every reader gives the rows that Spark gives, value for value; gives them too."""
    frame = spark.read.format("delta").load(str(root / table))
    expected = in_order([row.asDict(recursive=True) for row in frame.collect()])
    for name, rows_of in READERS.items():
        rows = in_order(rows_of(root / table))
        assert len(rows) == len(expected), name
        for row, other in zip(rows, expected, strict=True):
            assert row == other, name
    return expected


def in_order(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: str(row.get("customer_id")))
