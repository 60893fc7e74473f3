"""Which run consumers read: the one that `customer_segments` carries."""

from pyspark.sql import DataFrame

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.storage import Warehouse


class Publication:
    """The published run, and the one before it."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

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

    def publish(self, segmented: DataFrame) -> None:
        """Make a run what consumers read, in one commit.

        Args:
            segmented: the run's rows of `customer_segments_history`.
        """
        self._warehouse.overwrite(t.CUSTOMER_SEGMENTS, segmented)
