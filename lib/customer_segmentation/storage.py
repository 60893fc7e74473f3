"""The warehouse: reads and writes the tables of the contract. Only the pipeline uses it.

Tables lie at a path below `tables.root` or under `tables.catalog`.`tables.schema`. Works on classic Spark and
Spark Connect alike, so it uses the DataFrame API and a few plain statements with checked names.
"""

import json
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Tables
from customer_segmentation.contract.tables import Table

_ABSENT = {"PATH_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "DELTA_MISSING_DELTA_TABLE"}


class Warehouse:
    """The tables of one configuration in one session."""

    def __init__(self, spark: SparkSession, tables: Tables) -> None:
        self.spark = spark
        self._tables = tables
        root = (tables.root or "").rstrip("/")
        # Spark resolves a relative path here in a read, but not in a statement.
        self._root = root if ":" in root else str(Path(root).absolute())

    def location(self, table: Table) -> str:
        """Path or full name of a table, for people and for other readers."""
        if self._tables.schema_ is not None:
            return ".".join(part for part in (self._tables.catalog, self._tables.schema_, table.name) if part)
        return f"{self._root}/{table.name}"

    def exists(self, table: Table) -> bool:
        """Whether the table has been written."""
        try:
            self.read(table).schema  # noqa: B018 (on Connect only the analysis finds a missing table)
        except AnalysisException as error:
            if error.getCondition() in _ABSENT:
                return False
            raise
        return True

    def read(self, table: Table, *, version: int | None = None) -> DataFrame:
        """The table as it is now, or as it was at a version."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        location = self.location(table)
        return reader.table(location) if self._named else reader.load(location)

    def last_commit(self, table: Table) -> tuple[int, dict[str, Any]]:
        """Version of the newest commit and the note that was committed with it (empty without one)."""
        target = self.location(table) if self._named else f"delta.`{self.location(table).replace('`', '``')}`"
        row = self.spark.sql(f"DESCRIBE HISTORY {target} LIMIT 1").select("version", "userMetadata").head()
        assert row is not None, "a Delta table has at least one commit"
        return row["version"], json.loads(row["userMetadata"] or "{}")

    def overwrite(self, table: Table, frame: DataFrame, *, note: dict[str, Any] | None = None) -> None:
        """Replace the whole table in one commit."""
        writer = self._writer(table, frame, note).option("overwriteSchema", "true")
        self._save(table, writer)

    def replace(self, table: Table, frame: DataFrame, *, column: str, value: str) -> None:
        """Replace the rows whose column equals value in one commit; every row of the frame has that value."""
        literal = value.replace("\\", "\\\\").replace("'", "\\'")
        writer = self._writer(table, frame, None).option("replaceWhere", f"{column} = '{literal}'")
        self._save(table, writer.option("mergeSchema", "true"))

    def replace_rows(self, table: Table, rows: list[dict[str, Any]], *, column: str, value: str) -> None:
        """Like `replace`, with rows from the driver."""
        ordered = [tuple(row[name] for name in table.column_names) for row in rows]
        frame = self.spark.createDataFrame(ordered, table.ddl).coalesce(1)
        self.replace(table, frame, column=column, value=value)

    def replace_row(self, table: Table, row: dict[str, Any], *, column: str, value: str) -> None:
        """Like `replace_rows`, with one row."""
        self.replace_rows(table, [row], column=column, value=value)

    def rows(self, table: Table, *, column: str, value: str) -> DataFrame:
        """The rows whose column equals value."""
        return self.read(table).where(F.col(column) == value)

    @property
    def _named(self) -> bool:
        return self._tables.schema_ is not None

    def _writer(self, table: Table, frame: DataFrame, note: dict[str, Any] | None) -> DataFrameWriter:
        writer = table.conform(frame).write.format("delta").mode("overwrite")
        if table.partitioned_by:
            writer = writer.partitionBy(*table.partitioned_by)
        return writer.option("userMetadata", json.dumps(note)) if note is not None else writer

    def _save(self, table: Table, writer: DataFrameWriter) -> None:
        location = self.location(table)
        if not self._named:
            writer.save(location)
            return
        schema = location.rpartition(".")[0]
        if not self.spark.catalog.databaseExists(schema):
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        writer.saveAsTable(location)
