"""The tables at the versions that they had when the verification began, so that a run at work doesn't change them."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.stages.run import Run
from customer_segmentation.storage_errors import storage_error
from customer_segmentation.verification import Finding, TableFolder


@contextmanager
def readable(table: str, where: str, findings: list[Finding]) -> Iterator[None]:
    """Makes a finding of an error of storage in the block."""
    try:
        yield
    except Exception as error:
        explained = storage_error(error)
        if explained is None:
            raise
        findings.append(Finding(table, where, "what can be read", str(explained), "see there"))


class PinnedTables:
    """Reads tables at fixed versions.

    Args:
        run: has the warehouse.
        folders: of the tables, where they are on this machine; else Spark is asked for their versions.
        without: names of tables that are not read, since they are damaged.

    Attributes:
        findings: tables whose version can't be read.
    """

    def __init__(self, run: Run, *, folders: Mapping[str, TableFolder] | None, without: Collection[str]) -> None:
        self._warehouse = run.warehouse
        self._without = without
        self.findings: list[Finding] = []
        self._versions: dict[str, int] = {}
        for table in t.KNOWN_TABLES:
            if table.name in without:
                continue
            if folders is not None:
                version = folders[table.name].version if table.name in folders else None
            else:
                version = None
                with readable(table.name, self.location(table), self.findings):
                    version = run.warehouse.version(table) if run.warehouse.exists(table) else None
            if version is not None:
                self._versions[table.name] = version

    def have(self, *tables: t.Table) -> bool:
        """Whether these tables are there and whole."""
        return all(table.name in self._versions for table in tables)

    def lack(self, table: t.Table) -> bool:
        """Whether a table is not there at all."""
        return not self.have(table) and table.name not in {*self._without, *(found.table for found in self.findings)}

    @property
    def all(self) -> list[t.Table]:
        """All tables that are there and whole."""
        return [table for table in t.KNOWN_TABLES if table.name in self._versions]

    def read(self, table: t.Table) -> DataFrame:
        """A table; columns that one of an earlier release lacks are null."""
        frame = self._warehouse.read(table, version=self._versions[table.name])
        missing = {column.name: F.lit(None).cast(column.type) for column in table.columns}
        missing = {name: column for name, column in missing.items() if name not in frame.columns}
        return frame.withColumns(missing) if missing else frame

    def of_run(self, table: t.Table, run_id: str) -> DataFrame:
        """The rows that a table has of a run."""
        return self.read(table).where(F.col(c.RUN_ID) == run_id)

    def location(self, table: t.Table) -> str:
        """Where a table is."""
        return self._warehouse.location(table)
