"""The steps of a batch of order lines, recorded around the changes of the tables: planned, staged, committed."""

from collections.abc import Callable
from dataclasses import replace

from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.stages.ingest.batch_log import COMMITTED, STAGED, Batch, BatchLog
from customer_segmentation.stages.ingest.planning import Plan
from customer_segmentation.stages.ingest.verification import require_rows, table_versions
from customer_segmentation.stages.run import Run


def commit_batch(
    run: Run,
    log: BatchLog,
    plan: Plan,
    validated: Batch,
    *,
    write: Callable[[Batch], None],
    stage: Callable[[Batch], None] | None = None,
) -> Batch:
    """Write a batch to the tables and commit it.

    Args:
        run, log, plan: of the batch.
        validated: the planned batch, with its counts.
        write: changes the tables as the staged batch says.
        stage: keeps what is to be changed, so that a batch that ends early can be rolled forward.

    Raises:
        WarehouseBusyError: another run has taken over; no table was changed.
        PublishingError: the tables hold other numbers of lines than were counted; the batch is not committed.
    """
    at_once(lambda: log.record(plan.batch), lambda: plan.record_files(run))
    staged = replace(validated, status=STAGED)
    if stage is not None:
        stage(staged)
    log.require_own(log.record(staged))
    write(staged)
    require_rows(run, staged.counts)
    return log.record(replace(staged, status=COMMITTED, table_versions=table_versions(run)))
