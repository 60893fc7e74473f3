"""Takes the lines of suppressed customers out of `transactions` and `rejected_transactions`, as a batch of its own.

What is left of their orders is resolved again: an order that was rejected since it had lines of several customers, or a
line that took its date from another one, becomes what it would be had the lines never come. The lines count as filtered
out from then on, as they do when a source is read again.
"""

from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.ingest import batches, orders
from customer_segmentation.ingest.counts import count_lines
from customer_segmentation.ingest.sources import digest
from customer_segmentation.ingest.suppression import IS_SUPPRESSED, Suppressed, quarantined_text
from customer_segmentation.spark.persistence import checkpointed
from customer_segmentation.stages.ingest.batch_log import COMMITTED, ERASURE, STAGED, Batch, BatchLog
from customer_segmentation.stages.ingest.incremental import apply_changes, count_stored, counts_after, stage_changes
from customer_segmentation.stages.ingest.load import settled_log
from customer_segmentation.stages.ingest.validation import check_suite
from customer_segmentation.stages.ingest.verification import LINE_TABLES, verified_versions
from customer_segmentation.stages.run import Run

_OF_NOBODY = [name for name in t.REJECTED_TRANSACTIONS.column_names if name not in (c.LINE_ID, c.REASONS, c.WARNINGS)]
"""What a deleted line need not have to be found in the tables."""


def erase_lines(run: Run, suppressed: Suppressed) -> Batch | None:
    """Erase the lines of suppressed customers; the newest committed batch, None where there is none.

    Raises:
        PublishingError: the lines do not add up; the batch is not committed.
        WarehouseBusyError: another run has taken over; no table was changed.
    """
    if not all(run.warehouse.exists(table) for table in LINE_TABLES):
        # One of them was removed: the next batch reads all lines again, without theirs.
        _delete(run, suppressed)
        return None
    log, _ = settled_log(run)
    for table in LINE_TABLES:
        run.warehouse.add_missing_columns(table)
    if log.committed is None or log.interrupted is not None:
        # All lines are read again by the next batch, without theirs.
        _delete(run, suppressed)
        return None
    transactions, rejected = (suppressed.marked(run.warehouse.read(t.TRANSACTIONS)), _rejected(run, suppressed))
    concerned = [batches.orders_of(lines.where(IS_SUPPRESSED)) for lines in (transactions, rejected)]
    of_orders = batches.distinct_orders(concerned)
    return _erased(run, log, log.committed, suppressed, of_orders) if of_orders.count else log.committed


def _rejected(run: Run, suppressed: Suppressed) -> DataFrame:
    return suppressed.marked(run.warehouse.read(t.REJECTED_TRANSACTIONS), text=quarantined_text())


def _delete(run: Run, suppressed: Suppressed) -> None:
    if run.warehouse.exists(t.REJECTED_TRANSACTIONS):
        run.warehouse.add_missing_columns(t.REJECTED_TRANSACTIONS)
        rejected = _rejected(run, suppressed).where(IS_SUPPRESSED)
        run.warehouse.delete(t.REJECTED_TRANSACTIONS, rejected.select(c.ROW).distinct())
    if run.warehouse.exists(t.TRANSACTIONS):
        accepted = suppressed.marked(run.warehouse.read(t.TRANSACTIONS)).where(IS_SUPPRESSED)
        run.warehouse.delete(t.TRANSACTIONS, accepted.select(c.CUSTOMER_ID).distinct())


def _erased(run: Run, log: BatchLog, last_batch: Batch, suppressed: Suppressed, of_orders: batches.Orders) -> Batch:
    known_before, timezone = last_batch.known_before, run.config.timezone
    transactions, rejected = map(run.warehouse.read, LINE_TABLES)
    existing = batches.existing_rows(transactions, rejected, of_orders, known_before=known_before, timezone=timezone)
    existing = checkpointed(suppressed.marked(existing, text=quarantined_text()))
    kept = _without_their_names(existing, suppressed).select(t.REJECTED_TRANSACTIONS.column_names)
    after = checkpointed(orders.resolved(kept, check_suite(run, known_before)))
    lines = existing.where(IS_SUPPRESSED).count()
    counts = counts_after(
        last_batch.counts, count_stored(existing), count_lines(after), lines=0, filtered_out=lines, suppressed=lines
    )
    staged = replace(
        last_batch,
        number=log.next_number,
        batch_id=digest([last_batch.batch_id, run.suppression.state]),
        status=STAGED,
        mode=ERASURE,
        reason=None,
        inserted=0,
        deleted=0,
        counts=counts,
        # The numbers of their orders are nobody's to know.
        first_order=None,
        last_order=None,
    )
    stage_changes(run, staged, _unnamed(existing, suppressed), after)
    log.require_own(log.record(staged))
    apply_changes(run, staged)
    return log.record(replace(staged, status=COMMITTED, table_versions=verified_versions(run, counts)))


def _without_their_names(existing: DataFrame, suppressed: Suppressed) -> DataFrame:
    """The lines that stay. Where one took a suppressed customer from its order, what stands for its row has no name."""
    had = existing.where(~F.col(IS_SUPPRESSED)).drop(IS_SUPPRESSED)
    had = had.withColumns({"_own": F.col(c.CUSTOMER_ID), c.CUSTOMER_ID: F.col("had_customer")})
    names_them = F.col(IS_SUPPRESSED) & (F.col(c.SOURCE_FILE) == t.TRANSACTIONS.name)
    row = F.when(F.coalesce(names_them, F.lit(False)), F.lit(None)).otherwise(F.col(c.ROW))
    return suppressed.marked(had).withColumns({c.CUSTOMER_ID: F.col("_own"), c.ROW: row})


def _unnamed(existing: DataFrame, suppressed: Suppressed) -> DataFrame:
    """The lines without what names a suppressed customer, be it that they took the name from their order."""
    had = existing.select("*", F.col(c.CUSTOMER_ID).alias("_own")).withColumn(c.CUSTOMER_ID, F.col("had_customer"))
    marked = suppressed.marked(had.withColumnRenamed(IS_SUPPRESSED, "_is_own"))
    names_them = F.col(IS_SUPPRESSED) | F.col("_is_own")
    columns = {c.CUSTOMER_ID: F.col("_own")} | {name: F.col(name) for name in _OF_NOBODY if name != c.CUSTOMER_ID}
    columns |= {name: F.col(name) for name in ("had_customer", "had_date")}
    return marked.withColumns({name: F.when(~names_them, column) for name, column in columns.items()})
