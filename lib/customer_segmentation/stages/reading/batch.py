"""Reads what is new in the sources of order lines, and judges again only the orders that it concerns."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.schema import TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.reasons import NOT_KNOWN_YET
from customer_segmentation.ingest import batches, repeats
from customer_segmentation.ingest.news import LEFT_OUT_LATE, MustReadWholeError, News, following
from customer_segmentation.report.wording import count
from customer_segmentation.spark.holding import settled
from customer_segmentation.stages.reading.account import Reading, judge_share, verify
from customer_segmentation.stages.reading.lines import OrderLines, column_types
from customer_segmentation.stages.reading.now import Now
from customer_segmentation.stages.run import Run

_FEWEST_JUDGED = 1_000
"""A batch may have as many lines refused as if it had this number, so that a few bad lines don't stop a schedule."""


def read_batch(run: Run, then: Reading, now: Now) -> tuple[Reading, list[str]]:
    """Bring the tables from what the sources were to what they are.

    Returns:
        The account of all lines, and what there is to say of the batch.

    Raises:
        MustReadWholeError: what is new can't be told from what is there.
        DataRefusedError: files are gone, or too many lines are refused.
    """
    if then.definition != now.definition:
        raise MustReadWholeError("the configuration changed")
    news = now.news(then)
    latest = max(now.latest, date.fromisoformat(then.latest))
    may_pass = latest > date.fromisoformat(then.latest) and NOT_KNOWN_YET in then.by_reason
    if not any(news) and not may_pass:
        return then, ["nothing new"]
    _take_back(run, then)
    batch = _Batch(run, then, news, latest)
    if batch.is_empty and not any(one and one.perhaps is None for one in news):
        return then, ["nothing new"]
    reading = batch.written(now)
    verify(run, reading)
    lines = "line" if batch.came == 1 else "lines"
    told = f"{count(batch.came)} new {lines}" + (f", {count(batch.went)} no longer there" if batch.went else "")
    return reading, [told]


class _Batch:
    """The lines that came and went, and those of their orders before and after.

    came, went: how many lines.
    """

    def __init__(self, run: Run, then: Reading, news: Sequence[News | None], latest: date) -> None:
        self._run, self._then, self._latest = run, then, latest
        self._columns = [
            known | (column_types(one.came) if one else {}) for known, one in zip(then.columns, news, strict=True)
        ]
        came = self._judged([one.came if one else None for one in news])
        went = self._judged([one.went if one else None for one in news])
        perhaps = self._judged([one.perhaps if one else None for one in news])
        late = perhaps.left_out() - sum(
            state.get(LEFT_OUT_LATE, 0) for state, one in zip(then.sources, news, strict=True) if one and one.perhaps
        )
        self._left_out = came.left_out() - went.left_out() + late
        came_lines, went_lines = came.lines, went.lines
        if went.is_some:
            # A row that was changed and changed back, or written anew with its whole file, did neither.
            came_lines = settled(batches.without(came.lines, went.lines))
            went_lines = settled(batches.without(went.lines, came.lines))
        transactions, rejected = (
            run.warehouse.read(table, version=run.warehouse.last_commit(table)[0])
            for table in (t.TRANSACTIONS, t.REJECTED_TRANSACTIONS)
        )
        timezone = run.config.timezone
        passing = batches.known_by_now(rejected, latest, timezone=timezone)
        parts = [came_lines, went_lines, perhaps.lines, passing]
        self._orders = batches.orders([batches.orders_of(lines) for lines in parts])
        self._before = settled(batches.standing(transactions, rejected, self._orders, latest=latest, timezone=timezone))
        if perhaps.is_some:
            came_lines = settled(came_lines.unionByName(batches.without(perhaps.lines, self._before)))
        self.came, self.went = came_lines.count(), went_lines.count()
        stayed = batches.without(self._before, went_lines) if self.went else self._before
        self._after = settled(repeats.compared(batches.together(stayed, came_lines), run.config.checks))
        self._was = repeats.account(self._before.withColumn(c.REASONS, F.col("was_refused")))
        self._is = repeats.account(self._after)
        if self._is.lines - self._was.lines != self.came - self.went:
            raise MustReadWholeError("lines that are no longer there were not in the tables either")
        self.is_empty = not (self.came or self.went or self._left_out or passing.head(1))

    def written(self, now: Now) -> Reading:
        """Change in the tables what is no longer the same.

        Raises:
            DataRefusedError: too many of the lines that came are refused.
        """
        changed = settled(batches.changed(self._before, self._after))
        rows = self._after.join(changed, on=c.LINE_ID, how="left_semi")
        was_refused = F.size("was_refused") > 0
        self._change(t.REJECTED_TRANSACTIONS, changed, was_refused, batches.as_refused(rows, batch_id=now.batch_id))
        self._judge_share()
        now.write_files(self._then)
        by_reason = Counter(self._then.by_reason)
        by_reason.subtract(self._was.by_reason)
        by_reason.update(self._is.by_reason)
        refused = self._is.refused - self._was.refused
        reading = replace(
            self._then,
            batch_id=now.batch_id,
            lines=self._then.lines + self.came - self.went + self._left_out,
            accepted=self._then.accepted + self.came - self.went - refused,
            refused=self._then.refused + refused,
            left_out=self._then.left_out + self._left_out,
            by_reason={code: lines for code, lines in by_reason.items() if lines},
            latest=self._latest.isoformat(),
            columns=self._columns,
            sources=[dict(seen.state) for seen in now.seen],
            versions=now.versions(),
        )
        self._change(t.TRANSACTIONS, changed, ~was_refused, batches.as_accepted(rows), note=asdict(reading))
        return reading

    def _judged(self, parts: Sequence[DataFrame | None]) -> "_Judged":
        """The rows of one part of the news of each source, as order lines."""
        run = self._run
        frames = [
            (source, _completed(source, frame, known))
            for source, frame, known in zip(run.sources.transactions, parts, self._then.columns, strict=True)
            if frame is not None
        ]
        if not frames:
            return _Judged(run.spark.createDataFrame([], t.REJECTED_TRANSACTIONS.ddl), lambda: 0, False)
        lines = OrderLines(run, frames, latest=self._latest)
        with ExitStack() as looking:
            for source, then in zip(run.sources.transactions, self._then.sources, strict=True):
                looking.enter_context(following(source, then))
            judged = settled(lines.judged().select(t.REJECTED_TRANSACTIONS.column_names))
        return _Judged(judged, lines.left_out, True)

    def _judge_share(self) -> None:
        """Judge the lines that came; those that were there before have been judged."""
        if self._is.refused <= self._run.config.checks.max_rejected_share * _FEWEST_JUDGED:
            return
        new = self._after.where(F.col(c.INGESTED_AT).isNull() & F.col(c.SOURCE_FILE).isNotNull())
        judge_share(self._run, repeats.account(new), new, judged=self.came, as_if=max(self.came, _FEWEST_JUDGED))

    def _change(
        self, table: t.Table, changed: DataFrame, was_there: Column, rows: DataFrame, note: dict[str, Any] | None = None
    ) -> None:
        """Replace the changed lines in a table, in one commit; without a note none where there is nothing to do."""
        there = self._before.where(was_there).select(c.LINE_ID).distinct()
        gone = there.join(changed, on=c.LINE_ID, how="left_semi")
        if note is None and gone.isEmpty() and rows.isEmpty():
            return
        first, last = self._orders.first, self._orders.last
        within = (c.ORDER_ID, first, last) if first is not None and last is not None else None
        self._run.warehouse.change(table, gone=gone, key=[c.LINE_ID], rows=rows, within=within, note=note)


@dataclass(frozen=True)
class _Judged:
    """Order lines, how many were left out beside them (counted when asked for), and whether there can be some."""

    lines: DataFrame
    left_out: Callable[[], int]
    is_some: bool


def _completed(source: TransactionSource, frame: DataFrame, known: Mapping[str, str]) -> DataFrame:
    """The rows with the columns that the source had; a JSON line that has no value for a column does not name it.

    Raises:
        MustReadWholeError: a column has another type than it had, so equal lines would not look equal.
    """
    types = column_types(frame)
    for name in sorted(types.keys() & known.keys()):
        if types[name] != known[name]:
            raise MustReadWholeError(f"column {name} is {types[name]}, was {known[name]}")
    missing = known.keys() - types.keys() if source.format == "json" else set()
    return frame.withColumns({name: F.lit(None).cast(known[name]) for name in sorted(missing)}) if missing else frame


def _take_back(run: Run, then: Reading) -> None:
    """Take back what a run that did not come to its end wrote beside `transactions`.

    Raises:
        MustReadWholeError: the version that belongs to `transactions` is no longer there.
    """
    name = t.REJECTED_TRANSACTIONS.name
    try:
        run.warehouse.restore(t.REJECTED_TRANSACTIONS, version=then.versions[name])
    except PySparkException:
        raise MustReadWholeError(f"{name} lost its version {then.versions[name]}") from None
