"""Sources to canonical tables: `transactions`, `rejected_transactions`, `customers`, `engagement`."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Observation

from customer_segmentation.config.schema import Source
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import DataRefusedError, PublishingError
from customer_segmentation.ingest.checks import Check, transaction_checks
from customer_segmentation.ingest.customers import customer_attributes
from customer_segmentation.ingest.engagement import engagement_events
from customer_segmentation.ingest.sources import fingerprint
from customer_segmentation.ingest.transactions import accepted, judged_lines, refused, tallies
from customer_segmentation.stages.run import Run


def ingest_sources(run: Run) -> None:
    """Read, judge and write what the sources hold; a source that is as it was is not read again.

    Raises:
        DataRefusedError: a mapping does not fit its source, no line is accepted, or the share of refused lines is
            above `checks.max_rejected_share`; `transactions` stays as it was.
        PublishingError: the lines written are not those counted.
    """
    with run.progress.stage("ingest", "reading and checking order lines") as stage:
        counts = _ingest_transactions(run)
        stage.result = (
            f"{counts['lines']:,} lines in = {counts['lines'] - counts['refused']:,} accepted "
            f"+ {counts['refused']:,} refused"
        )
        if run.sources.customers:
            _ingest_whole(run, t.CUSTOMERS, run.sources.customers, customer_attributes)
        if run.sources.engagement:
            _ingest_whole(run, t.ENGAGEMENT, run.sources.engagement, engagement_events)


def ingest_note(run: Run) -> dict[str, Any]:
    """What was said of the reading that made `transactions`: batch_id, lines, refused, by_reason."""
    return run.warehouse.last_commit(t.TRANSACTIONS)[1]


def analysed(name: str, frame: Callable[[], DataFrame]) -> DataFrame:
    """The frame, with its mapping resolved against the source's columns; no row is read.

    Raises:
        DataRefusedError: a column of the mapping is not there, or has a type that does not fit.
    """
    try:
        made = frame()
        made.schema  # noqa: B018 (on Connect nothing is resolved before somebody looks)
    except AnalysisException as error:
        said = str(error).split("\n")[0].split(" SQLSTATE")[0]
        raise DataRefusedError(f"sources.{name}: the mapping does not fit the source: {said}") from None
    return made


def _ingest_transactions(run: Run) -> dict[str, int]:
    warehouse, sources = run.warehouse, run.sources.transactions
    checks = transaction_checks(run.config.checks)
    batch_id = fingerprint(run.spark, sources, run.config.checks.model_dump(mode="json"))
    if _is_current(run, t.TRANSACTIONS, batch_id):
        return ingest_note(run)

    judged = [analysed("transactions", partial(judged_lines, run.spark, source, checks)) for source in sources]
    counted, counts = _observed(judged, checks)
    warehouse.overwrite(t.REJECTED_TRANSACTIONS, _union(refused(lines, checks, batch_id=batch_id) for lines in counted))
    first = counts()
    lines, refusals = first["lines"], first["refused"]
    by_reason = {check.code: first[check.code] for check in checks if first[check.code]}
    _judge_share(run, lines, refusals, by_reason)

    note = {"batch_id": batch_id, "lines": lines, "refused": refusals, "by_reason": by_reason}
    counted, counts = _observed(judged, checks)
    warehouse.overwrite(t.TRANSACTIONS, _union(map(accepted, counted)), note=note)
    written = warehouse.read(t.TRANSACTIONS).count(), warehouse.read(t.REJECTED_TRANSACTIONS).count()
    if written != (lines - refusals, refusals) or counts() != first:
        raise PublishingError(
            f"{lines} lines were read, but {written[0]} accepted and {written[1]} refused ones were written; "
            "the sources changed while they were read: run again"
        )
    return {"lines": lines, "refused": refusals}


def _observed(judged: list[DataFrame], checks: list[Check]) -> tuple[list[DataFrame], Callable[[], Counter[str]]]:
    """The lines, counted as they pass, and the counts, to be asked for after they did.

    The counting also keeps Spark from moving the verdict below the typing of values and typing them twice.
    """
    observations = [Observation() for _ in judged]
    tallied = [column.alias(name) for name, column in tallies(checks).items()]
    counted = [lines.observe(seen, *tallied) for lines, seen in zip(judged, observations, strict=True)]
    return counted, lambda: sum((Counter(seen.get) for seen in observations), Counter())


def _union(frames: Iterable[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, frames)


def _judge_share(run: Run, lines: int, refusals: int, by_reason: dict[str, int]) -> None:
    limit = run.config.checks.max_rejected_share
    if lines and refusals < lines and refusals <= limit * lines:
        return
    if not lines:
        raise DataRefusedError("sources.transactions: the sources hold no lines")
    top = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))[:3]
    raise DataRefusedError(
        f"sources.transactions: {refusals:,} of {lines:,} lines are refused, checks.max_rejected_share is {limit:g}; "
        f"most often for {', '.join(f'{code} ({count:,})' for code, count in top)}. "
        f"The lines are in {run.warehouse.location(t.REJECTED_TRANSACTIONS)}; mend them or the mapping"
    )


def _ingest_whole(run: Run, table: t.Table, sources: Sequence[Source], read: Callable[[Any, Any], DataFrame]) -> None:
    batch_id = fingerprint(run.spark, sources)
    if not _is_current(run, table, batch_id):
        frame = analysed(table.name, lambda: read(run.spark, sources))
        run.warehouse.overwrite(table, frame, note={"batch_id": batch_id})


def _is_current(run: Run, table: t.Table, batch_id: str) -> bool:
    return run.warehouse.exists(table) and run.warehouse.last_commit(table)[1].get("batch_id") == batch_id
