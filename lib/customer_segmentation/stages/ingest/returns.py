"""Follows the order lines with `returns`: their returns, matched with purchases."""

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.ingest.orders import BROADCAST_LIMIT
from customer_segmentation.ingest.returns import Line, matched_returns, of_pairs, touched_pairs
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.persistence import checkpointed, persisted
from customer_segmentation.stages.builds import COMMITTED, PLANNED, Build, build_of, record_build
from customer_segmentation.stages.changes import changed_transactions
from customer_segmentation.stages.ingest.batch_log import Batch
from customer_segmentation.stages.run import Run


def follow_returns(run: Run, batch: Batch) -> str:
    """Match the returns of the lines as a batch left them, and say what no purchase explains."""
    build, made_from = build_of(run.warehouse, t.RETURNS), {"batch": batch.number}
    if build.is_of(made_from):
        lines, returned, unexplained = _figures(run)
    else:
        _match(run, batch, build)
        (lines, returned, unexplained), _ = at_once(
            lambda: _figures(run), lambda: record_build(run, t.RETURNS, COMMITTED, made_from)
        )
    if not lines:
        return "none"
    return (
        f"{lines:,} lines worth {returned:,} returned, {unexplained or 0:,} of it without a purchase that explains it"
    )


def _figures(run: Run) -> Row:
    """How many lines were returned, what they are worth, and what of it no purchase explains."""
    value, unmatched = F.sum(c.AMOUNT), F.sum(F.when(~F.col(c.IS_MATCHED), F.col(c.AMOUNT)))
    lines = F.count_distinct(c.RETURN_LINE_ID, c.RETURN_ORDER_ID)
    return run.warehouse.read(t.RETURNS).agg(lines, value, unmatched).collect()[0]


def _match(run: Run, batch: Batch, build: Build) -> None:
    """Bring the matches to a batch: all of them, or those of the customers and products touched since the last one."""
    lines, since = run.warehouse.read(t.TRANSACTIONS), build.committed["batch"] if build.committed else None
    pairs = _touched_pairs(run, since, batch.number)
    if pairs is None:
        if build.is_on_record:
            record_build(run, t.RETURNS, PLANNED, {"batch": batch.number})
        run.warehouse.overwrite(t.RETURNS, matched_returns(lines))
    elif (number := pairs.count()) > 0:
        # To match the returns of a customer and product again leaves the same rows, so nothing has to be planned.
        pairs = F.broadcast(pairs) if number <= BROADCAST_LIMIT else pairs
        deleted = of_pairs(run.warehouse.read(t.RETURNS), pairs).select(c.RETURN_LINE_ID).distinct()
        with persisted(of_pairs(lines.select(*Line._fields), pairs)) as of_touched:
            inserted = matched_returns(of_touched)
            run.warehouse.change(t.RETURNS, deleted=deleted, key=[c.RETURN_LINE_ID], inserted=inserted)


def _touched_pairs(run: Run, since: int | None, until: int) -> DataFrame | None:
    """The customers and products whose matches may have changed since a batch; None where all have to be matched."""
    if since is None:
        return None
    changes = changed_transactions(run, since=since, until=until)
    return None if isinstance(changes, str) else checkpointed(touched_pairs(changes, run.warehouse.read(t.RETURNS)))
