"""What each table that follows the order lines is made from, as rows of `table_builds`.

A table is planned, changed and committed. Where the newest step is planned, a run ended while it changed the table:
what it was to be made from is still known, so that the next run can bring it to its end.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from customer_segmentation.contract import tables as t
from customer_segmentation.storage import Warehouse

if TYPE_CHECKING:
    from customer_segmentation.stages.run import Run

PLANNED, COMMITTED = "planned", "committed"

MadeFrom = Mapping[str, Any]
"""What a table is made from, as JSON values."""

STEPS_READ = 10
"""The newest steps of a table that are looked at."""


@dataclass(frozen=True)
class Build:
    """How far a table is.

    committed: what it is made from; None before it is there.
    interrupted: what it was to be made from when a run ended in the middle; None where none did.
    """

    committed: MadeFrom | None
    interrupted: MadeFrom | None


def build_of(warehouse: Warehouse, table: t.Table) -> Build:
    """How far a table is."""
    if not warehouse.exists(t.TABLE_BUILDS) or not warehouse.exists(table):
        return Build(None, None)
    rows = warehouse.rows(t.TABLE_BUILDS, column="table_name", value=table.name)
    newest = rows.orderBy(F.desc("recorded_at")).limit(STEPS_READ).select("status", "made_from").collect()
    committed = next((json.loads(row["made_from"]) for row in newest if row["status"] == COMMITTED), None)
    is_interrupted = bool(newest) and newest[0]["status"] == PLANNED
    return Build(committed, json.loads(newest[0]["made_from"]) if is_interrupted else None)


def record_build(run: "Run", table: t.Table, status: str, made_from: MadeFrom) -> None:
    """Keep that a table has reached a step."""
    row = {
        "table_name": table.name,
        "status": status,
        "made_from": json.dumps(made_from),
        "claimed_by": run.claim,
        "recorded_at": datetime.now(UTC),
    }
    run.warehouse.append_rows(t.TABLE_BUILDS, [row])


def oldest_batch(run: "Run") -> int:
    """The batch that every table which follows the order lines has reached; its changes are needed no more."""
    builds = (build_of(run.warehouse, table).committed for table in (t.RETURNS, t.CUSTOMER_HISTORY))
    reached = [build["batch"] for build in builds if build is not None]
    return min(reached, default=0)
