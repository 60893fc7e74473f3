"""The warehouse: reads and writes the tables of the contract. Only the pipeline uses it.

Tables lie at a path below `tables.root` or under `tables.catalog`.`tables.schema`. Works on classic Spark and
Spark Connect alike, so it uses the DataFrame API and a few plain statements with checked names. Nothing is kept in
commits, session settings or old versions of tables: what a table is made from are rows of tables of their own.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, Row, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.clock import Clock
from customer_segmentation.config.expressions import quoted_place
from customer_segmentation.config.schema import Config, Tables
from customer_segmentation.contract.errors import ConfigurationError, ConstraintViolatedError
from customer_segmentation.contract.tables import KNOWN_TABLES, Column, Table
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.session import is_on_this_machine
from customer_segmentation.spark.settings import at_most, changed

_ABSENT = {"PATH_NOT_FOUND", "DELTA_TABLE_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "DELTA_MISSING_DELTA_TABLE"}
_CHANGES = "customer_segmentation_changes"
_LOG = "_delta_log"

_DELETION_VECTORS = "delta.feature.deletionVectors"
_COMMIT = re.compile(r"(\d{20})\.(?:json|checkpoint(?:\..+)?\.parquet)")
_VIOLATION = re.compile(r"DELTA_VIOLATE_CONSTRAINT_WITH_VALUES\W+CHECK constraint `?(?P<name>\w+)")

_FILES = re.compile(r"^file:(?://)?(?=/)")

_CONSTRAINT = "delta.constraints."

_LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
_LISTING_TASKS = 32
"""That list the folders of a table for VACUUM; by default ten thousand, each of which costs as much as a folder."""

_CHANGES_ROWS = frozenset(
    {
        "WRITE",
        "STREAMING UPDATE",
        "DELETE",
        "TRUNCATE",
        "UPDATE",
        "MERGE",
        "COPY INTO",
        "RESTORE",
        "CLONE",
        "CREATE TABLE AS SELECT",
        "REPLACE TABLE",
        "REPLACE TABLE AS SELECT",
        "CREATE OR REPLACE TABLE",
        "CREATE OR REPLACE TABLE AS SELECT",
    }
)
"""Operations of Delta's history that may change rows; all others (OPTIMIZE, VACUUM, ALTER ...) keep them."""


def local_root(tables: Tables) -> Path | None:
    """The folder of the tables where it is one of this machine; None where they are named or elsewhere.

    A path without a scheme is one of Spark's: where Spark is not here, it may be in the file system of a cluster or on
    a server's disk. It is a folder of this machine too where there are tables in it, as on a disk that all machines
    mount. A folder of that name alone does not say so.
    """
    place = _plain(tables.root or "")
    if tables.schema_ is not None or tables.root is None or ":" in place:
        return None
    root = Path(os.path.abspath(place))  # noqa: PTH100 (without .. in it, as Spark names files)
    return root if is_on_this_machine() or _has_tables(root) else None


def _plain(place: str) -> str:
    """A path without the scheme of files, which says nothing where Spark is on this machine."""
    return _FILES.sub("", place) if is_on_this_machine() else place


def _has_tables(folder: Path) -> bool:
    return any((folder / table.name / _LOG).is_dir() for table in KNOWN_TABLES)


def require_apart_from_tables(config: Config) -> None:
    """Make sure that nothing that is read or generated lies where a table is written, which removes other files there.

    Raises:
        ConfigurationError: something does; the message names it.
    """
    places = {"generate": [config.generate.path]}
    for key in ("transactions", "customers", "engagement"):
        sources = (config.sources and getattr(config.sources, key)) or []
        places[f"sources.{key}"] = [each.path for source in sources for each in (source, *source.joins)]
    for key, paths in places.items():
        for path in filter(None, paths):
            table = _table_at(path, config.tables)
            if table is not None:
                raise ConfigurationError(
                    f"{key}: the path {path:.200} lies where the table {table} is written, which removes files that "
                    "are not its own; choose another folder, or another tables.root"
                )


def _table_at(path: str, tables: Tables) -> str | None:
    """The table in whose folder a path lies; None where it is in none."""
    if tables.root is None or tables.schema_ is not None:
        return None
    places = (_FILES.sub("", each) for each in (tables.root, path))
    root, place = (each if ":" in each else os.path.abspath(each) for each in places)  # noqa: PTH100
    names = (table.name for table in KNOWN_TABLES)
    return next((name for name in names if f"{place}/".startswith(f"{root.rstrip('/')}/{name}/")), None)


class Warehouse:
    """The tables of one configuration in one session."""

    def __init__(self, spark: SparkSession, tables: Tables) -> None:
        self.spark = spark
        self.clock = Clock()
        self._tables = tables
        root = _plain(tables.root or "").rstrip("/")
        # Spark resolves a relative path here in a read, but not in a statement.
        self._root = root if ":" in root else os.path.abspath(root)  # noqa: PTH100 (without .. in it, as Spark names files)

    def location(self, table: Table) -> str:
        """Path or full name of a table, for people and for other readers."""
        return self.place(table.name)

    def place(self, name: str) -> str:
        """Path or full name of what has a name among the tables."""
        return f"{self.home}.{name}" if self.is_named else f"{self.home}/{name}"

    @property
    def home(self) -> str:
        """Full name of the schema, or path of the folder, that all tables are in."""
        if not self.is_named:
            return self._root
        return quoted_place(".".join(part for part in (self._tables.catalog, self._tables.schema_) if part))

    @property
    def folder(self) -> Path | None:
        """The folder that all tables are in, where it is one of this machine; see `local_root`."""
        return local_root(self._tables)

    @property
    def is_named(self) -> bool:
        """Whether tables have a full name; otherwise they have a path."""
        return self._tables.schema_ is not None

    def make_schema(self) -> None:
        """Create the schema of named tables where it is missing."""
        if not self.spark.catalog.databaseExists(self.home):
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self.home}")

    def tables(self) -> list[Table]:
        """The tables that have been written."""
        return [table for table in KNOWN_TABLES if self.exists(table)]

    def exists(self, table: Table) -> bool:
        """Whether the table has been written."""
        try:
            self.read(table).schema  # noqa: B018 (on Connect only the analysis finds a missing table)
        except AnalysisException as error:
            if error.getCondition() in _ABSENT:
                return False
            raise
        return True

    def require(self, table: Table, *, command: str) -> None:
        """Make sure that a table has been written.

        Raises:
            ConfigurationError: it has not; the message names the command that writes it.
        """
        if not self.exists(table):
            raise ConfigurationError(
                f"there is no table {self.location(table)} yet; run `customer-segmentation {command}` first"
            )

    def read(self, table: Table, *, version: int | None = None) -> DataFrame:
        """The table as it is now, or as it was at a version."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        location = self.location(table)
        return reader.table(location) if self.is_named else reader.load(location)

    def rows(self, table: Table, *, column: str, value: str) -> DataFrame:
        """The rows whose column equals value."""
        return self.read(table).where(F.col(column) == value)

    def version(self, table: Table) -> int:
        """Version of the newest commit."""
        listed = self.listed_version(table)
        if listed is not None:
            return listed
        row = self.spark.sql(f"DESCRIBE HISTORY {self._target(table)} LIMIT 1").select("version").head()
        assert row is not None, "a Delta table has at least one commit"
        version: int = row["version"]
        return version

    def listed_version(self, table: Table) -> int | None:
        """The newest version by the file names in the table's log, without Spark; None where it is not on this machine.

        Raises:
            OSError: the log can't be listed.
        """
        log = self.log_folder(table)
        files = [] if log is None else [_COMMIT.fullmatch(path.name) for path in log.iterdir()]
        return max((int(file[1]) for file in files if file), default=None)

    def versions(self, tables: Sequence[Table]) -> dict[str, int]:
        """Versions of the newest commits, by the tables' names."""
        found = at_once(*(partial(self.version, table) for table in tables))
        return {table.name: version for table, version in zip(tables, found, strict=True)}

    def size(self, table: Table) -> tuple[int, int]:
        """How many files the table has now, and how many bytes."""
        details = self._details(table)
        return details["numFiles"], details["sizeInBytes"]

    def compact(self, table: Table, *, file_bytes: int) -> None:
        """Write files of less than half a size together into files of that size, in one commit that changes no row.

        By default Delta makes files of a gigabyte, of which one is rewritten whole for each line that changes.
        """
        with (
            changed(self.spark, "spark.databricks.delta.optimize.maxFileSize", str(file_bytes)),
            changed(self.spark, "spark.databricks.delta.optimize.minFileSize", str(file_bytes // 2)),
        ):
            self.spark.sql(f"OPTIMIZE {self._target(table)}")

    def table_id(self, table: Table) -> str:
        """Delta's id of the table; another one where it was made anew or cloned."""
        table_id: str = self._details(table)["id"]
        return table_id

    def operations_since(self, table: Table, version: int) -> list[str] | None:
        """Names of the operations after a version that may have changed rows; None where that is unknown.

        It is where the table was created again since, or its log of that time has been cleaned up.
        """
        newest = self.version(table)
        if newest <= version:
            return [] if newest == version else None
        history = self.spark.sql(f"DESCRIBE HISTORY {self._target(table)} LIMIT {newest - version + 1}")
        commits = history.select("version", "operation", "operationMetrics").orderBy("version").collect()
        if commits[0]["version"] != version:
            return None
        return [row["operation"] for row in commits[1:] if row["operation"] in _CHANGES_ROWS and _wrote_files(row)]

    def overwrite(self, table: Table, frame: DataFrame) -> None:
        """Replace the whole table in one commit."""
        self._save(table, self._writer(table, frame).option("overwriteSchema", "true"))

    def overwrite_rows(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Like `overwrite`, with rows from the driver."""
        self.overwrite(table, self._local(table, rows))

    def create(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Write a new table with rows from the driver; fails where it is there already."""
        self._save(table, self._writer(table, self._local(table, rows)).mode("error"))

    def update(self, table: Table, values: Mapping[str, str], *, where: str) -> None:
        """Set columns to SQL expressions in the rows for which a SQL condition holds, in one commit.

        A change by somebody else in between makes it fail: of two that update the same row one does.
        """
        given = ", ".join(f"{name} = {value}" for name, value in values.items())
        self._commit(table, lambda: self.spark.sql(f"UPDATE {self._target(table)} SET {given} WHERE {where}"))

    def append(self, table: Table, frame: DataFrame) -> None:
        """Add rows in one commit."""
        self._save(table, self._writer(table, frame).mode("append").option("mergeSchema", "true"))

    def append_rows(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Like `append`, with rows from the driver; what a row does not name is null."""
        self.append(table, self._local(table, rows))

    def change(
        self,
        table: Table,
        *,
        deleted: DataFrame,
        key: Sequence[str],
        inserted: DataFrame,
        within: tuple[str, str, str] | None = None,
    ) -> None:
        """Delete the rows of some keys and insert others, in one commit.

        Args:
            deleted: keys whose rows go, each once; the same key may be among the inserted rows.
            key: their columns; null is a value too.
            inserted: the rows that come.
            within: a column, with the smallest and the largest value that it has in the rows to go, as text: files out
                of that range are not looked at. A row without a value is in it.
        """
        if deleted.isEmpty():
            self.append(table, inserted)
            return
        self.add_missing_columns(table)
        marked = deleted.select(
            *(F.col(name).alias(f"_key_{name}") for name in key), F.lit(False).alias("_is_inserted")
        )
        added = table.conform(inserted).withColumn("_is_inserted", F.lit(True))
        names = ", ".join(f"`{name}`" for name in table.column_names)
        values = ", ".join(f"s.`{name}`" for name in table.column_names)
        same = " AND ".join(f"t.`{name}` <=> s.`_key_{name}`" for name in key)
        in_range = ""
        if within is not None:
            column, low, high = within
            in_range = f" AND (t.`{column}` IS NULL OR t.`{column}` BETWEEN {literal(low)} AND {literal(high)})"
        rows = marked.unionByName(added, allowMissingColumns=True)
        with self._viewing(rows) as view:
            merge = (
                f"MERGE INTO {self._target(table)} t USING {view} s "
                f"ON NOT s._is_inserted AND {same}{in_range} "
                "WHEN MATCHED THEN DELETE "
                f"WHEN NOT MATCHED AND s._is_inserted THEN INSERT ({names}) VALUES ({values})"
            )
            self._commit(table, lambda: self.spark.sql(merge))

    def delete(self, table: Table, keys: DataFrame) -> None:
        """Delete the rows of some keys in one commit; null is a value too. The table's log names none of them.

        Args:
            keys: each once, under the names that they have in the table.
        """
        same = " AND ".join(f"t.`{name}` <=> s.`{name}`" for name in keys.columns)
        with self._viewing(keys) as view:
            self.spark.sql(f"MERGE INTO {self._target(table)} t USING {view} s ON {same} WHEN MATCHED THEN DELETE")

    def delete_where(self, table: Table, condition: str) -> None:
        """Delete the rows for which a SQL condition holds, in one commit; none where there are none.

        The condition stands in the table's log, so it must name no customer.
        """
        self.spark.sql(f"DELETE FROM {self._target(table)} WHERE {condition}")

    def replace(self, table: Table, frame: DataFrame, *, column: str, value: str | int) -> None:
        """Replace the rows whose column equals value in one commit; every row of the frame has that value."""
        self.replace_where(table, frame, f"{column} = {literal(value)}")

    def replace_where(self, table: Table, frame: DataFrame, condition: str) -> None:
        """Replace the rows for which a SQL condition holds in one commit; it holds for every row of the frame.

        The condition stands in the table's log, so it must name no customer.
        """
        if self.is_named and table.partitioned_by and self.exists(table):
            # The other way gives the catalog the table anew: some refuse one whose last columns are not its partitions.
            rows = table.conform(frame).writeTo(self.location(table)).option("mergeSchema", "true")
            self._commit(table, lambda: rows.overwrite(F.expr(condition)))
            return
        writer = self._writer(table, frame).option("replaceWhere", condition)
        self._save(table, writer.option("mergeSchema", "true"))

    def replace_rows(self, table: Table, rows: list[dict[str, Any]], *, column: str, value: str) -> None:
        """Like `replace`, with rows from the driver."""
        self.replace(table, self._local(table, rows), column=column, value=value)

    def replace_rows_where(self, table: Table, rows: list[dict[str, Any]], condition: str) -> None:
        """Like `replace_where`, with rows from the driver."""
        self.replace_where(table, self._local(table, rows), condition)

    def add_missing_columns(self, table: Table) -> None:
        """Give a table of an earlier release the declared columns that it lacks; they are null in its rows."""
        existing = {name.lower() for name in self.read(table).columns}
        missing = [column for column in table.columns if column.name.lower() not in existing]
        if missing:
            added = ", ".join(map(_declared, missing))
            self.spark.sql(f"ALTER TABLE {self._target(table)} ADD COLUMNS ({added})")

    def properties(self, table: Table) -> dict[str, str]:
        """The table's properties, Delta's features among them."""
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self._target(table)}").collect()
        return {row["key"]: row["value"] for row in rows}

    def set_properties(self, table: Table, values: Mapping[str, str | None]) -> None:
        """Set properties of the table; None takes one away, so that Delta's own value counts."""
        existing = self.properties(table)
        given = [f"{literal(name)} = {literal(value)}" for name, value in values.items() if value is not None]
        gone = [literal(name) for name, value in values.items() if value is None and name in existing]
        for verb, listed in (("SET", given), ("UNSET", gone)):
            if listed:
                self.spark.sql(f"ALTER TABLE {self._target(table)} {verb} TBLPROPERTIES ({', '.join(listed)})")

    def vacuum(self, table: Table) -> None:
        """Delete the files that belong to no version which is younger than the table's retention.

        Rows that are only marked as deleted in files that stay are taken out of these first.
        """
        if self.properties(table).get(_DELETION_VECTORS) == "supported":
            self.spark.sql(f"REORG TABLE {self._target(table)} APPLY (PURGE)")
        with at_most(self.spark, _LISTING, _LISTING_TASKS):
            self.spark.sql(f"VACUUM {self._target(table)}")

    def log_folder(self, table: Table) -> Path | None:
        """The folder of the table's log; None where it is not on this machine."""
        root = self.folder
        log = None if root is None else root / table.name / _LOG
        return log if log is not None and log.is_dir() else None

    def _details(self, table: Table) -> Row:
        """Delta's description of the table."""
        row = self.spark.sql(f"DESCRIBE DETAIL {self._target(table)}").select("id", "numFiles", "sizeInBytes").head()
        assert row is not None, "a Delta table has its details"
        return row

    def _target(self, table: Table) -> str:
        """The table as a statement names it."""
        return self.location(table) if self.is_named else f"delta.`{self.location(table).replace('`', '``')}`"

    def _local(self, table: Table, rows: Sequence[dict[str, Any]]) -> DataFrame:
        ordered = [tuple(row.get(name) for name in table.column_names) for row in rows]
        return self.spark.createDataFrame(ordered, table.ddl).coalesce(1)

    @contextmanager
    def _viewing(self, frame: DataFrame) -> Iterator[str]:
        """Gives the frame a name that a statement in the block can use."""
        frame.createOrReplaceTempView(_CHANGES)
        try:
            yield _CHANGES
        finally:
            self.spark.catalog.dropTempView(_CHANGES)

    def _writer(self, table: Table, frame: DataFrame) -> DataFrameWriter:
        writer = table.conform(frame).write.format("delta").mode("overwrite").options(**table.properties)
        return writer.partitionBy(*table.partitioned_by) if table.partitioned_by else writer

    def _save(self, table: Table, writer: DataFrameWriter) -> None:
        location = self.location(table)
        if not self.is_named:
            self._commit(table, lambda: writer.save(location))
            return
        self.make_schema()
        self._commit(table, lambda: writer.saveAsTable(location))

    def _commit(self, table: Table, write: Callable[[], object]) -> None:
        """Write to the table, without the constraints of an earlier release that are no longer declared.

        Raises:
            ConstraintViolatedError: a row violates a constraint, which the message names; not the row, which Delta
                shows.
        """
        try:
            write()
        except Exception as error:
            violated = _VIOLATION.search(str(error))
            if violated is None:
                raise
            if self._drop_former_constraints(table):
                self._commit(table, write)
                return
            name = violated["name"]
            raise ConstraintViolatedError(
                f"{self.location(table)}: a row that was to be written violates the constraint {name}: "
                f"{table.constraints.get(name, 'of the table')}. Nothing was written to the table. What sources "
                "hold is checked before, so a table was changed by hand, or the library is wrong: run the command "
                "again with --set ingest.reload=true, and report this message if it comes again"
            ) from None

    def _drop_former_constraints(self, table: Table) -> bool:
        """Drop those that an earlier release gave the table and this one does not declare so; whether there were any.

        A constraint of the library begins with the column that it is named after. Others are the user's own, and stay.
        """
        if not self.exists(table):
            return False
        former = []
        for key, condition in self.properties(table).items():
            name = key.removeprefix(_CONSTRAINT)
            is_ours = key.startswith(_CONSTRAINT) and condition.startswith(f"`{name}` IS ")
            if is_ours and table.constraints.get(name) != condition:
                former.append(name)
        for name in former:
            self.spark.sql(f"ALTER TABLE {self._target(table)} DROP CONSTRAINT `{name}`")
        return bool(former)


def _wrote_files(commit: Row) -> bool:
    """Whether a commit added or removed files or marked rows as deleted; without metrics it may have."""
    metrics = commit["operationMetrics"] or {}
    files = [value for name, value in metrics.items() if "Files" in name or "DeletionVectors" in name]
    return not files or any(value != "0" for value in files)


def _declared(column: Column) -> str:
    return f"`{column.name}` {column.type} COMMENT {literal(column.comment)}"


def literal(value: str | int) -> str:
    """The value as a SQL literal, in which Spark finds no `${variable}` to put in."""
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024")
    return f"'{escaped}'"
