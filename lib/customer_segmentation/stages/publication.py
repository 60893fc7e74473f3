"""Which run consumers read: the one that `customer_segments` carries."""

from datetime import UTC, date, datetime

from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import PublishingError
from customer_segmentation.storage import Warehouse


class Publication:
    """The published run, and the one before it.

    Args:
        warehouse: has the tables.
        command: by which a run is published.
    """

    def __init__(self, warehouse: Warehouse, command: str) -> None:
        self._warehouse = warehouse
        self._command = command

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
        """Whether all that a run has was written and checked before."""
        if not self._warehouse.exists(t.PIPELINE_RUNS):
            return False
        return not self._warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=run_id).isEmpty()

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
        if self._last_recorded() != run_id:
            row = {
                "published_at": datetime.now(UTC),
                c.RUN_ID: run_id,
                "command": self._command,
                "previous_run_id": instead_of if instead_of != run_id else None,
            }
            self._warehouse.append_rows(t.PUBLICATIONS, [row])

    def _last_recorded(self) -> str | None:
        """The run of the newest publication on record; a run that ended before it was recorded is not."""
        if not self._warehouse.exists(t.PUBLICATIONS):
            return None
        newest = self._warehouse.read(t.PUBLICATIONS).orderBy(F.desc("published_at")).select(c.RUN_ID).first()
        return newest[0] if newest else None
