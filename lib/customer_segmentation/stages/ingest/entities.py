"""Reads customers and events whole, where their sources changed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Source
from customer_segmentation.contract import tables as t
from customer_segmentation.display.formatting import count, share
from customer_segmentation.ingest import rejections
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.ingest.customers import describe_renamed, validated_customers
from customer_segmentation.ingest.engagement import validated_events
from customer_segmentation.ingest.sources import fingerprint
from customer_segmentation.ingest.suppression import IS_SUPPRESSED, malformed_text
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.stages.builds import COMMITTED, PLANNED, build_of, record_build
from customer_segmentation.stages.ingest.unreadable import naming_unreadable_files
from customer_segmentation.stages.ingest.validation import analysed
from customer_segmentation.stages.run import Run

_RULES_VERSION = 4
"""Goes up when the same rows of a source give other rows of a table."""


def entity_loads(run: Run) -> dict[str, Callable[[], str]]:
    """What brings `customers` and `engagement` up to what their sources hold, where there are some, by table.

    Each says what it found. They need neither each other nor the returns.
    """
    events = partial(validated_events, timezone=run.config.timezone)
    return {
        table.name: naming_unreadable_files(run, f"sources.{table.name}", sources)(
            partial(_load, run, table, rejected, sources, validated)
        )
        for table, rejected, sources, validated in (
            (t.CUSTOMERS, t.REJECTED_CUSTOMERS, run.sources.customers, validated_customers),
            (t.ENGAGEMENT, t.REJECTED_ENGAGEMENT, run.sources.engagement, events),
        )
        if sources
    }


def _load(
    run: Run, table: t.Table, rejected: t.Table, sources: Sequence[Source], validated: Callable[..., DataFrame]
) -> str:
    made_from: Mapping[str, Any] = {
        "sources": analysed(table.name, lambda: fingerprint(run.spark, sources, run.config.timezone, _RULES_VERSION))
    }
    build = build_of(run.warehouse, table)
    if build.is_of(made_from):
        return "unchanged"
    read, suppressed = analysed(table.name, lambda: validated(run.spark, sources)), run.suppression.suppressed
    if suppressed is not None:
        read = suppressed.marked(read, text=malformed_text(rejections.ROW))
    with persisted(read) as rows:
        filtered_out = sum(rejections.count_filtered_out_rows(run.spark, source) for source in sources)
        of_suppressed = 0
        if suppressed is not None:
            of_suppressed = rows.where(IS_SUPPRESSED).count()
            rows = rows.where(~F.col(IS_SUPPRESSED)).drop(IS_SUPPRESSED)
        counts = rejections.count_rows(rows, filtered_out=filtered_out + of_suppressed, suppressed=of_suppressed)
        writes = [lambda: run.warehouse.overwrite(table, rejections.accepted(rows))]
        if counts.rejected or run.warehouse.exists(rejected):
            bad = rejections.rejected(rows, batch_id=made_from["sources"])
            writes.append(lambda: run.warehouse.overwrite(rejected, bad))
        if build.is_on_record:
            record_build(run, table, PLANNED, made_from)
        at_once(*writes)
    _, unknown = at_once(
        lambda: record_build(run, table, COMMITTED, made_from),
        lambda: _without_order(run, table, counts.accepted) if counts.accepted else "",
    )
    renamed = describe_renamed(run.warehouse.read(table)) if table is t.CUSTOMERS else ""
    return "; ".join(filter(None, [_describe(counts), unknown, renamed]))


def _describe(counts: RowCounts) -> str:
    message = counts.describe("rows")
    reasons = ", ".join(f"{count(rows)} {code}" for code, rows in counts.by_reason.items())
    return f"{message}: {reasons}" if counts.rejected else message


def _without_order(run: Run, table: t.Table, rows: int) -> str:
    """How many rows of a table are of customers without an order line; empty where none is."""
    unknown = rejections.without_order(run.warehouse.read(table), run.warehouse.read(t.TRANSACTIONS))
    if not unknown:
        return ""
    hint = "" if unknown < rows else ": do the ids of the sources fit?"
    return f"{unknown:,} of {rows:,} rows kept ({share(unknown / rows)}) are of customers without an order line{hint}"
