"""The warehouse: reads and writes the tables of the contract. Only the pipeline uses it.

Tables lie at a path below `tables.root` or under `tables.catalog`.`tables.schema`. Works on classic Spark and
Spark Connect alike, so it uses the DataFrame API and a few plain statements with checked names.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Tables
from customer_segmentation.contract.tables import Table
from customer_segmentation.spark.history import change_feed

_ABSENT = {"PATH_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "DELTA_MISSING_DELTA_TABLE"}
_CHANGES = "customer_segmentation_changes"
_NOTE = "spark.databricks.delta.commitInfo.userMetadata"


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
        row = self.spark.sql(f"DESCRIBE HISTORY {self._target(table)} LIMIT 1").select("version", "userMetadata").head()
        assert row is not None, "a Delta table has at least one commit"
        return row["version"], json.loads(row["userMetadata"] or "{}")

    def overwrite(self, table: Table, frame: DataFrame, *, note: dict[str, Any] | None = None) -> None:
        """Replace the whole table in one commit."""
        writer = self._writer(table, frame, note).option("overwriteSchema", "true")
        self._save(table, writer)

    def change(
        self,
        table: Table,
        *,
        gone: DataFrame,
        key: Sequence[str],
        rows: DataFrame,
        within: tuple[str, str, str] | None = None,
        note: dict[str, Any] | None = None,
    ) -> None:
        """Delete the rows of some keys and add others, in one commit.

        Args:
            gone: keys whose rows go, each once; the same key may be among the added rows.
            key: their columns; null is a value too.
            within: a column, with the least and the greatest value that it has in the rows to go, as text: files out
                of that range are not looked at. A row without a value is in it.
            note: kept with the commit.
        """
        if gone.isEmpty():
            self._save(table, self._writer(table, rows, note).mode("append"))
            return
        marked = gone.select(*(F.col(name).alias(f"_key_{name}") for name in key), F.lit(False).alias("_is_added"))
        added = table.conform(rows).withColumn("_is_added", F.lit(True))
        names = ", ".join(f"`{name}`" for name in table.column_names)
        values = ", ".join(f"s.`{name}`" for name in table.column_names)
        same = " AND ".join(f"t.`{name}` <=> s.`_key_{name}`" for name in key)
        in_range = ""
        if within is not None:
            column, least, greatest = within
            in_range = f" AND (t.`{column}` IS NULL OR t.`{column}` BETWEEN {_literal(least)} AND {_literal(greatest)})"
        with self._committing(note), self._viewing(marked.unionByName(added, allowMissingColumns=True)) as view:
            self.spark.sql(
                f"MERGE INTO {self._target(table)} t USING {view} s "
                f"ON NOT s._is_added AND {same}{in_range} "
                "WHEN MATCHED THEN DELETE "
                f"WHEN NOT MATCHED AND s._is_added THEN INSERT ({names}) VALUES ({values})"
            )

    def changes(self, table: Table, *, since: int, until: int) -> DataFrame | None:
        """The rows that came to a table or left it after one version and up to another, a row for each time.

        None where that can't be told: the table was replaced in between, or its history is gone.
        """
        versions = F.col("version").between(since + 1, until)
        commits = self.spark.sql(f"DESCRIBE HISTORY {self._target(table)}").where(versions)
        was_replaced = F.col("operation").startswith("CREATE") | (
            F.element_at("operationParameters", "mode") == "Overwrite"
        )
        found = commits.agg(F.count(F.lit(1)), F.count_if(was_replaced)).head()
        if found is None or tuple(found) != (until - since, 0):
            return None
        if since == until:
            return self.read(table).limit(0)
        try:
            feed = change_feed(self.spark, self.location(table), is_named=self._named, since=since, until=until)
        except AnalysisException:
            return None
        return feed.select(table.column_names)

    def restore(self, table: Table, *, version: int) -> None:
        """Take back what was committed after a version, if something was."""
        if self.last_commit(table)[0] != version:
            self.spark.sql(f"RESTORE TABLE {self._target(table)} TO VERSION AS OF {version}")

    def replace(self, table: Table, frame: DataFrame, *, column: str, value: str) -> None:
        """Replace the rows whose column equals value in one commit; every row of the frame has that value."""
        writer = self._writer(table, frame, None).option("replaceWhere", f"{column} = {_literal(value)}")
        self._save(table, writer.option("mergeSchema", "true"))

    def replace_some(
        self, table: Table, frame: DataFrame, *, column: str, values: Sequence[str], note: dict[str, Any] | None = None
    ) -> None:
        """Replace the rows whose column has one of a few thousand values, in one commit.

        Every row of the frame has one of them. Where these rows lie in most files, this writes the table anew once,
        where `change` also shuffles all of it.
        """
        listed = ", ".join(map(_literal, values))
        self._save(table, self._writer(table, frame, note).option("replaceWhere", f"{column} IN ({listed})"))

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

    def _target(self, table: Table) -> str:
        """The table as a statement names it."""
        return self.location(table) if self._named else f"delta.`{self.location(table).replace('`', '``')}`"

    @contextmanager
    def _viewing(self, frame: DataFrame) -> Iterator[str]:
        """Gives the frame a name that a statement in the block can use."""
        frame.createOrReplaceTempView(_CHANGES)
        try:
            yield _CHANGES
        finally:
            self.spark.catalog.dropTempView(_CHANGES)

    @contextmanager
    def _committing(self, note: dict[str, Any] | None) -> Iterator[None]:
        """Keeps the note with what a statement in the block commits; a statement has no option for it."""
        if note is None:
            yield
            return
        self.spark.conf.set(_NOTE, json.dumps(note))
        try:
            yield
        finally:
            self.spark.conf.unset(_NOTE)

    def _writer(self, table: Table, frame: DataFrame, note: dict[str, Any] | None) -> DataFrameWriter:
        writer = table.conform(frame).write.format("delta").mode("overwrite").options(**table.properties)
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


def _literal(text: str) -> str:
    """The text as a SQL literal, in which Spark finds no `${variable}` to put in."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024")
    return f"'{escaped}'"
