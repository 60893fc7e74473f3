"""Sources to canonical tables.

    snapshot   the state of each source: files, a version, a watermark         planning.take_snapshots
       │
    plan       all of it (and why), or what changed since the newest           planning.plan_batch
       │       committed batch; nothing where nothing did
    validate   each line by itself: typed, with the reasons against it         validation.SourceLines
       │
    resolve    the lines of an order together: copies, versions, one           full, incremental
       │       customer; with the lines of the order that were read before
    verify     lines in = accepted + rejected + filtered out                   verification
       │
    commit     planned, staged, the two tables, committed                      commit, batch_log
       │
    follow     returns, customers, engagement, at the same time                returns, entities

A batch that ended before it was staged has changed no table and is planned from the start. One that ended after that
is rolled forward from what was staged, or all is reloaded where all was being read.
"""

from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.spark.concurrently import started
from customer_segmentation.stages.ingest.batch_log import Batch, committed_batch
from customer_segmentation.stages.ingest.entities import entity_loads
from customer_segmentation.stages.ingest.erasure import erase_lines
from customer_segmentation.stages.ingest.load import load_order_lines
from customer_segmentation.stages.ingest.returns import follow_returns
from customer_segmentation.stages.ingest.validation import SourceLines, analysed, column_changes
from customer_segmentation.stages.run import Run

__all__ = [
    "Batch",
    "RowCounts",
    "SourceLines",
    "analysed",
    "column_changes",
    "committed_batch",
    "erase_lines",
    "follow_returns",
    "ingest_sources",
    "load_order_lines",
]


def _reasons(counts: RowCounts) -> list[str]:
    """The reasons of the rejected lines, the most frequent first, as one part of a sentence; none where none was."""
    most_first = sorted(counts.by_reason.items(), key=lambda item: (-item[1], item[0]))
    return [f"rejected: {', '.join(f'{lines:,} {code}' for code, lines in most_first)}"] if most_first else []


def _unfinished(run: Run) -> list[str]:
    """That an erasure ended midway, as one part of a sentence; nothing where none did."""
    receipt = run.suppression.unfinished()
    return [f"erasure {receipt} ended midway: run `customer-segmentation erase` to finish it"] if receipt else []


def ingest_sources(run: Run) -> None:
    """Read, validate and write what is new in the sources.

    Raises:
        DataRejectedError: a mapping does not fit its source, no line is accepted, the share of rejected lines is above
            `checks.max_rejected_share`, or files are gone; no table was changed.
        PublishingError: the lines written are not those counted.
        WarehouseBusyError: another run has taken over.
    """
    with run.progress.stage("ingest", "reading and checking order lines") as stage:
        batch, messages = load_order_lines(run)
        stage.rows = batch.counts.lines
        stage.result = "; ".join([batch.counts.describe(), *_reasons(batch.counts), *messages, *_unfinished(run)])
    loads = entity_loads(run)
    with started(lambda: follow_returns(run, batch), *loads.values()) as (returns, *loaded):
        with run.progress.stage("returns", "matching returns with purchases") as stage:
            stage.result = returns()
        for name, result in zip(loads, loaded, strict=True):
            with run.progress.stage(name, f"reading {name}") as stage:
                stage.result = result()
