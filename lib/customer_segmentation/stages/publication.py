"""Which run consumers read: the one that `customer_segments` carries."""

from datetime import UTC, date, datetime
from itertools import takewhile

from pyspark.sql import Row
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import PublishingError
from customer_segmentation.storage import Warehouse

COMPLETE, EXPIRED = "complete", "expired"
"""Of a run in `pipeline_runs`."""

ROLLBACK = "rollback"
"""The command that publishes an earlier run again."""

_PUBLICATIONS_READ = 100


class Publication:
    """The published run, and the one before it.

    Args:
        warehouse: has the tables.
        command: by which a run is published.
        configuration: digest of the settings by which it is.
    """

    def __init__(self, warehouse: Warehouse, command: str, configuration: str | None = None) -> None:
        self._warehouse = warehouse
        self._command = command
        self._configuration = configuration

    def current_run_id(self) -> str | None:
        """The run that consumers read now; None before the first."""
        if not self._warehouse.exists(t.CUSTOMER_SEGMENTS):
            return None
        row = self._warehouse.read(t.CUSTOMER_SEGMENTS).select(c.RUN_ID).first()
        return row[0] if row else None

    def previous_run_id(self, run_id: str) -> str | None:
        """The run that was published before this one; a run that is repeated keeps the one it had."""
        current = self.current_run_id()
        if current != run_id:
            return current
        runs = self._warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=run_id)
        row = runs.select("previous_run_id").first()
        return row[0] if row else None

    def is_complete(self, run_id: str) -> bool:
        """Whether all that a run has was written and checked before, and is still there."""
        if not self._warehouse.exists(t.PIPELINE_RUNS):
            return False
        rows = self._warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=run_id)
        return not rows.where(F.col("status") == COMPLETE).isEmpty()

    def before_current(self) -> str | None:
        """The run that was published before the current one; None where it is the first.

        Where `rollback` ended before its record, the run that it had published already.
        """
        current, newest = self.current_run_id(), self._newest()
        if newest is None:
            return None
        was_interrupted = newest[c.RUN_ID] != current
        previous: str | None = newest["previous_run_id"]
        return current if was_interrupted and previous == current else previous

    def was_taken_back(self, run_id: str) -> bool:
        """Whether `rollback` went back behind this run, and nothing else was published since."""
        back = list(takewhile(lambda row: row["command"] == ROLLBACK, self._newest_first()))
        return bool(back) and back[0][c.RUN_ID] != run_id and run_id in {row["previous_run_id"] for row in back}

    def later_date(self, as_of: date) -> date | None:
        """The as-of date of the run that consumers read, where it is after this one."""
        if not self._warehouse.exists(t.CUSTOMER_SEGMENTS):
            return None
        row = self._warehouse.read(t.CUSTOMER_SEGMENTS).select(c.AS_OF_DATE).first()
        return row[0] if row is not None and row[0] > as_of else None

    def publish(self, run_id: str, *, instead_of: str | None) -> None:
        """Make a complete run what consumers read, in one commit, and keep that it became so.

        Args:
            run_id: its rows are in `customer_segments_history`.
            instead_of: the run that consumers read when this one began.

        Raises:
            PublishingError: another run was published in between.
        """
        current = self.current_run_id()
        if current not in (instead_of, run_id):
            raise PublishingError(
                f"run {run_id} is not published: {current} was published while it was made, instead of {instead_of}; "
                "run the same command again if it is to replace that one"
            )
        if current != run_id:
            rows = self._warehouse.rows(t.CUSTOMER_SEGMENTS_HISTORY, column=c.RUN_ID, value=run_id)
            self._warehouse.overwrite(t.CUSTOMER_SEGMENTS, rows)
        newest = self._newest()
        recorded = newest[c.RUN_ID] if newest else instead_of
        if newest is None or recorded != run_id:
            row = {
                "published_at": datetime.now(UTC),
                c.RUN_ID: run_id,
                "command": self._command,
                "configuration": self._configuration,
                "previous_run_id": recorded if recorded != run_id else None,
            }
            self._warehouse.append_rows(t.PUBLICATIONS, [row])

    def _newest(self) -> Row | None:
        """The newest publication on record; a run that ended before it was recorded is not."""
        return next(iter(self._newest_first()), None)

    def _newest_first(self) -> list[Row]:
        """The newest publications."""
        if not self._warehouse.exists(t.PUBLICATIONS):
            return []
        columns = ("published_at", c.RUN_ID, "command", "previous_run_id")
        newest = self._warehouse.read(t.PUBLICATIONS).orderBy(F.desc("published_at")).limit(_PUBLICATIONS_READ)
        return newest.select(*columns).collect()
