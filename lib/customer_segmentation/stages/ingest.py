"""Sources to canonical tables: `transactions`, `rejected_transactions`, `returns`, `customers`, `engagement`."""

from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Source
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.ingest.customers import customer_attributes, mapped_customers
from customer_segmentation.ingest.engagement import engagement_events, mapped_events
from customer_segmentation.ingest.returns import matched_returns, of_pairs, touched_pairs
from customer_segmentation.ingest.sources import fingerprint
from customer_segmentation.spark.history import lost_history
from customer_segmentation.spark.holding import settled
from customer_segmentation.stages.reading import analysed, read_order_lines
from customer_segmentation.stages.run import Run


def ingest_sources(run: Run) -> None:
    """Read, judge and write what is new in the sources.

    Raises:
        DataRefusedError: a mapping does not fit its source, no line is accepted, the share of refused lines is above
            `checks.max_rejected_share`, or files are gone; `transactions` stays as it was.
        PublishingError: the lines written are not those counted.
    """
    with run.progress.stage("ingest", "reading and checking order lines") as stage:
        reading, told = read_order_lines(run)
        stage.result = "; ".join([reading.told(), *told])
    with run.progress.stage("returns", "finding the purchases that returns undo") as stage:
        stage.result = _ingest_returns(run)
    for table, sources, mapped, kept in (
        (t.CUSTOMERS, run.sources.customers, mapped_customers, customer_attributes),
        (t.ENGAGEMENT, run.sources.engagement, mapped_events, engagement_events),
    ):
        if sources:
            with run.progress.stage(table.name, f"reading {table.name}") as stage:
                stage.result = _ingest_whole(run, table, sources, mapped, kept)


def _ingest_returns(run: Run) -> str:
    """Match the returns of the lines as they are now, and say what no purchase explains."""
    version = run.warehouse.last_commit(t.TRANSACTIONS)[0]
    then = run.warehouse.last_commit(t.RETURNS)[1].get("transactions") if run.warehouse.exists(t.RETURNS) else None
    if then != version:
        _match_returns(run, version, then)
    value, unmatched = F.sum(c.AMOUNT), F.sum(F.when(~F.col(c.IS_MATCHED), F.col(c.AMOUNT)))
    lines, back, unexplained = (
        run.warehouse.read(t.RETURNS)
        .agg(F.count_distinct(c.RETURN_LINE_ID, c.RETURN_ORDER_ID), value, unmatched)
        .collect()[0]
    )
    if not lines:
        return "none"
    return f"{lines:,} lines worth {back:,} given back, {unexplained or 0:,} of it without a purchase that explains it"


def _match_returns(run: Run, version: int, then: int | None) -> None:
    """Write the matches of a version of the lines; from those of an earlier one, only where lines changed."""
    lines, note = run.warehouse.read(t.TRANSACTIONS, version=version), {"transactions": version}
    pairs = _touched_pairs(run, version, then)
    if pairs is None:
        run.warehouse.overwrite(t.RETURNS, matched_returns(lines), note=note)
        return
    gone = of_pairs(run.warehouse.read(t.RETURNS), pairs).select(c.RETURN_LINE_ID).distinct()
    pieces = matched_returns(of_pairs(lines, pairs))
    run.warehouse.change(t.RETURNS, gone=gone, key=[c.RETURN_LINE_ID], rows=pieces, note=note)


def _touched_pairs(run: Run, version: int, then: int | None) -> DataFrame | None:
    """The customers and products whose matches may have changed since a version; None where that can't be told."""
    changes = None if then is None else run.warehouse.changes(t.TRANSACTIONS, since=then, until=version)
    if changes is None:
        return None
    try:
        return settled(touched_pairs(changes, run.warehouse.read(t.RETURNS)))
    except Exception as error:
        if lost_history(error) is None:
            raise
        return None


def _ingest_whole(
    run: Run,
    table: t.Table,
    sources: Sequence[Source],
    mapped: Callable[[Any, Any], DataFrame],
    kept: Callable[[DataFrame], DataFrame],
) -> str:
    """Replace the table by the rows that are kept of the sources, and say how many are not."""
    batch_id = fingerprint(run.spark, sources)
    if _is_current(run, table, batch_id):
        return "as they were"
    seen = Observation()
    rows = analysed(table.name, lambda: mapped(run.spark, sources)).observe(seen, F.count(F.lit(1)).alias("rows"))
    run.warehouse.overwrite(table, kept(rows), note={"batch_id": batch_id})
    read, written = seen.get["rows"], run.warehouse.read(table).count()
    return f"{read:,} rows in = {written:,} kept + {read - written:,} without what they need, or again"


def _is_current(run: Run, table: t.Table, batch_id: str) -> bool:
    return run.warehouse.exists(table) and run.warehouse.last_commit(table)[1].get("batch_id") == batch_id
