"""Sources to canonical tables: `transactions`, `rejected_transactions`, `returns`, `customers`, `engagement`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Source
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.reasons import RowReason
from customer_segmentation.ingest import refusals
from customer_segmentation.ingest.customers import describe_renamed, judged_customers
from customer_segmentation.ingest.engagement import judged_events
from customer_segmentation.ingest.returns import matched_returns, of_pairs, touched_pairs
from customer_segmentation.ingest.sources import fingerprint
from customer_segmentation.report.wording import accounted, count, share
from customer_segmentation.spark.history import lost_history
from customer_segmentation.spark.holding import held, settled
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
    for table, rejected, sources, judged in (
        (t.CUSTOMERS, t.REJECTED_CUSTOMERS, run.sources.customers, judged_customers),
        (t.ENGAGEMENT, t.REJECTED_ENGAGEMENT, run.sources.engagement, judged_events),
    ):
        if sources:
            with run.progress.stage(table.name, f"reading {table.name}") as stage:
                stage.result = _ingest_whole(run, table, rejected, sources, judged)


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
    run: Run, table: t.Table, rejected: t.Table, sources: Sequence[Source], judged: Callable[[Any, Any], DataFrame]
) -> str:
    """Replace the tables by the rows of the sources that are kept and refused, and say how many they are."""
    batch_id = fingerprint(run.spark, sources)
    if _is_current(run, table, batch_id):
        return "as they were"
    with held(analysed(table.name, lambda: judged(run.spark, sources))) as rows:
        found = refusals.account(rows)
        if found.refused or run.warehouse.exists(rejected):
            run.warehouse.overwrite(rejected, refusals.refused(rows, batch_id=batch_id))
        run.warehouse.overwrite(table, refusals.kept(rows), note={"batch_id": batch_id})
    told = [_accounted(run, sources, found)]
    if found.kept:
        told += [_without_order(run, table, found.kept)]
    if table is t.CUSTOMERS:
        told += [describe_renamed(run.warehouse.read(table))]
    return "; ".join(filter(None, told))


def _accounted(run: Run, sources: Sequence[Source], found: refusals.RowAccount) -> str:
    left_out = sum(refusals.rows_left_out(run.spark, source) for source in sources)
    told = accounted(found.kept + found.refused + left_out, found.kept, found.refused, left_out, of="rows")
    return f"{told}: {_reasons(found.by_reason)}" if found.refused else told


def _without_order(run: Run, table: t.Table, rows: int) -> str:
    """How many rows of a table are of customers without an order line; empty where none is."""
    unknown = refusals.without_order(run.warehouse.read(table), run.warehouse.read(t.TRANSACTIONS))
    if not unknown:
        return ""
    hint = "" if unknown < rows else ": do the ids of the sources fit?"
    return f"{unknown:,} of {rows:,} rows kept ({share(unknown / rows)}) are of customers without an order line{hint}"


def _is_current(run: Run, table: t.Table, batch_id: str) -> bool:
    return run.warehouse.exists(table) and run.warehouse.last_commit(table)[1].get("batch_id") == batch_id


def _reasons(by_reason: Mapping[RowReason, int]) -> str:
    return ", ".join(f"{count(rows)} {code}" for code, rows in by_reason.items())
