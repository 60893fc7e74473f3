"""The steps of a batch of order lines, recorded around the changes of the tables: planned, staged, committed."""

from collections.abc import Callable
from dataclasses import replace

from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.stages.ingest.batch_log import COMMITTED, STAGED, Batch, BatchLog
from customer_segmentation.stages.ingest.planning import Plan
from customer_segmentation.stages.ingest.verification import verified_versions
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
    staged = replace(validated, status=STAGED)
    if stage is None:
        # Nothing lies between the two steps. The list of files counts once the batch is committed.
        log.require_own(log.record(plan.batch, staged))
        at_once(lambda: plan.record_files(run), lambda: write(staged))
    else:
        log.record(plan.batch)
        at_once(lambda: plan.record_files(run), lambda: stage(staged))
        log.require_own(log.record(staged))
        write(staged)
    return log.record(replace(staged, status=COMMITTED, table_versions=verified_versions(run, staged.counts)))
