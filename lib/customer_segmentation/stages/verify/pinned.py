"""The tables at the versions that they had at one moment, so that a run at work doesn't change them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from copy import copy

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.stages.inputs import RunInputs
from customer_segmentation.stages.run import Run
from customer_segmentation.storage import Warehouse
from customer_segmentation.storage_errors import storage_error
from customer_segmentation.verification import Finding

_MAX_LOOKS = 10
"""At the tables, until none has changed since the look before."""


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
    """Reads tables at the versions that all of them had at one moment.

    A run at work is then found as one that was killed at that moment.

    Args:
        run: has the warehouse.
        are_here: whether the tables are in a folder of this machine; else Spark is asked for their versions.

    Attributes:
        findings: tables whose version can't be read.
        run: reads the tables at these versions too, and takes others for missing.
    """

    def __init__(self, run: Run, *, are_here: bool) -> None:
        self._warehouse = run.warehouse
        self._are_here = are_here
        self._without: set[str] = set()
        self.findings: list[Finding] = []
        self._at_start: dict[str, int] = {}
        for _ in range(_MAX_LOOKS):
            before, self.findings = self._at_start, []
            self._at_start = self._versions_now(self.findings)
            if self._at_start == before:
                break
        self._versions = dict(self._at_start)
        self.run = _pinned(run, self._versions)

    def leave_out(self, names: Collection[str]) -> None:
        """Read these tables no more, since they are damaged."""
        self._without |= set(names)
        for name in names:
            self._versions.pop(name, None)

    def written_since(self) -> list[str]:
        """Names of the tables that have other versions by now."""
        now = self._versions_now([])
        names = self._at_start.keys() | now.keys()
        return sorted(name for name in names if self._at_start.get(name) != now.get(name))

    def _versions_now(self, findings: list[Finding]) -> dict[str, int]:
        versions: dict[str, int] = {}
        for table in t.KNOWN_TABLES:
            with readable(table.name, self.location(table), findings):
                if self._are_here:
                    version = self._warehouse.listed_version(table)
                else:
                    version = self._warehouse.version(table) if self._warehouse.exists(table) else None
                if version is not None:
                    versions[table.name] = version
        return versions

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


class _PinnedWarehouse(Warehouse):
    """Reads tables at fixed versions; those without one are not there."""

    versions_of_tables: dict[str, int]

    def exists(self, table: t.Table) -> bool:
        return table.name in self.versions_of_tables

    def read(self, table: t.Table, *, version: int | None = None) -> DataFrame:
        return super().read(table, version=self.versions_of_tables[table.name] if version is None else version)

    def version(self, table: t.Table) -> int:
        return self.versions_of_tables[table.name] if self.exists(table) else super().version(table)


def _pinned(run: Run, versions: dict[str, int]) -> Run:
    """The run, over tables at fixed versions."""
    warehouse = _PinnedWarehouse(run.spark, run.config.tables)
    warehouse.versions_of_tables = versions
    pinned = copy(run)
    pinned.warehouse, pinned.inputs = warehouse, RunInputs(warehouse, run.config)
    return pinned
