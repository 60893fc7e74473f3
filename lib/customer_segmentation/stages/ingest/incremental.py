"""An incremental batch: what changed in the sources, and the lines of the orders that it concerns.

What is to change in the tables is kept in `ingest_changes` first. To apply it once or twice makes no difference, so a
batch that was interrupted is applied from there, whatever the state of the sources.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.schema import TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.checks import NOT_KNOWN_YET
from customer_segmentation.ingest import batches, orders
from customer_segmentation.ingest.counts import RowCounts, count_lines
from customer_segmentation.ingest.files import castable
from customer_segmentation.ingest.snapshots import FILTERED_LATE, FullReloadRequired, following
from customer_segmentation.ingest.sources import essential_columns
from customer_segmentation.spark.persistence import checkpointed
from customer_segmentation.stages.builds import oldest_batch
from customer_segmentation.stages.ingest.batch_log import COMMITTED, Batch, BatchLog
from customer_segmentation.stages.ingest.commit import commit_batch
from customer_segmentation.stages.ingest.limits import require_few_rejected
from customer_segmentation.stages.ingest.planning import Plan
from customer_segmentation.stages.ingest.validation import (
    CheckpointedLines,
    SourceLines,
    check_suite,
    column_types,
    known_types,
)
from customer_segmentation.stages.ingest.verification import (
    LINE_TABLES,
    count_rows,
    require_counts,
    table_versions,
)
from customer_segmentation.stages.run import Run

_MIN_LINES = 1_000
"""A batch may have as many lines rejected as if it had this number, so that a few bad lines don't stop a schedule."""


def load_changes(run: Run, log: BatchLog, plan: Plan, last_batch: Batch) -> Batch | None:
    """Validate, resolve, verify and commit what changed since a batch; None where nothing did after all.

    Raises:
        FullReloadRequired: the changes turn out to be unknown.
        DataRejectedError: too many of the new lines are rejected; nothing was written.
        PublishingError: the lines do not add up; the batch is not committed.
    """
    changes = _read_changes(run, plan, last_batch)
    if changes.are_empty:
        return _reached(log, plan, last_batch)
    result = _resolved(run, plan, last_batch, changes)
    _require_few_rejected(run, changes, result)
    batch = replace(
        plan.batch,
        inserted=changes.inserted,
        deleted=changes.deleted,
        counts=result.counts,
        source_columns=changes.source_columns,
        first_order=changes.orders.first,
        last_order=changes.orders.last,
    )
    return commit_batch(
        run,
        log,
        plan,
        batch,
        stage=lambda staged: stage_changes(run, staged, result.before, result.after),
        write=lambda staged: apply_changes(run, staged),
    )


def roll_forward(run: Run, log: BatchLog, interrupted: Batch) -> None:
    """Bring a batch that was interrupted to its end, from what was kept of it."""
    apply_changes(run, interrupted, is_repeated=True)
    is_whole = count_rows(run) == (interrupted.counts.accepted, interrupted.counts.rejected)
    # Without versions the rows are counted again as for every batch, which shows changes by somebody else in between.
    versions = table_versions(run) if is_whole else {}
    log.record(replace(interrupted, status=COMMITTED, table_versions=versions))


@dataclass(frozen=True)
class _Changes:
    """The lines inserted and deleted, and those of their orders as they are in the tables.

    new_lines, old_lines: the lines; inserted, deleted: how many they are.
    filtered_out: how many more are filtered out than before; fewer where it is below 0.
    suppressed: those of them that are of suppressed customers.
    existing: the lines of the orders, see `batches.existing_rows`.
    are_empty: whether nothing changes.
    source_columns: the columns of each source, with their types.
    """

    new_lines: DataFrame
    old_lines: DataFrame
    inserted: int
    deleted: int
    filtered_out: int
    suppressed: int
    orders: batches.Orders
    existing: DataFrame
    are_empty: bool
    source_columns: list[dict[str, str]]


def _read_changes(run: Run, plan: Plan, last_batch: Batch) -> _Changes:
    """Validate what changed in the sources, and look up the lines of the orders that it concerns."""
    timezone, known_before = run.config.timezone, plan.batch.known_before
    inserted, deleted, overlapping = (
        _validated(run, plan, last_batch, [getattr(change, part) if change else None for change in plan.changes])
        for part in ("inserted", "deleted", "overlapping")
    )
    new_lines, old_lines = inserted.lines, deleted.lines
    if any(change and change.deleted for change in plan.changes):
        # A row that was changed and changed back, or rewritten with its whole file, is no change.
        new_lines = checkpointed(batches.multiset_difference(inserted.lines, deleted.lines))
        old_lines = checkpointed(batches.multiset_difference(deleted.lines, inserted.lines))
    for table in LINE_TABLES:
        run.warehouse.add_missing_columns(table)
    transactions, rejected = map(run.warehouse.read, LINE_TABLES)
    become_known = [batches.known_by_now(rejected, c.REASONS, known_before, timezone)]
    if NOT_KNOWN_YET in last_batch.counts.by_warning:
        become_known.append(batches.known_by_now(transactions, c.WARNINGS, known_before, timezone))
    concerned = [new_lines, old_lines, overlapping.lines, *become_known]
    of_orders = batches.distinct_orders([batches.orders_of(lines) for lines in concerned])
    existing = checkpointed(
        batches.existing_rows(transactions, rejected, of_orders, known_before=known_before, timezone=timezone)
    )
    if any(change and change.overlapping for change in plan.changes):
        new_lines = checkpointed(new_lines.unionByName(batches.multiset_difference(overlapping.lines, existing)))
    filtered_before = sum(
        offsets.get(FILTERED_LATE, 0)
        for offsets, change in zip(last_batch.offsets, plan.changes, strict=True)
        if change and change.overlapping
    )
    # What an overlap has of suppressed customers is not counted: whether it was read before can't be told.
    late = overlapping.filtered_out - overlapping.suppressed - filtered_before
    filtered_out = inserted.filtered_out - deleted.filtered_out + late
    counts = new_lines.count(), old_lines.count()
    return _Changes(
        new_lines,
        old_lines,
        *counts,
        filtered_out,
        inserted.suppressed - deleted.suppressed,
        of_orders,
        existing,
        are_empty=not (any(counts) or filtered_out or any(lines.head(1) for lines in become_known)),
        source_columns=[
            known_types(known, column_types(change.inserted) if change else {})
            for known, change in zip(last_batch.source_columns, plan.changes, strict=True)
        ],
    )


def _validated(run: Run, plan: Plan, last_batch: Batch, parts: Sequence[DataFrame | None]) -> CheckpointedLines:
    """The rows of one part of the changes of each source, as order lines."""
    frames = [
        (source, _with_known_columns(source, frame, known))
        for source, frame, known in zip(run.sources.transactions, parts, last_batch.source_columns, strict=True)
        if frame is not None
    ]
    if not frames:
        return CheckpointedLines(run.spark.createDataFrame([], t.REJECTED_TRANSACTIONS.ddl))
    lines = SourceLines(run, frames, known_before=plan.batch.known_before)
    with ExitStack() as reading:
        for source, offsets in zip(run.sources.transactions, last_batch.offsets, strict=True):
            reading.enter_context(following(source, offsets))
        return lines.checkpointed()


@dataclass(frozen=True)
class _Result:
    """The lines of the orders of a batch before and after it, what became of these, and the counts of all lines."""

    before: DataFrame
    after: DataFrame
    counts_after: RowCounts
    counts: RowCounts


def _resolved(run: Run, plan: Plan, last_batch: Batch, changes: _Changes) -> _Result:
    """Resolve the orders with their new lines, and count all lines.

    Raises:
        FullReloadRequired: lines that are no longer there were not in the tables either.
    """
    kept = batches.multiset_difference(changes.existing, changes.old_lines) if changes.deleted else changes.existing
    after = checkpointed(
        orders.resolved(batches.together(kept, changes.new_lines), check_suite(run, plan.batch.known_before))
    )
    previous, current = count_stored(changes.existing), count_lines(after)
    if current.lines - previous.lines != changes.inserted - changes.deleted:
        raise FullReloadRequired("lines that are no longer there were not in the tables either")
    counts = counts_after(
        last_batch.counts,
        previous,
        current,
        lines=changes.inserted - changes.deleted + changes.filtered_out,
        filtered_out=changes.filtered_out,
        suppressed=changes.suppressed,
    )
    return _Result(changes.existing, after, current, counts)


def count_stored(existing: DataFrame) -> RowCounts:
    """The counts of lines as the tables have them. Runs one aggregation."""
    stored = existing.withColumns({c.REASONS: F.col("had_reasons"), c.WARNINGS: F.col("had_warnings")})
    return count_lines(stored)


def counts_after(
    counts: RowCounts, previous: RowCounts, current: RowCounts, *, lines: int, filtered_out: int, suppressed: int
) -> RowCounts:
    """The counts of all lines once those of some orders are others.

    Args:
        counts: of all lines before.
        previous, current: of the lines of these orders, before and after.
        lines, filtered_out, suppressed: how many more there are.

    Raises:
        PublishingError: they do not add up.
    """
    updated = RowCounts(
        lines=counts.lines + lines,
        accepted=counts.accepted + (current.lines - current.rejected) - (previous.lines - previous.rejected),
        rejected=counts.rejected + current.rejected - previous.rejected,
        filtered_out=counts.filtered_out + filtered_out,
        suppressed=counts.suppressed + suppressed,
        by_reason=_updated(counts.by_reason, previous.by_reason, current.by_reason),
        by_warning=_updated(counts.by_warning, previous.by_warning, current.by_warning),
    )
    require_counts(updated)
    return updated


def stage_changes(run: Run, staged: Batch, stored: DataFrame, resolved: DataFrame) -> None:
    """Keep which lines are to be deleted from the tables and which inserted.

    Changes that every table has followed go in the same commit.

    Args:
        run, staged: of the batch.
        stored: the lines of its orders as `batches.existing_rows` gives them.
        resolved: what becomes of them and of the new ones.
    """
    changed = checkpointed(batches.changed_lines(stored, resolved))
    was_accepted = F.size("had_reasons") == 0
    before = stored.join(changed, on=c.LINE_ID, how="left_semi").withColumns(
        {
            "table_name": F.when(was_accepted, t.TRANSACTIONS.name).otherwise(t.REJECTED_TRANSACTIONS.name),
            "is_inserted": F.lit(False),
            c.CUSTOMER_ID: F.col("had_customer"),
            c.ORDERED_AT: F.col("had_date"),
        }
    )
    after = resolved.join(changed, on=c.LINE_ID, how="left_semi")
    nowhere = {name: F.lit(None).cast("string") for name in (c.SOURCE_FILE, c.ROW, c.BATCH_ID)}
    nowhere |= {c.REASONS: F.array().cast("array<string>"), c.INGESTED_AT: F.lit(None).cast("timestamp")}
    inserted = {
        t.TRANSACTIONS: batches.as_accepted(after).withColumns(nowhere),
        t.REJECTED_TRANSACTIONS: batches.as_rejected(after, batch_id=staged.batch_id),
    }
    rows = before.select("table_name", "is_inserted", *t.REJECTED_TRANSACTIONS.column_names)
    for table, frame in inserted.items():
        named = frame.withColumns({"table_name": F.lit(table.name), "is_inserted": F.lit(True)})
        rows = rows.unionByName(named)
    numbered = rows.withColumn("batch_number", F.lit(staged.number))
    condition = f"batch_number = {staged.number} OR batch_number <= {oldest_batch(run)}"
    if run.warehouse.exists(t.INGEST_CHANGES):
        run.warehouse.replace_where(t.INGEST_CHANGES, numbered, condition)
    else:
        run.warehouse.overwrite(t.INGEST_CHANGES, numbered)


def apply_changes(run: Run, batch: Batch, *, is_repeated: bool = False) -> None:
    """Change the tables as `ingest_changes` says, `transactions` last.

    Args:
        batch: a staged batch.
        is_repeated: whether it may have been applied before, in whole or in part: what it inserted is replaced.
    """
    if not run.warehouse.exists(t.INGEST_CHANGES):
        return
    changes = run.warehouse.read(t.INGEST_CHANGES).where(F.col("batch_number") == batch.number)
    counted = changes.groupBy("table_name", "is_inserted").count().collect()
    rows = {(row["table_name"], row["is_inserted"]): row["count"] for row in counted}
    within = (c.ORDER_ID, batch.first_order, batch.last_order) if batch.first_order and batch.last_order else None
    for table in (t.REJECTED_TRANSACTIONS, t.TRANSACTIONS):
        of_table = changes.where(F.col("table_name") == table.name)
        inserted = of_table.where("is_inserted")
        if (table.name, False) in rows or (is_repeated and (table.name, True) in rows):
            deleted = of_table if is_repeated else of_table.where("not is_inserted")
            keys = deleted.select(c.LINE_ID).distinct()
            run.warehouse.change(table, deleted=keys, key=[c.LINE_ID], inserted=inserted, within=within)
        elif (table.name, True) in rows:
            run.warehouse.append(table, inserted)


def _require_few_rejected(run: Run, changes: _Changes, result: _Result) -> None:
    """Stop where too many of the new lines are rejected; those that were there before have been let through.

    Raises:
        DataRejectedError: there are too many.
    """
    share = run.config.checks.max_rejected_share
    if result.counts_after.rejected <= share * _MIN_LINES:
        return
    new = result.after.where(F.col(c.INGESTED_AT).isNull() & F.col(c.SOURCE_FILE).isNotNull())
    require_few_rejected(count_lines(new), new, lines=changes.inserted, share=share, at_least=_MIN_LINES)


def _reached(log: BatchLog, plan: Plan, last_batch: Batch) -> Batch | None:
    """Keep how far the sources were read where they have moved on without a line that changed."""
    if plan.batch.offsets == last_batch.offsets:
        return None
    log.record(
        replace(
            plan.batch,
            status=COMMITTED,
            counts=last_batch.counts,
            source_columns=last_batch.source_columns,
            table_versions=last_batch.table_versions,
        )
    )
    return None


def _updated(counts: Mapping[str, int], previous: Mapping[str, int], current: Mapping[str, int]) -> dict[str, int]:
    updated: Counter[str] = Counter(counts)
    updated.subtract(previous)
    updated.update(current)
    return {code: number for code, number in updated.items() if number}


def _with_known_columns(source: TransactionSource, frame: DataFrame, known: Mapping[str, str]) -> DataFrame:
    """The rows with the columns that the source had: a Parquet file need not have all of them, as when all are read
    together, but can't be without those that every line needs.
    """
    if source.format != "parquet":  # of JSON they are there already, see `read_source`
        return frame
    present = {name.lower() for name in (*frame.columns, *essential_columns(source))}
    types = castable({name: type_ for name, type_ in known.items() if name.lower() not in present})
    return frame.withColumns({name: F.lit(None).cast(types[name]) for name in sorted(types)}) if types else frame
