"""What each table that follows the order lines is made from, as rows of `table_builds`.

A table is planned, changed and committed. Where the newest step is planned, a run ended while it changed the table:
what it was to be made from is still known, so that the next run can bring it to its end.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from pyspark.sql import Row
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
    interrupted: what it was to be made from when a run ended in the middle; None where none did.
    is_on_record: whether there are steps of it, be it of a table that is gone. A table without any needs no plan: what
        a run leaves of it that ends in the middle counts for nothing.
    """

    committed: MadeFrom | None = None
    interrupted: MadeFrom | None = None
    is_on_record: bool = False

    def is_of(self, made_from: MadeFrom) -> bool:
        """Whether the table is made from this, all of it: no run ended while it made it from something else."""
        return self.committed == made_from and self.interrupted is None


def build_of(warehouse: Warehouse, table: t.Table) -> Build:
    """How far a table is."""
    return builds_of(warehouse, table)[0]


def builds_of(warehouse: Warehouse, *tables: t.Table) -> list[Build]:
    """How far some tables are, in their order. Runs one query, none without a table."""
    if not tables or not warehouse.exists(t.TABLE_BUILDS):
        return [Build() for _ in tables]
    steps = warehouse.read(t.TABLE_BUILDS).where(F.col("table_name").isin([table.name for table in tables]))
    step = F.struct("recorded_at", "status", "made_from")
    is_committed = F.col("status") == COMMITTED
    newest = steps.groupBy("table_name").agg(F.max(step), F.max(F.when(is_committed, step))).collect()
    by_table = {name: of_table for name, *of_table in newest}
    for step, _ in by_table.values():
        warehouse.clock.saw(step["recorded_at"])
    return [
        _build(*by_table[table.name], is_there=warehouse.exists(table)) if table.name in by_table else Build()
        for table in tables
    ]


def _build(newest: Row, committed: Row | None, *, is_there: bool) -> Build:
    """How far a table is by its newest step and the newest committed one."""
    if not is_there:
        return Build(is_on_record=True)
    is_interrupted = newest["status"] == PLANNED
    return Build(
        json.loads(committed["made_from"]) if committed else None,
        json.loads(newest["made_from"]) if is_interrupted else None,
        is_on_record=True,
    )


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
