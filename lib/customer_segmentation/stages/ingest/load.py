"""Order lines from their sources to `transactions` and `rejected_transactions`, the straight way."""

from dataclasses import replace

from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import StorageError
from customer_segmentation.display.formatting import count
from customer_segmentation.ingest.snapshots import FullReloadRequired
from customer_segmentation.stages.ingest.batch_log import (
    COMMITTED,
    EXTERNAL,
    FULL,
    INCREMENTAL,
    Batch,
    BatchLog,
    read_log,
)
from customer_segmentation.stages.ingest.full import load_all
from customer_segmentation.stages.ingest.incremental import load_changes, roll_forward
from customer_segmentation.stages.ingest.planning import Plan, Snapshot, plan_batch, plan_full, take_snapshots
from customer_segmentation.stages.ingest.unreadable import naming_unreadable_files
from customer_segmentation.stages.ingest.validation import column_changes
from customer_segmentation.stages.ingest.verification import LINE_TABLES, count_rows, table_versions
from customer_segmentation.stages.run import Run


def load_order_lines(run: Run) -> tuple[Batch, list[str]]:
    """Bring `transactions` and `rejected_transactions` up to what the sources hold.

    Returns:
        The newest committed batch, and what there is to say, a sentence each.

    Raises:
        DataRejectedError: a mapping does not fit its source, a file can't be read, no line is accepted, too many are
            rejected, or files are gone; no table was changed.
        PublishingError: lines are lost or doubled.
    """
    with naming_unreadable_files(run, "sources.transactions", run.sources.transactions):
        log, messages = settled_log(run, all_is_read_again=run.config.ingest.reload)
        before = log.committed
        snapshot = take_snapshots(run, before)
        plan = plan_batch(run, log, snapshot)
        batch = None if plan is None else _load(run, log, snapshot, plan)
        if batch is None:
            assert log.committed is not None, "without a batch there is always something to read"
            return log.committed, [*messages, "nothing new", *_kept_lookups(snapshot, before)]
    return batch, [*messages, *_description(batch, before), *_kept_lookups(snapshot, before, batch)]


def settled_log(run: Run, *, all_is_read_again: bool = False) -> tuple[BatchLog, list[str]]:
    """The log of batches, with an interrupted one brought to its end and changes by others recorded; what was done.

    A batch that was interrupted stays so where all lines are read again by the next one: since it was to read all of
    them itself, since a table that it changed is no longer there, or what it was to change, or since that is asked for.
    """
    log = read_log(run)
    rolled_forward = [] if all_is_read_again else _rolled_forward(run, log)
    return log, rolled_forward + _changed_by_others(run, log)


def _load(run: Run, log: BatchLog, snapshot: Snapshot, plan: Plan) -> Batch | None:
    """Read what is planned; all lines where the changes turn out to be unknown."""
    if plan.is_full or log.committed is None:
        return load_all(run, log, plan)
    try:
        return load_changes(run, log, plan, log.committed)
    except FullReloadRequired as why:
        return load_all(run, log, plan_full(run, log, snapshot, str(why)))


def _rolled_forward(run: Run, log: BatchLog) -> list[str]:
    """Bring a batch to its end whose run ended while it changed the tables."""
    batch = log.interrupted
    needed = (*LINE_TABLES, t.INGEST_CHANGES)
    if batch is None or batch.mode == FULL or not all(run.warehouse.exists(table) for table in needed):
        return []
    roll_forward(run, log, batch)
    return [f"batch {batch.number}, which was interrupted, was brought to its end"]


def _changed_by_others(run: Run, log: BatchLog) -> list[str]:
    """Record changes of the tables by somebody else as a batch, so that the tables that follow them notice."""
    last_batch = log.committed
    if (
        last_batch is None
        or log.interrupted is not None
        or not all(run.warehouse.exists(table) for table in LINE_TABLES)
    ):
        return []
    operations: list[str] = []
    for table in LINE_TABLES:
        version = last_batch.table_versions.get(table.name)
        known_operations = None if version is None else run.warehouse.operations_since(table, version)
        operations += [f"{operation} on {table.name}" for operation in known_operations or ()]
        is_known = known_operations is not None
        if not is_known and count_rows(run) != (last_batch.counts.accepted, last_batch.counts.rejected):
            _require_not_older(run, table, version)
            operations.append(f"other rows in {table.name}")
    if not operations:
        return []
    accepted, rejected = count_rows(run)
    lost = last_batch.counts.accepted + last_batch.counts.rejected - accepted - rejected
    reason = ", ".join(sorted(set(operations)))
    counts = replace(
        last_batch.counts,
        lines=last_batch.counts.lines - lost,
        accepted=accepted,
        rejected=rejected,
        by_reason=_codes(run, t.REJECTED_TRANSACTIONS, c.REASONS),
        by_warning=_codes(run, t.TRANSACTIONS, c.WARNINGS),
    )
    log.record(
        replace(
            last_batch,
            number=log.next_number,
            status=COMMITTED,
            mode=EXTERNAL,
            reason=reason,
            inserted=0,
            deleted=0,
            counts=counts,
            table_versions=table_versions(run),
        )
    )
    fewer = "fewer" if lost >= 0 else "more"
    return [
        f"somebody else changed the tables since batch {last_batch.number} ({reason}): {count(abs(lost))} lines "
        f"{fewer}; the change is kept"
    ]


def _require_not_older(run: Run, table: t.Table, version: int | None) -> None:
    """Stop where a table with other rows than it had is of an earlier version: nothing takes its place by itself.

    Raises:
        StorageError: it is, and `ingest.reload` is not set.
    """
    newest = run.warehouse.version(table)
    if version is not None and newest < version and not run.config.ingest.reload:
        raise StorageError(
            f"{run.warehouse.location(table)} is at version {newest} with other rows than at version {version}, which "
            "ingest_batches has on record: commits are gone, or the table was made anew. Put back what is gone from a "
            "backup, or read all order lines again with --set ingest.reload=true"
        )


def _kept_lookups(snapshot: Snapshot, before: Batch | None, batch: Batch | None = None) -> list[str]:
    """Which look-ups changed without lines being read again, a sentence each."""
    if before is None or (batch is not None and batch.mode != INCREMENTAL):
        return []
    return [
        f"the look-up {lookup.table or lookup.path} changed: the {count(before.counts.lines)} lines read before keep "
        "what they got from it (with when_changed: reload they are read again)"
        for lookup in snapshot.changed_lookups
    ]


def _codes(run: Run, table: t.Table, column: str) -> dict[str, int]:
    """Rows of a table by the codes that a column holds."""
    rows = run.warehouse.read(table).select(F.explode(column).alias("code")).groupBy("code").count().collect()
    return {row["code"]: row["count"] for row in rows}


def _description(batch: Batch, before: Batch | None) -> list[str]:
    """What there is to say of a batch."""
    messages = []
    if batch.mode == INCREMENTAL:
        lines = "line" if batch.inserted == 1 else "lines"
        deleted = f", {count(batch.deleted)} no longer there" if batch.deleted else ""
        messages.append(f"{count(batch.inserted)} new {lines}{deleted}")
    elif batch.reason is not None:
        messages.append(f"all lines were read again: {batch.reason}")
    return messages + (column_changes(before.source_columns, batch.source_columns) if before else [])
