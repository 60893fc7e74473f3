"""Verifies the tables that follow the order lines against a build from scratch, of all customers or of a sample."""

from collections.abc import Iterator
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display.formatting import count
from customer_segmentation.features.daily_aggregates import daily_aggregates
from customer_segmentation.features.history_aggregates import DEFINITION, history_aggregates
from customer_segmentation.features.lines_by_customer import DAY
from customer_segmentation.ingest.returns import matched_returns
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.stages.builds import build_of
from customer_segmentation.stages.customer_history import lines_of_customers
from customer_segmentation.stages.ingest.batch_log import committed_batch, read_log
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.verify.pinned import PinnedTables
from customer_segmentation.verification import Finding

_TOLERANCE = 1e-9
"""Share of a number up to which sums of doubles differ by the order in which they were added."""


def state_findings(tables: PinnedTables, *, customers: int | None) -> Iterator[Finding | str]:
    """What differs from a build from scratch; a sentence on what was verified last."""
    run = tables.run
    own = (t.TRANSACTIONS, t.RETURNS, t.TABLE_BUILDS, t.INGEST_BATCHES)
    if not (tables.have(*own) and tables.have(*run.inputs.entities)):
        yield "not compared with a build from scratch: what it would be built from is not there"
        return
    if not read_log(run).is_settled:
        yield "not compared with a build from scratch: an ingest is at work, or ended midway; the next one goes on"
        return
    batch = committed_batch(run).number
    lines = tables.read(t.TRANSACTIONS)
    with persisted(_sample(lines.select(c.CUSTOMER_ID).distinct(), customers)) as sample:
        yield from _returns(run, tables, batch, sample)
        yield from _history(run, tables, batch, sample)
        yield f"{count(sample.count())} customers compared with a build from scratch"


def _sample(everybody: DataFrame, customers: int | None) -> DataFrame:
    """About so many customers, the same ones each time."""
    if customers is None:
        return everybody
    parts = max(1, round(everybody.count() / customers))
    return everybody.where(F.pmod(F.xxhash64(c.CUSTOMER_ID), F.lit(parts)) == 0)


def _returns(run: Run, tables: PinnedTables, batch: int, sample: DataFrame) -> Iterator[Finding]:
    """Differences of `returns`, where they are matched on the lines as they are."""
    build = build_of(run.warehouse, t.RETURNS)
    if not build.is_of({"batch": batch}):
        return
    name = [c.CUSTOMER_ID]
    expected = matched_returns(tables.read(t.TRANSACTIONS).join(sample, on=name, how="left_semi"))
    found = t.RETURNS.conform(tables.read(t.RETURNS).join(sample, on=name, how="left_semi"))
    missing, more = (a.exceptAll(b).count() for a, b in ((expected, found), (found, expected)))
    if missing or more:
        yield Finding(
            t.RETURNS.name,
            "rows of the sample",
            "the matches of a build from scratch",
            f"{count(missing)} of them missing, {count(more)} others",
            f"remove {tables.location(t.RETURNS)}: the next run matches all returns anew",
        )


def _history(run: Run, tables: PinnedTables, batch: int, sample: DataFrame) -> Iterator[Finding]:
    """Differences of `customer_days` and `customer_history`, where they are made of the lines as they are."""
    build = build_of(run.warehouse, t.CUSTOMER_HISTORY)
    made_from = build.committed
    current = {"batch": batch, "definition": DEFINITION, "timezone": run.config.timezone}
    if made_from is None or build.interrupted or any(made_from[key] != current[key] for key in current):
        return  # the next run brings them to its end, or builds them anew
    if not tables.have(t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY):
        return
    at = run.at(date.fromisoformat(made_from["as_of"]))
    with persisted(lines_of_customers(at, among=sample)) as lines:
        days = daily_aggregates(lines)
        history = history_aggregates(lines, days)
        for table, built, key in (
            (t.CUSTOMER_DAYS, days, [c.CUSTOMER_ID, DAY]),
            (t.CUSTOMER_HISTORY, history, [c.CUSTOMER_ID]),
        ):
            kept = tables.read(table).join(sample, on=c.CUSTOMER_ID, how="left_semi")
            yield from _differences(table, table.conform(built), table.conform(kept), key, tables.location(table))


def _differences(
    table: t.Table, expected: DataFrame, found: DataFrame, key: list[str], location: str
) -> Iterator[Finding]:
    columns = [column for column in table.columns if column.name not in key]
    sides = (frame.withColumn("_here", F.lit(True)).alias(name) for frame, name in ((expected, "e"), (found, "f")))
    pairs = next(sides).join(next(sides), on=key, how="full_outer")
    is_here = {side: F.col(f"{side}._here").isNotNull() for side in ("e", "f")}
    differs = {column.name: ~_equal(column) for column in columns}
    row = pairs.agg(
        F.count_if(~is_here["f"]).alias("_missing"),
        F.count_if(~is_here["e"]).alias("_more"),
        *(F.count_if(is_here["e"] & is_here["f"] & other).alias(name) for name, other in differs.items()),
    ).collect()[0]
    wrong = {name: row[name] for name in differs if row[name]}
    if row["_missing"] or row["_more"] or wrong:
        parts = [f"{count(row['_missing'])} rows missing", f"{count(row['_more'])} more"]
        parts += [f"{name} otherwise in {count(rows)}" for name, rows in wrong.items()]
        remedy = f"remove {location}: the next run builds it anew"
        yield Finding(table.name, "rows of the sample", "those of a build from scratch", ", ".join(parts), remedy)


def _equal(column: t.Column) -> Column:
    expected, found = F.col(f"e.{column.name}"), F.col(f"f.{column.name}")
    if column.type != "double":
        return expected.eqNullSafe(found)
    close = F.abs(expected - found) <= _TOLERANCE * F.greatest(F.abs(expected), F.lit(1.0))
    return F.coalesce(close, expected.isNull() & found.isNull())
