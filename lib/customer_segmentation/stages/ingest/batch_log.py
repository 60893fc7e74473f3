"""The log of batches: their steps as rows of `ingest_batches`; the newest committed one says what the tables hold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import Row

from customer_segmentation import __version__
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import WarehouseBusyError
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.stages.inputs import newest_batches
from customer_segmentation.stages.run import Run

RULES_VERSION = 4
"""Goes up when the same lines and settings give other rows: lines that were read before are then read again."""

PLANNED, STAGED, COMMITTED = "planned", "staged", "committed"
FULL, INCREMENTAL, ERASURE, EXTERNAL = "full", "incremental", "erasure", "external"


@dataclass(frozen=True)
class Batch:
    """A batch of order lines, at one of its steps; the fields are the columns of `ingest_batches`.

    offsets, previous_offsets: how far each source is, or had been, read.
    counts: of all lines, with those of this batch.
    source_columns: the columns of each source, with their types.
    """

    number: int
    batch_id: str
    status: str
    mode: str
    offsets: list[dict[str, Any]]
    base_number: int
    known_before: date
    source_columns: list[dict[str, str]]
    definition: str
    counts: RowCounts = field(default_factory=RowCounts)
    reason: str | None = None
    previous_offsets: list[dict[str, Any]] | None = None
    inserted: int = 0
    deleted: int = 0
    rules_version: int = RULES_VERSION
    first_order: str | None = None
    last_order: str | None = None
    table_versions: Mapping[str, int] = field(default_factory=dict)
    claimed_by: str = ""

    def to_row(self) -> dict[str, Any]:
        """The batch as a row of `ingest_batches`, recorded now."""
        return {
            "batch_number": self.number,
            c.BATCH_ID: self.batch_id,
            "status": self.status,
            "mode": self.mode,
            "reason": self.reason,
            "offsets": json.dumps(self.offsets),
            "previous_offsets": None if self.previous_offsets is None else json.dumps(self.previous_offsets),
            "base_batch_number": self.base_number,
            "rows_inserted": self.inserted,
            "rows_deleted": self.deleted,
            "rows_in": self.counts.lines,
            "rows_accepted": self.counts.accepted,
            "rows_rejected": self.counts.rejected,
            "rows_filtered_out": self.counts.filtered_out,
            "rows_suppressed": self.counts.suppressed,
            "rejected_by_reason": dict(self.counts.by_reason),
            "warned_by_code": dict(self.counts.by_warning),
            "known_before": self.known_before,
            "source_columns": json.dumps(self.source_columns),
            "definition": self.definition,
            "rules_version": self.rules_version,
            "first_order": self.first_order,
            "last_order": self.last_order,
            "table_versions": dict(self.table_versions),
            "claimed_by": self.claimed_by,
            "recorded_at": datetime.now(UTC),
            "code_version": __version__,
        }

    @classmethod
    def from_row(cls, row: Row) -> "Batch":
        """The batch of a row of `ingest_batches`."""
        previous = row["previous_offsets"]
        return cls(
            number=row["batch_number"],
            batch_id=row[c.BATCH_ID],
            status=row["status"],
            mode=row["mode"],
            reason=row["reason"],
            offsets=json.loads(row["offsets"]),
            previous_offsets=None if previous is None else json.loads(previous),
            base_number=row["base_batch_number"],
            inserted=row["rows_inserted"],
            deleted=row["rows_deleted"],
            counts=RowCounts(
                row["rows_in"],
                row["rows_accepted"],
                row["rows_rejected"],
                row["rows_filtered_out"],
                row["rejected_by_reason"],
                row["warned_by_code"],
                suppressed=row.asDict().get("rows_suppressed") or 0,  # an earlier release has no such column
            ),
            known_before=row["known_before"],
            source_columns=json.loads(row["source_columns"]),
            definition=row["definition"],
            rules_version=row["rules_version"],
            first_order=row["first_order"],
            last_order=row["last_order"],
            table_versions=row["table_versions"],
            claimed_by=row["claimed_by"],
        )


class BatchLog:
    """The steps of the newest batches.

    committed: the newest committed batch; None before the first.
    interrupted: a batch after it whose tables were being changed when it ended; None where there is none.
    """

    def __init__(self, run: Run, newest: Sequence[Batch]) -> None:
        self._run = run
        self._last_number = max((batch.number for batch in newest), default=0)
        self.committed = next((batch for batch in newest if batch.status == COMMITTED), None)
        reached = self.committed.number if self.committed else 0
        staged = [batch for batch in newest if batch.status == STAGED and batch.number > reached]
        self.interrupted = staged[0] if staged else None

    @property
    def is_settled(self) -> bool:
        """Whether the tables hold the committed batch: there is one, and none after it was changing them."""
        return self.committed is not None and self.interrupted is None

    @property
    def next_number(self) -> int:
        """The number of the next batch; one that ended without a commit keeps its own."""
        return self._last_number + 1

    def record(self, *steps: Batch) -> Batch:
        """Keep that a batch has reached its status, or several one after the other, in one commit; the last one."""
        claimed = [replace(batch, claimed_by=self._run.claim) for batch in steps]
        rows = [batch.to_row() for batch in claimed]
        self._run.warehouse.append_rows(t.INGEST_BATCHES, rows)
        last = claimed[-1]
        self._last_number = max(self._last_number, last.number)
        if last.status == COMMITTED:
            self.committed, self.interrupted = last, None
        self._run.inputs.own_batch = Row(**rows[-1]) if last.status == COMMITTED else None
        return last

    def require_own(self, batch: Batch) -> None:
        """Stop where another run has taken over.

        Raises:
            WarehouseBusyError: it has planned a batch too.
        """
        newest = _newest(self._run)
        others = [other for other in newest if other.number >= batch.number and other.claimed_by != self._run.claim]
        if others:
            raise WarehouseBusyError(
                f"{others[0].claimed_by} has taken over the tables and is at batch {others[0].number}; nothing of this "
                "run was written to them. Run the same command again"
            )


def read_log(run: Run) -> BatchLog:
    """The steps that `ingest_batches` has; none before the first."""
    return BatchLog(run, _newest(run))


def committed_batch(run: Run) -> Batch:
    """The batch that the run reads, whose counts are those of `transactions` and `rejected_transactions`.

    Raises:
        ConfigurationError: nothing was read yet.
    """
    return Batch.from_row(run.inputs.batch)


def _newest(run: Run) -> list[Batch]:
    """Steps of the newest batches, the newest first, down to a committed one where there is any."""
    if not run.warehouse.exists(t.INGEST_BATCHES):
        return []
    return list(map(Batch.from_row, newest_batches(run.warehouse.read(t.INGEST_BATCHES))))
