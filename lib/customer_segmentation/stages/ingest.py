"""Sources to canonical tables: `transactions`, `rejected_transactions`, `returns`, `customers`, `engagement`."""

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from functools import partial, reduce
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Source, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import DataRefusedError, PublishingError
from customer_segmentation.contract.reasons import NOT_KNOWN_YET
from customer_segmentation.ingest import repeats
from customer_segmentation.ingest.checks import transaction_checks
from customer_segmentation.ingest.customers import customer_attributes, mapped_customers
from customer_segmentation.ingest.engagement import engagement_events, mapped_events
from customer_segmentation.ingest.repeats import Key
from customer_segmentation.ingest.returns import matched_returns
from customer_segmentation.ingest.sources import CORRUPT, fingerprint, read_source
from customer_segmentation.ingest.transactions import identified_lines, judged_lines, left_out
from customer_segmentation.report.wording import accounted
from customer_segmentation.spark.holding import held
from customer_segmentation.stages.run import Run

_TOP_REASONS = 3
_LONGEST_EXAMPLE = 300


@dataclass(frozen=True)
class Reading:
    """What became of the lines of the sources: lines = accepted + refused + left_out, always.

    lines: read.
    left_out: by the sources' `where`.
    by_reason: refused lines by code; a line counts under each of its codes.
    latest: lines of this day (YYYY-MM-DD) and later were refused as not known yet.
    columns: of each source, with their types.
    """

    batch_id: str
    lines: int
    accepted: int
    refused: int
    left_out: int
    by_reason: dict[str, int]
    latest: str
    columns: list[dict[str, str]]

    def told(self) -> str:
        """The account in one line."""
        return accounted(self.lines, self.accepted, self.refused, self.left_out)


def ingest_sources(run: Run) -> None:
    """Read, judge and write what the sources hold; a source that is as it was is not read again.

    Raises:
        DataRefusedError: a mapping does not fit its source, no line is accepted, or the share of refused lines is
            above `checks.max_rejected_share`; `transactions` stays as it was.
        PublishingError: the lines written are not those counted.
    """
    with run.progress.stage("ingest", "reading and checking order lines") as stage:
        before = run.warehouse.last_commit(t.TRANSACTIONS)[1] if run.warehouse.exists(t.TRANSACTIONS) else {}
        reading = _ingest_transactions(run)
        stage.result = "; ".join([reading.told(), *changes(before.get("columns", []), reading.columns)])
    with run.progress.stage("returns", "finding the purchases that returns undo") as stage:
        stage.result = _ingest_returns(run)
    for table, sources, mapped, kept in (
        (t.CUSTOMERS, run.sources.customers, mapped_customers, customer_attributes),
        (t.ENGAGEMENT, run.sources.engagement, mapped_events, engagement_events),
    ):
        if sources:
            with run.progress.stage(table.name, f"reading {table.name}") as stage:
                stage.result = _ingest_whole(run, table, sources, mapped, kept)


def last_reading(run: Run) -> Reading:
    """The reading that made `transactions` what it is."""
    return Reading(**run.warehouse.last_commit(t.TRANSACTIONS)[1])


def analysed(name: str, frame: Callable[[], DataFrame], *, has: Sequence[str] = ()) -> DataFrame:
    """The frame, with its mapping resolved against the source's columns; no row is read.

    Args:
        name: of the source in the configuration.
        frame: makes it.
        has: the source's columns.

    Raises:
        DataRefusedError: a column of the mapping is not there, or has a type that does not fit.
    """
    try:
        made = frame()
        made.schema  # noqa: B018 (on Connect nothing is resolved before somebody looks)
    except AnalysisException as error:
        said = str(error).split("\n")[0].split(" SQLSTATE")[0]
        missing = (error.getMessageParameters() or {}).get("objectName", "").strip("`")
        if (error.getCondition() or "").startswith("UNRESOLVED_COLUMN") and has:
            close = difflib.get_close_matches(missing.lower(), [column.lower() for column in has], n=1)
            meant = next((column for column in has if close and column.lower() == close[0]), None)
            hint = f"did you mean {meant}? " if meant else ""
            said = f"there is no column {missing}; {hint}It has {', '.join(has)}"
        raise DataRefusedError(f"sources.{name}: the mapping does not fit the source: {said}") from None
    return made


def _ingest_transactions(run: Run) -> Reading:
    settings = run.config.checks
    # Tables that an earlier version of the library left with another account are made anew.
    account_form = [field.name for field in fields(Reading)]
    batch_id = fingerprint(run.spark, run.sources.transactions, settings.model_dump(mode="json"), account_form)
    latest = min(filter(None, (run.config.as_of, settings.latest_order))).isoformat()
    if _is_current(run, t.TRANSACTIONS, batch_id):
        reading = last_reading(run)
        # Lines that were not known yet may be by now; all others are judged as before.
        if NOT_KNOWN_YET not in reading.by_reason or latest <= reading.latest:
            return reading

    lines = OrderLines(run)
    with ExitStack() as kept:
        copied = torn = None
        if settings.severity_of("duplicate") != "off":
            copied = _key(kept, repeats.copied_lines(lines.identified()))
        if settings.severity_of("order_changes_customer") != "off":
            torn = _key(kept, repeats.torn_orders(lines.judged()))

        counted, seen = lines.counted()
        _, concerned = repeats.set_apart(counted, copied=copied, torn=torn)
        compared = kept.enter_context(held(repeats.compared(concerned, settings, copied=copied, torn=torn)))
        account = repeats.account(compared)
        run.warehouse.overwrite(t.REJECTED_TRANSACTIONS, repeats.refused(compared, batch_id=batch_id))
        read = seen()
        reading = Reading(
            batch_id=batch_id,
            lines=read["lines"],
            accepted=read["lines"] - read["left_out"] - account.refused,
            refused=account.refused,
            left_out=read["left_out"],
            by_reason=account.by_reason,
            latest=latest,
            columns=lines.columns(),
        )
        _judge_share(run, reading, account, compared)

        counted, seen = lines.counted()
        good, _ = repeats.set_apart(counted, copied=copied, torn=torn)
        accepted = good.unionByName(repeats.accepted(compared))
        run.warehouse.overwrite(t.TRANSACTIONS, accepted, note=asdict(reading))
        _verify(run, reading, seen())
    return reading


def changes(before: list[dict[str, str]], now: list[dict[str, str]]) -> list[str]:
    """What changed in the sources' columns between two readings; what a mapping can't live with was refused before."""
    told = []
    for number, (then, today) in enumerate(zip(before, now, strict=False), start=1):
        source = f" of source {number}" if len(now) > 1 else ""
        told += [f"column {name}{source} is new and ignored" for name in today.keys() - then.keys()]
        told += [f"column {name}{source} is gone" for name in then.keys() - today.keys()]
        retyped = sorted(name for name in today.keys() & then.keys() if today[name] != then[name])
        told += [f"column {name}{source} is {today[name]}, was {then[name]}" for name in retyped]
    return sorted(told)


def _ingest_returns(run: Run) -> str:
    """Match the returns of the lines as they are now, and say what no purchase explains."""
    version = run.warehouse.last_commit(t.TRANSACTIONS)[0]
    if not run.warehouse.exists(t.RETURNS) or run.warehouse.last_commit(t.RETURNS)[1] != {"transactions": version}:
        pieces = matched_returns(run.warehouse.read(t.TRANSACTIONS, version=version))
        run.warehouse.overwrite(t.RETURNS, pieces, note={"transactions": version})
    value, unmatched = F.sum(c.AMOUNT), F.sum(F.when(~F.col(c.IS_MATCHED), F.col(c.AMOUNT)))
    lines, back, unexplained = (
        run.warehouse.read(t.RETURNS)
        .agg(F.count_distinct(c.RETURN_LINE_ID, c.RETURN_ORDER_ID), value, unmatched)
        .collect()[0]
    )
    if not lines:
        return "none"
    return f"{lines:,} lines worth {back:,} given back, {unexplained or 0:,} of it without a purchase that explains it"


class OrderLines:
    """The lines of all sources of order lines, in the forms that the passes over them need.

    Raises DataRefusedError where a mapping does not fit its source.
    """

    def __init__(self, run: Run) -> None:
        self._spark = run.spark
        self._checks = transaction_checks(run.config.checks, as_of=run.config.as_of)
        self._frames = [
            (source, analysed("transactions", partial(read_source, run.spark, source)))
            for source in run.sources.transactions
        ]
        for source, frame in self._frames:
            own = [name for name in frame.columns if name not in (c.SOURCE_FILE, CORRUPT)]
            analysed("transactions", partial(judged_lines, run.spark, frame, source, self._checks), has=own)

    def columns(self) -> list[dict[str, str]]:
        """The columns of each source, with their types."""
        return [
            {field.name: field.dataType.simpleString() for field in frame.schema.fields if field.name != c.SOURCE_FILE}
            for _, frame in self._frames
        ]

    def identified(self) -> DataFrame:
        """The line_id of each line."""
        frames = [identified_lines(frame, source).select(c.LINE_ID) for source, frame in self._frames]
        return reduce(DataFrame.unionByName, frames)

    def judged(self) -> DataFrame:
        """Each line with what its own checks say."""
        return self._union(self._frames)

    def counted(self) -> tuple[DataFrame, Callable[[], Counter[str]]]:
        """Like `judged`; and how many lines there were (`lines`, `left_out`), to be asked for after a pass."""
        observations = [Observation() for _ in self._frames]
        frames = [
            (
                source,
                frame.observe(seen, F.count(F.lit(1)).alias("lines"), F.count_if(left_out(source)).alias("left_out")),
            )
            for seen, (source, frame) in zip(observations, self._frames, strict=True)
        ]
        return self._union(frames), lambda: sum((Counter(seen.get) for seen in observations), Counter())

    def _union(self, frames: list[tuple[TransactionSource, DataFrame]]) -> DataFrame:
        return reduce(
            DataFrame.unionByName,
            (judged_lines(self._spark, frame, source, self._checks) for source, frame in frames),
        )


def _key(kept: ExitStack, values: DataFrame) -> Key:
    """The values, kept for the passes that look them up."""
    values = kept.enter_context(held(values))
    return Key(values, values.count())


def _judge_share(run: Run, reading: Reading, account: repeats.Account, compared: DataFrame) -> None:
    judged, limit = reading.lines - reading.left_out, run.config.checks.max_rejected_share
    if reading.accepted and account.refused - account.not_known_yet <= limit * judged:
        return
    if not judged:
        kept = f", and `where` leaves out all of the {reading.lines:,} read" if reading.lines else ""
        raise DataRefusedError(f"sources.transactions: the sources hold no lines{kept}")
    top = sorted(reading.by_reason.items(), key=lambda item: (-item[1], item[0]))[:_TOP_REASONS]
    examples = [f"  - {code} ({count:,}), such as {_example(compared, code)}" for code, count in top]
    raise DataRefusedError(
        f"sources.transactions: {reading.refused:,} of {judged:,} lines are refused, checks.max_rejected_share is "
        f"{limit:g}; most often for\n" + "\n".join(examples) + "\nAll of them are in "
        f"{run.warehouse.location(t.REJECTED_TRANSACTIONS)}; mend them or the mapping, or set checks.severity"
    )


def _example(compared: DataFrame, code: str) -> str:
    """A line that was refused for the code; its customer is not shown."""
    lines = compared.where(F.array_contains(c.REASONS, code)).select(c.ROW, c.SOURCE_FILE, c.CUSTOMER_ID)
    row = lines.orderBy(c.ROW, c.SOURCE_FILE).first()
    assert row is not None, "a reason that was counted has a line"
    shown = row[c.ROW].replace(row[c.CUSTOMER_ID], "***") if row[c.CUSTOMER_ID] else row[c.ROW]
    return f"{shown[:_LONGEST_EXAMPLE]} in {row[c.SOURCE_FILE]}"


def _verify(run: Run, reading: Reading, seen: Counter[str]) -> None:
    """Compare what was written with what was read, and the two passes over the sources with each other."""
    written = run.warehouse.read(t.TRANSACTIONS).count(), run.warehouse.read(t.REJECTED_TRANSACTIONS).count()
    if written != (reading.accepted, reading.refused) or (seen["lines"], seen["left_out"]) != (
        reading.lines,
        reading.left_out,
    ):
        raise PublishingError(
            f"{reading.told()}, but {written[0]:,} accepted and {written[1]:,} refused ones were written of "
            f"{seen['lines']:,}; the sources changed while they were read: run again"
        )


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
