"""Keeps what features are made of, by customer and by customer and day, up to the run's date.

A customer whose lines came, went or changed since the last time, or became known by the date having moved on, is looked
at anew, from all their lines at the version that the run reads; all others stay as they are, and so do the days on
which nothing is another. Nothing is added to or taken from a sum, so the tables are those of a full build. The last
commit of `customer_history` says what the tables are made of; `customer_days` is of the version that it names.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.features.days import days_of
from customer_segmentation.features.history import DEFINITION, history_of
from customer_segmentation.features.lines import DAY, customer_lines
from customer_segmentation.ingest.repeats import FEW
from customer_segmentation.ingest.returns import given_back_orders
from customer_segmentation.report.wording import count
from customer_segmentation.spark.history import lost_history
from customer_segmentation.spark.holding import held, settled
from customer_segmentation.spark.shuffling import at_most_partitions
from customer_segmentation.stages.run import Run

_MOST_TOUCHED = 0.3
"""Share of the customers above which a full build costs less."""

_MOST_NAMED = 10_000
"""Customers up to which a statement names each: twice as many take four times as long to name."""

_CUSTOMERS_PER_TASK = 5_000
"""Each task costs as much as a thousand customers."""


class MustBuildAnewError(Exception):
    """Why what changed can't be told, or is too much."""


def bring_up_to_date(run: Run) -> str:
    """Bring `customer_days` and `customer_history` to the run's date and lines; says what was done.

    Raises:
        ConfigurationError: the returns were not matched on the lines that the run reads.
    """
    _require_matching_returns(run)
    try:
        with _told_changes():
            return _follow(run)
    except MustBuildAnewError as why:
        _build_anew(run)
        return f"built from all order lines: {why}"


def _require_matching_returns(run: Run) -> None:
    matched_on = run.warehouse.last_commit(t.RETURNS)[1].get("transactions")
    if matched_on != run.input_versions[t.TRANSACTIONS.name]:
        raise ConfigurationError(
            f"returns were matched on version {matched_on} of transactions, which is now at version "
            f"{run.input_versions[t.TRANSACTIONS.name]}; run `customer-segmentation ingest`"
        )


def _build_anew(run: Run) -> None:
    with held(_lines(run)) as lines:
        run.warehouse.overwrite(t.CUSTOMER_DAYS, days_of(lines))
        history = history_of(lines, run.warehouse.read(t.CUSTOMER_DAYS))
        run.warehouse.overwrite(t.CUSTOMER_HISTORY, history, note=_note(run))


def _follow(run: Run) -> str:
    """Look anew at the customers that something changed for.

    Raises:
        MustBuildAnewError: they can't be told, or are many.
    """
    then = _then(run)
    if then == _note(run):
        return "nothing changed"
    touched = settled(_touched(run, then))
    number = touched.count()
    if number > _MOST_TOUCHED * run.warehouse.read(t.CUSTOMER_HISTORY).count():
        raise MustBuildAnewError(f"{count(number)} customers have new or changed order lines")
    tasks = 2 + number // _CUSTOMERS_PER_TASK
    with at_most_partitions(run.spark, tasks), held(_lines(run, among=touched, few=number <= FEW)) as lines:
        days = settled(t.CUSTOMER_DAYS.conform(days_of(lines)))
        _renew_days(run, touched, days)
        history = history_of(lines, days)
        _renew_history(run, touched, history, number)
    return f"{count(number)} customers have new or changed order lines"


def _renew_days(run: Run, touched: DataFrame, days: DataFrame) -> None:
    """Make these the days of the customers in question, in one commit that leaves alone what is as it was.

    New days are mostly all there is, and only add files: to replace all days of a customer would rewrite the table.
    """
    key = [c.CUSTOMER_ID, DAY]
    sums = [name for name in t.CUSTOMER_DAYS.column_names if name not in key]

    def summed(frame: DataFrame, name: str) -> DataFrame:
        return frame.select(*key, F.struct(*sums).alias(name))

    there = run.warehouse.read(t.CUSTOMER_DAYS).join(touched, on=c.CUSTOMER_ID, how="left_semi")
    both = summed(there, "then").join(summed(days, "now"), on=key, how="full_outer")
    differs = settled(both.where(~F.col("then").eqNullSafe(F.col("now"))))
    gone = differs.where(F.col("then").isNotNull()).select(key)
    rows = differs.where(F.col("now").isNotNull()).select(*key, "now.*")
    span = gone.agg(F.min(DAY).cast("string"), F.max(DAY).cast("string")).first()
    within = (DAY, span[0], span[1]) if span is not None and span[0] is not None else None
    if within is not None or not rows.isEmpty():
        run.warehouse.change(t.CUSTOMER_DAYS, gone=gone, key=key, rows=rows, within=within)


def _renew_history(run: Run, touched: DataFrame, history: DataFrame, number: int) -> None:
    """Make these the rows of the customers in question, in one commit."""
    note = _note(run)
    if number <= _MOST_NAMED:
        names = [row[0] for row in touched.collect()]
        run.warehouse.replace_some(t.CUSTOMER_HISTORY, history, column=c.CUSTOMER_ID, values=names, note=note)
    else:
        run.warehouse.change(t.CUSTOMER_HISTORY, gone=touched, key=[c.CUSTOMER_ID], rows=history, note=note)


def _then(run: Run) -> Mapping[str, Any]:
    """What the tables are made of; what a run that was killed wrote to `customer_days` is taken back.

    Raises:
        MustBuildAnewError: nothing that can be followed.
    """
    if not run.warehouse.exists(t.CUSTOMER_HISTORY):
        raise MustBuildAnewError("there was nothing yet")
    then, as_of = run.warehouse.last_commit(t.CUSTOMER_HISTORY)[1], run.as_of.isoformat()
    if then.get("definition") != DEFINITION:
        raise MustBuildAnewError("what is made of them changed")
    if then.get("timezone") != run.config.timezone:
        raise MustBuildAnewError(f"the time zone is {run.config.timezone} now")
    if then["as_of"] > as_of:
        raise MustBuildAnewError(f"the tables were as of {then['as_of']}, the run is as of {as_of}")
    try:
        run.warehouse.restore(t.CUSTOMER_DAYS, version=then["days"])
    except PySparkException:
        raise MustBuildAnewError(f"customer_days lost its version {then['days']}") from None
    return then


def _touched(run: Run, then: Mapping[str, Any]) -> DataFrame:
    """The customers whose lines came, went, changed, or became known since; each once."""
    changes = run.touched_since(then["transactions"])
    if changes is None:
        raise MustBuildAnewError(f"the changes of transactions since version {then['transactions']} can't be told")
    since, until = date.fromisoformat(then["as_of"]), run.as_of
    became_known = run.transactions().where(
        (F.col(c.ORDERED_AT) >= F.lit(since).cast("timestamp")) & (F.col(c.ORDERED_AT) < F.lit(until).cast("timestamp"))
    )
    return changes.select(c.CUSTOMER_ID).unionByName(became_known.select(c.CUSTOMER_ID)).distinct()


def _lines(run: Run, *, among: DataFrame | None = None, few: bool = False) -> DataFrame:
    """The order lines as features see them, of all customers or of some."""

    def of_some(frame: DataFrame) -> DataFrame:
        if among is None:
            return frame
        return frame.join(F.broadcast(among) if few else among, on=c.CUSTOMER_ID, how="left_semi")

    until = F.lit(run.as_of).cast("timestamp")
    lines = of_some(run.transactions().where(F.col(c.ORDERED_AT) < until))
    given_back = given_back_orders(lines, of_some(run.returns().where(F.col(c.RETURNED_AT) < until)))
    return customer_lines(lines, given_back, as_of=run.as_of)


def _note(run: Run) -> dict[str, Any]:
    days = run.warehouse.last_commit(t.CUSTOMER_DAYS)[0] if run.warehouse.exists(t.CUSTOMER_DAYS) else None
    return {
        "as_of": run.as_of.isoformat(),
        "definition": DEFINITION,
        "timezone": run.config.timezone,
        "transactions": run.input_versions[t.TRANSACTIONS.name],
        "returns": run.input_versions[t.RETURNS.name],
        "days": days,
    }


@contextmanager
def _told_changes() -> Iterator[None]:
    """Says of a change feed that is found to be gone, while it is read, that all has to be built anew."""
    try:
        yield
    except Exception as error:
        why = lost_history(error)
        if why is None:
            raise
        raise MustBuildAnewError(f"transactions {why}") from None
