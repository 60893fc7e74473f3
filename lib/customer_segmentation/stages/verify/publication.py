"""Verifies what consumers read: one whole run, equal to its rows everywhere else, and the runs before it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display.formatting import count
from customer_segmentation.stages.builds import COMMITTED
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.verify.pinned import PinnedTables
from customer_segmentation.stages.verify.rows import checksum
from customer_segmentation.verification import Finding

_PUBLISH = "run `customer-segmentation run`, which publishes it"
_HISTORY = "put the table back from a backup"


def _again(run_id: str) -> str:
    return f"run `rollback --run {run_id}`, which publishes it again from customer_segments_history"


@dataclass(frozen=True)
class _Erased:
    """How many customers of a run were erased since: profiles, transitions and the log of runs count them still.

    Receipts name nobody, and rows that came back with a backup are in two of them, so it is not always one number.

    at_least: as many as the largest receipt has; at_most: as many as all have, those of what has not ended among them.
    is_under_way: whether an erasure of some has not ended, so that their rows may still be in some of the tables.
    """

    at_least: int = 0
    at_most: int = 0
    is_under_way: bool = False

    def explains(self, missing: int) -> bool:
        """Whether so many rows may have been erased."""
        return self.at_least <= missing <= self.at_most

    def __str__(self) -> str:
        return f"{self.at_least}" if self.at_least == self.at_most else f"{self.at_least} to {self.at_most}"


_NOTHING = _Erased()


def publication_findings(run: Run, tables: PinnedTables) -> Iterator[Finding | str]:
    """What is wrong with the published run and the log of runs; a sentence on what was verified last."""
    if not tables.have(t.PIPELINE_RUNS):
        if tables.lack(t.PIPELINE_RUNS) and tables.have(t.CUSTOMER_SEGMENTS):
            yield Finding(t.PIPELINE_RUNS.name, "table", "the runs on record", "none", _PUBLISH)
        yield "not compared, since no run is on record"
        return
    runs = {row[c.RUN_ID]: row for row in tables.read(t.PIPELINE_RUNS).collect()}
    erased = _erased(tables)
    yield from _finished_runs(tables, runs, erased)
    if not tables.have(t.CUSTOMER_SEGMENTS):
        if runs and tables.lack(t.CUSTOMER_SEGMENTS) and tables.have(t.PUBLICATIONS):
            newest = _newest_publication(tables)
            yield Finding("customer_segments", "table", f"run {newest}, as publications says", "none", _PUBLISH)
        return
    name = t.CUSTOMER_SEGMENTS.name
    segments = tables.read(t.CUSTOMER_SEGMENTS).select(t.CUSTOMER_SEGMENTS.column_names)
    carried = segments.select(c.RUN_ID, c.MODEL_VERSION, c.AS_OF_DATE).distinct().limit(3).collect()
    if len(carried) != 1:
        found = "no row" if not carried else f"rows of {', '.join(sorted({str(row[c.RUN_ID]) for row in carried}))}"
        remedy = "run `rollback --run ...` with the run that is to be read, which publishes it from its history"
        yield Finding(name, "run_id, model_version, as_of_date", "those of one run", found, remedy)
        return
    (published,) = carried
    run_id = published[c.RUN_ID]
    yield from _recorded(tables, runs, published)
    of_run = erased.get(run_id, _NOTHING)
    if not of_run.is_under_way:
        yield from _equal_to_history(tables, run_id, segments)
    yield from _profiled(tables, run_id, segments, runs.get(run_id), of_run)
    yield from _moved(tables, run_id, segments, of_run)
    yield f"customer_segments is run {run_id}, whole and as the log has it; {count(len(runs))} runs on record"


def _erased(tables: PinnedTables) -> Mapping[str, _Erased]:
    """What was erased of each run, by the newest step of each erasure."""
    if not tables.have(t.ERASURES):
        return {}
    steps = tables.read(t.ERASURES).orderBy("recorded_at").select("receipt_id", "status", "rows_by_run").collect()
    newest = {row["receipt_id"]: row for row in steps}
    at_least, at_most, under_way = Counter[str](), Counter[str](), Counter[str]()
    for row in newest.values():
        rows = Counter[str](row["rows_by_run"] or {})
        at_most += rows
        if row["status"] == COMMITTED:
            at_least |= rows
        else:
            under_way += rows
    return {run_id: _Erased(at_least[run_id], most, run_id in under_way) for run_id, most in at_most.items()}


def _newest_publication(tables: PinnedTables) -> str | None:
    newest = tables.read(t.PUBLICATIONS).orderBy(F.desc("published_at")).select(c.RUN_ID).first()
    return newest[0] if newest else None


def _recorded(tables: PinnedTables, runs: dict[str, Row], published: Row) -> Iterator[Finding]:
    """Whether the run and its model are on record, and the newest publication is of it."""
    run_id, model = published[c.RUN_ID], published[c.MODEL_VERSION]
    row = runs.get(run_id)
    if row is None:
        yield Finding(t.PIPELINE_RUNS.name, f"run {run_id}", "the published run on record", "no row", _PUBLISH)
    else:
        for name, value in ((c.MODEL_VERSION, model), (c.AS_OF_DATE, published[c.AS_OF_DATE])):
            if row[name] != value:
                expected, found = f"{value}, as customer_segments has it", str(row[name])
                yield Finding(t.PIPELINE_RUNS.name, f"run {run_id}, {name}", expected, found, _HISTORY)
    if tables.have(t.PUBLICATIONS):
        listed = tables.read(t.PUBLICATIONS).orderBy("published_at").select(c.RUN_ID).collect()
        ids = [each[0] for each in listed]
        # A run that was killed between its two commits is not listed yet: the next run lists it.
        if run_id in ids and ids[-1] != run_id:
            expected, found = f"run {ids[-1]}, the newest of publications", f"run {run_id}, published before it"
            remedy = f"run `rollback --run {ids[-1]}`, or `rollback --run {run_id}` where that is to stay"
            yield Finding(t.CUSTOMER_SEGMENTS.name, c.RUN_ID, expected, found, remedy)
    if tables.have(t.MODEL_RUNS):
        models = tables.read(t.MODEL_RUNS).where(F.col(c.MODEL_VERSION) == model).count()
        if models != 1:
            where, expected = f"model {model}", "one row, since customers are assigned by it"
            yield Finding(t.MODEL_RUNS.name, where, expected, f"{models}", _HISTORY)


def _equal_to_history(tables: PinnedTables, run_id: str, segments: DataFrame) -> Iterator[Finding]:
    if not tables.have(t.CUSTOMER_SEGMENTS_HISTORY):
        return
    history = tables.of_run(t.CUSTOMER_SEGMENTS_HISTORY, run_id).select(t.CUSTOMER_SEGMENTS.column_names)
    (now, then) = (tuple(frame.agg(F.count(F.lit(1)), checksum(frame)).collect()[0]) for frame in (segments, history))
    if now != then:
        where = f"rows of run {run_id}"
        expected, found = (f"{count(rows)} rows with checksum {total}" for rows, total in (then, now))
        yield Finding(
            t.CUSTOMER_SEGMENTS.name, where, f"those of customer_segments_history: {expected}", found, _again(run_id)
        )


def _profiled(
    tables: PinnedTables, run_id: str, segments: DataFrame, row: Row | None, erased: _Erased
) -> Iterator[Finding]:
    """Whether customers and revenue by segment are the same in the segments, the profiles and the log of runs.

    Where customers were erased since, whether as many are fewer, and no segment has more than it had.
    """
    size = F.count(F.lit(1))
    if tables.have(t.CUSTOMER_FEATURES):
        features = tables.of_run(t.CUSTOMER_FEATURES, run_id).select(c.CUSTOMER_ID, c.MONETARY)
        spent = segments.join(features, on=c.CUSTOMER_ID, how="left")
        sums = spent.groupBy(c.SEGMENT_ID).agg(size, F.sum(c.MONETARY).cast(t.TOTAL))
    else:
        sums = segments.groupBy(c.SEGMENT_ID).agg(size, F.lit(None).cast(t.TOTAL))
    actual: dict[int, tuple[int, Decimal | None]] = {id_: (number, sum_) for id_, number, sum_ in sums.collect()}
    customers = sum(number for number, _ in actual.values())
    revenue = sum(sum_ or Decimal(0) for _, sum_ in actual.values())
    has_revenue = tables.have(t.CUSTOMER_FEATURES) and not erased.at_most
    if row is not None:
        found: dict[str, Any] = {}
        if not erased.at_most:
            found["segments"] = len(actual.keys() - {c.NOISE_ID})
        if has_revenue:
            found["revenue"] = revenue
        wrong = {name: value for name, value in found.items() if row[name] != value}
        for name in ("customers", "customers_segmented"):
            if not erased.explains((row[name] or 0) - customers):
                wrong[name] = customers
        also = f" with {erased} erased" if erased.at_most else ""
        for name, value in wrong.items():
            where, expected = f"run {run_id}, {name}", f"{value}, as in customer_segments{also}"
            yield Finding(t.PIPELINE_RUNS.name, where, expected, f"{row[name]}", _HISTORY)
    if not tables.have(t.SEGMENT_PROFILES):
        return
    profiles = {
        each[c.SEGMENT_ID]: (each["customers"], each["revenue"])
        for each in tables.of_run(t.SEGMENT_PROFILES, run_id).select(c.SEGMENT_ID, "customers", "revenue").collect()
    }
    for segment in sorted(actual.keys() | profiles.keys()):
        (number, spend), profile = actual.get(segment, (0, Decimal(0))), profiles.get(segment)
        is_as_large = profile is not None and (profile[0] == number or (erased.at_most and profile[0] > number))
        if profile is None or not is_as_large or (has_revenue and profile[1] != spend):
            in_segments = f"{count(number)} customers" + (f" with {spend}" if has_revenue else "")
            in_profile = "no profile" if profile is None else f"{count(profile[0])} customers with {profile[1]}"
            where = f"run {run_id}, segment {segment}"
            yield Finding(t.SEGMENT_PROFILES.name, where, in_segments, in_profile, _HISTORY)


def _moved(tables: PinnedTables, run_id: str, segments: DataFrame, erased: _Erased) -> Iterator[Finding]:
    """Whether the transitions are those of the customers; where some were erased since, of no fewer."""
    if not tables.have(t.SEGMENT_TRANSITIONS):
        return
    customers = segments.groupBy(c.PREVIOUS_SEGMENT_ID, c.SEGMENT_ID).count().collect()
    actual = {(row[0], row[1]): row[2] for row in customers}
    rows = tables.of_run(t.SEGMENT_TRANSITIONS, run_id)
    pairs = rows.select("from_segment_id", "to_segment_id", "customers").collect()
    recorded = {(row[0], row[1]): row[2] for row in pairs}
    for pair in sorted(actual.keys() | recorded.keys(), key=str):
        fewer = recorded.get(pair, 0) - actual.get(pair, 0)
        if fewer and not 0 < fewer <= erased.at_most:
            where = f"run {run_id}, from {pair[0]} to {pair[1]}"
            expected, found = (f"{count(each.get(pair, 0))} customers" for each in (actual, recorded))
            yield Finding(t.SEGMENT_TRANSITIONS.name, where, expected, found, _HISTORY)


def _finished_runs(tables: PinnedTables, runs: dict[str, Row], erased: Mapping[str, _Erased]) -> Iterator[Finding]:
    """Whether all runs on record have their rows; a run that has none is one whose rows have expired."""
    nobody: Mapping[str, _Erased] = {}
    for table, counted, gone in (
        (t.CUSTOMER_SEGMENTS_HISTORY, F.count(F.lit(1)), erased),
        (t.CUSTOMER_FEATURES, F.count(F.lit(1)), erased),
        (t.SEGMENT_PROFILES, F.sum("customers"), nobody),
        (t.SEGMENT_TRANSITIONS, F.sum("customers"), nobody),
    ):
        if not tables.have(table):
            continue
        for row in tables.read(table).groupBy(c.RUN_ID).agg(counted.alias("customers")).collect():
            logged = runs.get(row[c.RUN_ID])
            erased_of_it = gone.get(row[c.RUN_ID], _NOTHING)
            if logged is not None and not erased_of_it.explains(logged["customers"] - row["customers"]):
                also = f" less {erased_of_it} erased" if erased_of_it.at_most else ""
                expected = f"{count(logged['customers'])} customers{also}, as pipeline_runs and erasures say"
                found = f"{count(row['customers'])}"
                yield Finding(table.name, f"run {row[c.RUN_ID]}", expected, found, _HISTORY)
