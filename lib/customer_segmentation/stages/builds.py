"""What each table that follows the order lines is made from, as rows of `table_builds`.

A table is planned, changed and committed. Steps planned after the newest commit are of runs that ended while they
changed the table: what it was to be made from is still known, so that the next run can bring it to its end.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from pyspark.sql import Row, Window
from pyspark.sql import functions as F

from customer_segmentation.contract import tables as t
from customer_segmentation.storage import Warehouse

if TYPE_CHECKING:
    from customer_segmentation.stages.run import Run

PLANNED, COMMITTED = "planned", "committed"

_RECORDING = Lock()

MadeFrom = Mapping[str, Any]
"""What a table is made from, as JSON values."""


@dataclass(frozen=True)
class Build:
    """How far a table is.

    committed: what it is made from; None before it is there.
    interrupted: what it was to be made from by each run that ended in the middle since, the oldest first: the table
        may have rows of any of them. Empty where none did.
    is_on_record: whether there are steps of it, be it of a table that is gone. A table without any needs no plan: what
        a run leaves of it that ends in the middle counts for nothing.
    """

    committed: MadeFrom | None = None
    interrupted: Sequence[MadeFrom] = ()
    is_on_record: bool = False

    def is_of(self, made_from: MadeFrom) -> bool:
        """Whether the table is made from this, all of it: no run ended while it made it from something else."""
        return self.committed == made_from and not self.interrupted


def build_of(warehouse: Warehouse, table: t.Table) -> Build:
    """How far a table is."""
    return builds_of(warehouse, table)[0]


def builds_of(warehouse: Warehouse, *tables: t.Table) -> list[Build]:
    """How far some tables are, in their order. Runs one query, none without a table.

    It is over the steps of all tables, so that whatever is recorded next is later than each of them.
    """
    if not tables or not warehouse.exists(t.TABLE_BUILDS):
        return [Build() for _ in tables]
    committed_at = F.max(F.when(F.col("status") == COMMITTED, F.col("recorded_at")))
    with_commit = warehouse.read(t.TABLE_BUILDS).withColumn(
        "committed_at", committed_at.over(Window.partitionBy("table_name"))
    )
    since_commit = with_commit.where("committed_at IS NULL OR recorded_at >= committed_at").orderBy("recorded_at")
    by_table: dict[str, list[Row]] = {}
    for row in since_commit.collect():
        warehouse.clock.saw(row["recorded_at"])
        by_table.setdefault(row["table_name"], []).append(row)
    return [
        _build(by_table[table.name], is_there=warehouse.exists(table)) if table.name in by_table else Build()
        for table in tables
    ]


def _build(steps: Sequence[Row], *, is_there: bool) -> Build:
    """How far a table is by its newest committed step and those planned since."""
    if not is_there:
        return Build(is_on_record=True)
    committed, planned = (
        [json.loads(step["made_from"]) for step in steps if step["status"] == status] for status in (COMMITTED, PLANNED)
    )
    return Build(committed[-1] if committed else None, planned, is_on_record=True)


def record_build(run: "Run", table: t.Table, status: str, made_from: MadeFrom) -> None:
    """Keep that a table has reached a step; of several threads one after the other, since the first makes the table."""
    row = {
        "table_name": table.name,
        "status": status,
        "made_from": json.dumps(made_from),
        "claimed_by": run.claim,
        "recorded_at": run.warehouse.clock.now(),
    }
    with _RECORDING:
        run.warehouse.append_rows(t.TABLE_BUILDS, [row])


def oldest_batch(run: "Run") -> int:
    """The batch that every table which follows the order lines has reached; its changes are needed no more."""
    builds = builds_of(run.warehouse, t.RETURNS, t.CUSTOMER_HISTORY)
    reached = [build.committed["batch"] for build in builds if build.committed is not None]
    return min(reached, default=0)
