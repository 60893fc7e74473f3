"""Updates the aggregates of order lines by customer and by customer and day, up to the run's date.

A customer whose lines were inserted, deleted or changed since the last time, or became known by the date having moved
on, is aggregated anew from all their lines; all others stay as they are, and so do the days on which no sum
changes. Nothing is added to or taken from a sum, so the tables are those of a full build. `table_builds` says what they
are made from.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.display.formatting import count
from customer_segmentation.features.daily_aggregates import daily_aggregates
from customer_segmentation.features.frames import OPTIONAL, REQUIRED
from customer_segmentation.features.history_aggregates import DEFINITION, history_aggregates
from customer_segmentation.features.lines_by_customer import DAY, lines_by_customer
from customer_segmentation.ingest.orders import BROADCAST_LIMIT
from customer_segmentation.ingest.returns import returned_orders
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.dates import Dates
from customer_segmentation.spark.persistence import checkpointed, persisted
from customer_segmentation.spark.shuffling import at_most_partitions
from customer_segmentation.stages.builds import COMMITTED, PLANNED, Build, build_of, builds_of, record_build
from customer_segmentation.stages.changes import changed_transactions
from customer_segmentation.stages.ingest.batch_log import committed_batch
from customer_segmentation.stages.run import Run

_MAX_TOUCHED_SHARE = 0.3
"""Share of the customers above which a full build costs less."""

_MAX_LISTED = 10_000
"""Customers up to which a statement lists the digest of each: twice as many take four times as long to list."""

_FEW_RETURNS = 200_000
"""Up to which each task has them all, some 50 MB."""

_CUSTOMERS_PER_TASK = 5_000
"""Each task costs as much as a thousand customers."""


def bring_up_to_date(run: Run) -> str:
    """Bring `customer_days` and `customer_history` to the run's date and lines; says what was done.

    Raises:
        ConfigurationError: the returns were not matched on the lines that the run reads.
    """
    returns, build = builds_of(run.warehouse, t.RETURNS, t.CUSTOMER_HISTORY)
    batch = _batch_of_matching_returns(run, returns)
    goal = {"batch": batch, "as_of": run.as_of.isoformat(), "definition": DEFINITION, "timezone": run.config.timezone}
    is_there = run.warehouse.exists(t.CUSTOMER_DAYS)
    if build.is_of(goal) and is_there:
        return "unchanged"
    touched = _touched(run, build, goal)
    if isinstance(touched, str):
        return _build_all(run, goal, touched, build)
    customers = touched.count()
    if customers > _MAX_TOUCHED_SHARE * run.warehouse.read(t.CUSTOMER_HISTORY).count():
        return _build_all(run, goal, f"{count(customers)} customers have new or changed order lines", build)
    if customers:
        record_build(run, t.CUSTOMER_HISTORY, PLANNED, goal)
        _build_some(run, touched, customers)
    record_build(run, t.CUSTOMER_HISTORY, COMMITTED, goal)
    return f"{count(customers)} customers have new or changed order lines"


def require_matching_returns(run: Run) -> int:
    """The batch of the order lines that the run reads.

    Raises:
        ConfigurationError: the returns were matched on those of another one.
    """
    return _batch_of_matching_returns(run, build_of(run.warehouse, t.RETURNS))


def _batch_of_matching_returns(run: Run, returns: Build) -> int:
    batch = committed_batch(run).number
    matched_on = returns.committed["batch"] if returns.committed else None
    if matched_on != batch or returns.interrupted:
        raise ConfigurationError(
            f"returns were matched on batch {matched_on} of the order lines, which are now those of batch {batch}; run "
            "`customer-segmentation ingest`"
        )
    return batch


def _touched(run: Run, build: Build, goal: Mapping[str, Any]) -> DataFrame | str:
    """The customers to aggregate, each once; or why it has to be all of them."""
    built_from = build.committed
    if built_from is None:
        return "there was nothing yet"
    if not run.warehouse.exists(t.CUSTOMER_DAYS):
        return f"{t.CUSTOMER_DAYS.name} is no longer there"
    if any(built_from[key] != goal[key] for key in ("definition", "timezone")):
        return "what is made of them changed"
    if any(plan.get("is_full") for plan in build.interrupted):
        return "the last run ended in the middle"
    if built_from["as_of"] > goal["as_of"]:
        return f"the tables were as of {built_from['as_of']}, the run is as of {goal['as_of']}"
    changes = changed_transactions(run, since=built_from["batch"], until=goal["batch"])
    if isinstance(changes, str):
        return changes
    # Runs that ended in the middle may have aggregated some customers up to later dates.
    until = date.fromisoformat(max([goal["as_of"], *(plan["as_of"] for plan in build.interrupted)]))
    since = date.fromisoformat(built_from["as_of"])
    became_known = run.inputs.transactions(within=(since, until)).where(
        (F.col(c.ORDERED_AT) >= F.lit(since).cast("timestamp")) & (F.col(c.ORDERED_AT) < F.lit(until).cast("timestamp"))
    )
    return checkpointed(changes.select(c.CUSTOMER_ID).unionByName(became_known.select(c.CUSTOMER_ID)).distinct())


def _build_all(run: Run, goal: Mapping[str, Any], reason: str, build: Build) -> str:
    if build.is_on_record:
        record_build(run, t.CUSTOMER_HISTORY, PLANNED, {**goal, "is_full": True})
    with (
        persisted(lines_of_customers(run)) as lines,
        persisted(daily_aggregates(lines)) as days,
    ):
        at_once(
            lambda: run.warehouse.overwrite(t.CUSTOMER_DAYS, days),
            lambda: run.warehouse.overwrite(t.CUSTOMER_HISTORY, history_aggregates(lines, days)),
        )
    record_build(run, t.CUSTOMER_HISTORY, COMMITTED, goal)
    return f"built from all order lines: {reason}"


def _build_some(run: Run, touched: DataFrame, customers: int) -> None:
    tasks = 2 + customers // _CUSTOMERS_PER_TASK
    among, dates = F.broadcast(touched) if customers <= BROADCAST_LIMIT else touched, Dates((run.as_of,))
    with (
        at_most_partitions(run.spark, tasks),
        # All order lines are gone through once for them.
        persisted(_known_lines(run, dates, among)) as own,
        persisted(_with_returns(run, own, dates, among)) as lines,
    ):
        days = checkpointed(daily_aggregates(lines))
        _replace_days(run, among, days)
        _replace_history(run, touched, history_aggregates(lines, days), customers)


def _replace_days(run: Run, touched: DataFrame, days: DataFrame) -> None:
    """Make these the days of the customers in question, in one commit that leaves alone what is as it was.

    New days are mostly all there is, and only add files: to replace all days of a customer would rewrite the table.
    """
    key = [c.CUSTOMER_ID, DAY]
    sums = [name for name in t.CUSTOMER_DAYS.column_names if name not in key]

    def summed(frame: DataFrame, name: str) -> DataFrame:
        return frame.select(*key, F.struct(*sums).alias(name))

    existing = run.warehouse.read(t.CUSTOMER_DAYS).join(touched, on=c.CUSTOMER_ID, how="left_semi")
    pairs = summed(existing, "before").join(summed(days, "after"), on=key, how="full_outer")
    differs = checkpointed(pairs.where(~F.col("before").eqNullSafe(F.col("after"))))
    deleted = differs.where(F.col("before").isNotNull()).select(key)
    inserted = differs.where(F.col("after").isNotNull()).select(*key, "after.*")
    of_replaced = F.when(F.col("before").isNotNull(), F.col(DAY))
    bounds = (bound(day).cast("string") for day in (F.col(DAY), of_replaced) for bound in (F.min, F.max))
    row = differs.agg(F.count(F.lit(1)), F.count("before"), *bounds).first()
    assert row is not None, "an aggregation without grouping has one row"
    number, replaced, first, last, *range_of_replaced = row
    if replaced == 0:
        if number:
            run.warehouse.append(t.CUSTOMER_DAYS, inserted)
        return
    in_range = f"{DAY} >= DATE'{first}' AND {DAY} <= DATE'{last}'"  # a BETWEEN lets no file be skipped
    if number > _MAX_LISTED or not _replaced_by_digest(
        run, t.CUSTOMER_DAYS, inserted, keys=differs.select(key), replaced=deleted, within=in_range
    ):
        within = (DAY, *range_of_replaced)
        run.warehouse.change(t.CUSTOMER_DAYS, deleted=deleted, key=key, inserted=inserted, within=within)


def _replace_history(run: Run, touched: DataFrame, history: DataFrame, customers: int) -> None:
    """Make these the rows of the customers in question, in one commit."""
    if customers > _MAX_LISTED or not _replaced_by_digest(
        run, t.CUSTOMER_HISTORY, history, keys=touched, replaced=touched
    ):
        run.warehouse.change(t.CUSTOMER_HISTORY, deleted=touched, key=[c.CUSTOMER_ID], inserted=history)


def _replaced_by_digest(
    run: Run, table: t.Table, rows: DataFrame, *, keys: DataFrame, replaced: DataFrame, within: str | None = None
) -> bool:
    """Replace the rows of some keys in one commit; False, and nothing done, where another key has a digest of theirs.

    Where the rows lie in most files, this rewrites the table once, where a merge would also shuffle all of it. The
    condition names digests, since it stays in the table's log.

    Args:
        rows: that come.
        keys: of the rows that come and of those that go, few enough to be listed.
        replaced: the keys of the rows that go.
        within: SQL that holds for the rows of all these keys; files are skipped by it.
    """
    key = keys.columns
    digest = F.xxhash64(*key)
    digests = [row[0] for row in keys.select(digest).distinct().collect()]
    near = run.warehouse.read(table).where(within) if within else run.warehouse.read(table)
    with_digest = near.select(key).where(digest.isin(digests))
    if not with_digest.join(F.broadcast(replaced), on=key, how="left_anti").isEmpty():
        return False
    is_listed = f"xxhash64({', '.join(key)}) IN ({', '.join(map(str, digests))})"
    run.warehouse.replace_where(table, rows, f"{within} AND {is_listed}" if within else is_listed)
    return True


def lines_of_customers(run: Run, dates: Dates | None = None, *, among: DataFrame | None = None) -> DataFrame:
    """The order lines as features see them at the run's date or at others, of all customers or of some."""
    dates = dates or Dates((run.as_of,))
    return _with_returns(run, _known_lines(run, dates, among), dates, among)


def _known_lines(run: Run, dates: Dates, among: DataFrame | None = None) -> DataFrame:
    """The columns that features need of the order lines before the last date, of all customers or of some."""
    lines = run.inputs.transactions().where(F.col(c.ORDERED_AT) < F.lit(dates.last).cast("timestamp"))
    return _of_some(lines, among).select(*REQUIRED, *OPTIONAL, c.IS_RETURN)


def _with_returns(run: Run, lines: DataFrame, dates: Dates, among: DataFrame | None = None) -> DataFrame:
    """The lines of `_known_lines` with what was returned of them, a customer's in one partition."""
    known = run.inputs.returns().where(F.col(c.RETURNED_AT) < F.lit(dates.last).cast("timestamp"))
    returns = _of_some(known, among)
    are_few = not dates.is_series and returns.count() <= _FEW_RETURNS
    return lines_by_customer(lines, returned_orders(lines, returns, dates, are_few=are_few), dates=dates)


def _of_some(frame: DataFrame, among: DataFrame | None) -> DataFrame:
    return frame if among is None else frame.join(among, on=c.CUSTOMER_ID, how="left_semi")
