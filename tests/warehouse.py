"""Reads a warehouse as a consumer does: by the deltalake package, without Spark."""

import json
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable

TIMES_OF_A_RUN = {
    "tested_at",
    "ingested_at",
    "started_at",
    "finished_at",
    "stage_seconds",
    "registered_at",
    "published_at",
}


def read(root: Path, table: str) -> pd.DataFrame:
    """A table as pandas, nested values as Python lists and dicts."""
    arrow = DeltaTable(str(root / table)).to_pyarrow_table()
    maps = [field.name for field in arrow.schema if pa.types.is_map(field.type)]
    rows = [row | {name: dict(row[name] or {}) for name in maps} for row in arrow.to_pylist()]
    return pd.DataFrame(rows, columns=arrow.column_names)


def contents(root: Path, table: str, *, without: Collection[str] = ()) -> list[str]:
    """The rows of a table without the times of the run and some columns, in a fixed order, to be compared."""
    rows = read(root, table).drop(columns=[*TIMES_OF_A_RUN, *without], errors="ignore").to_dict("records")
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
