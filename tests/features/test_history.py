"""The aggregates that features are made of: an incremental update gives what a full build would."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.ingest.returns import matched_returns
from customer_segmentation.stages import Run
from customer_segmentation.stages import customer_history as history
from customer_segmentation.stages.builds import build_of, record_build
from customer_segmentation.stages.customer_history import bring_up_to_date
from customer_segmentation.stages.ingest.batch_log import Batch, read_log
from tests.csv_lines import seeded
from tests.generated import quiet
from tests.order_lines import Line, line

FIRST = date(2024, 3, 1)
FOLLOWED = "have new or changed order lines"


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> Callable[[date], Run]:
    def make(as_of: date) -> Run:
        columns = dict.fromkeys(("customer_id", "order_id", "ordered_at", "amount"), "x")
        settings = {
            "as_of": as_of.isoformat(),
            "sources": {"transactions": {"path": "-", "columns": columns}},
            "tables": {"root": str(tmp_path / "tables")},
        }
        return quiet(spark, Config.model_validate(settings))

    return make


@pytest.fixture
def any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many customers changed, they are followed."""
    monkeypatch.setattr(history, "_MAX_TOUCHED_SHARE", 2.0)


class Ledger:
    """Order lines by their id, written to the tables as an ingest leaves them."""

    def __init__(self, run: Run) -> None:
        self.lines: dict[int, Line] = {}
        self._run = run
        self._warehouse = run.warehouse
        self._spark = run.spark

    def change(self, new: list[Line], gone: list[int], *, matched: bool = True) -> None:
        """Insert lines, replacing those of the same id, and delete others in one commit; then match the returns."""
        ids = sorted({*gone, *(row[-1] for row in new)} & self.lines.keys())
        for line_id in ids:
            del self.lines[line_id]
        self.lines |= {row[-1]: row for row in new}
        rows = self._spark.createDataFrame(new, t.TRANSACTIONS.ddl).coalesce(1)
        log = read_log(self._run)
        batch = Batch(log.next_number, "b", "committed", "incremental", [], 1, FIRST, [], "d")
        if self._warehouse.exists(t.TRANSACTIONS):
            keys = self._spark.createDataFrame([(line_id,) for line_id in ids], f"{c.LINE_ID} bigint").coalesce(1)
            before = self._warehouse.read(t.TRANSACTIONS).join(keys, on=c.LINE_ID, how="left_semi")
            changes = before.unionByName(rows).withColumns(
                {
                    "batch_number": F.lit(batch.number),
                    "table_name": F.lit(t.TRANSACTIONS.name),
                    "is_inserted": F.lit(True),
                    **{name: F.lit(None).cast("string") for name in (c.SOURCE_FILE, c.ROW, c.BATCH_ID, c.INGESTED_AT)},
                    c.REASONS: F.array().cast("array<string>"),
                }
            )
            self._warehouse.append(t.INGEST_CHANGES, changes)
            self._warehouse.change(t.TRANSACTIONS, deleted=keys, key=[c.LINE_ID], inserted=rows)
        else:
            self._warehouse.overwrite(t.TRANSACTIONS, rows)
            batch = replace(batch, mode="full")
        batch = log.record(batch)
        if matched:
            lines = self._warehouse.read(t.TRANSACTIONS)
            self._warehouse.overwrite(t.RETURNS, matched_returns(lines))
            record_build(self._run, t.RETURNS, "committed", {"batch": batch.number})


def random_line(draw: random.Random, line_id: int, until: date) -> Line:
    """A line of an order, or a return of a piece of an order, so that some orders are fully returned."""
    order = draw.randrange(max(0, line_id - 40), line_id + 1)
    day = FIRST + timedelta(days=min(order // 2, (until - FIRST).days + 3))
    is_return = draw.random() < 0.25
    at = day + timedelta(days=draw.randrange(4)) if is_return else day
    sign = "-" if is_return else ""
    return line(
        customer=f"C{order % 9}",
        order=f"R{line_id}" if is_return else f"O{order}",
        at=datetime(at.year, at.month, at.day, draw.randrange(24)).isoformat(" "),
        product=draw.choice(["A1", "A2", "B1"]),
        category=draw.choice(["A", "B", None]),
        quantity=sign + ("1" if is_return else draw.choice(["1", "1", "2"])),
        amount=f"{sign}{draw.randrange(1, 900) / 100:.2f}",
        is_return=is_return,
        line_id=line_id,
    )


ODD = " '\\\"\n${spark.app.name}é"
"""What a customer's name may have in it."""


def rows_of(frame: DataFrame) -> list[tuple]:
    rows = [tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in frame.collect()]
    return sorted(rows, key=str)


def assert_as_if_built_anew(run: Run) -> None:
    lines = history.lines_of_customers(run)
    days = history.daily_aggregates(lines)
    assert rows_of(run.warehouse.read(t.CUSTOMER_DAYS)) == rows_of(t.CUSTOMER_DAYS.conform(days))
    expected = rows_of(t.CUSTOMER_HISTORY.conform(history.history_aggregates(lines, days)))
    assert rows_of(run.warehouse.read(t.CUSTOMER_HISTORY)) == expected


def as_of_an_earlier_release(run: Run) -> None:
    """Leave the tables as before orders were counted by product and lines by category."""
    old_mix = "transform(category_mix, m -> named_struct('category', m.category, 'quantity', m.quantity))"
    for table, columns in (
        (t.CUSTOMER_HISTORY, {"category_mix": F.expr(old_mix), "product_lines": F.lit(1)}),
        (t.CUSTOMER_DAYS, {"discounted_spend": F.lit(1)}),
    ):
        old = run.warehouse.read(table).drop("product_orders", "orders_with_product").withColumns(columns)
        writer = old.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        writer.save(run.warehouse.location(table))
    made_from = build_of(run.warehouse, t.CUSTOMER_HISTORY).committed
    assert made_from is not None
    record_build(run, t.CUSTOMER_HISTORY, "committed", {**made_from, "definition": history.DEFINITION - 1})


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("any_number")
def test_new_corrected_and_deleted_lines_and_days_that_pass_leave_what_a_full_build_would(
    run_of: Callable[[date], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = seeded()
    ledger = Ledger(run_of(FIRST))
    messages = []
    for step in range(4):
        as_of = FIRST + timedelta(days=30 + 9 * step)
        known = sorted(ledger.lines)
        new = [random_line(draw, len(known) + 100 * step + i, as_of) for i in range(60 if step == 0 else 25)]
        corrected = [random_line(draw, line_id, as_of) for line_id in draw.sample(known, min(len(known), 6))]
        gone = draw.sample(known, min(len(known), 5))
        ledger.change([*new, *corrected], gone)
        monkeypatch.setattr(history, "_MAX_LISTED", draw.choice([0, 10_000]))
        messages.append(bring_up_to_date(run_of(as_of)))
        assert_as_if_built_anew(run_of(as_of))
    assert messages[0] == "built from all order lines: there was nothing yet"
    assert all(FOLLOWED in message for message in messages[1:])
    assert bring_up_to_date(run_of(as_of)) == "unchanged"


@pytest.mark.slow
def test_a_day_of_new_orders_adds_days_and_rewrites_none(run_of: Callable[[date], Run]) -> None:
    as_of = FIRST + timedelta(days=20)
    ledger = Ledger(run_of(as_of))
    ledger.change([line(f"C{i}{ODD}", f"O{i}", "2024-03-05", line_id=i) for i in range(40)], [])
    bring_up_to_date(run_of(as_of))
    ledger.change([line(f"C1{ODD}", "P1", "2024-03-20", line_id=101), line("C99", "P2", "2024-03-20", line_id=102)], [])

    run = run_of(as_of + timedelta(days=1))
    message = bring_up_to_date(run)

    assert message == f"2 customers {FOLLOWED}"
    assert_as_if_built_anew(run)
    commits = run.spark.sql(f"DESCRIBE HISTORY delta.`{run.warehouse.location(t.CUSTOMER_DAYS)}` LIMIT 1")
    (newest,) = commits.select("operationMetrics").collect()
    assert newest.operationMetrics["numOutputRows"] == "2"
    assert newest.operationMetrics.get("numRemovedFiles", "0") == "0"


@pytest.mark.long
@pytest.mark.slow
def test_what_can_not_be_followed_is_built_anew_and_the_reason_is_said(
    run_of: Callable[[date], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = seeded()
    as_of = FIRST + timedelta(days=44)
    ledger = Ledger(run_of(as_of))
    ledger.change([random_line(draw, i, FIRST + timedelta(days=40)) for i in range(80)], [])
    assert bring_up_to_date(run_of(as_of)).endswith("there was nothing yet")

    earlier = run_of(as_of - timedelta(days=20))
    assert "as of 2024-04-14, the run is as of 2024-03-25" in bring_up_to_date(earlier)
    assert_as_if_built_anew(earlier)
    as_of_an_earlier_release(earlier)
    assert bring_up_to_date(run_of(as_of)).endswith("what is made of them changed")
    assert_as_if_built_anew(run_of(as_of))
    monkeypatch.setattr(history, "DEFINITION", 0)
    assert bring_up_to_date(run_of(as_of)).endswith("what is made of them changed")
    monkeypatch.setattr(history, "_MAX_TOUCHED_SHARE", 2.0)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    ledger.change([random_line(draw, 200, as_of)], [], matched=False)  # as an ingest that is killed before it matches
    with pytest.raises(ConfigurationError, match="returns were matched on batch"):
        bring_up_to_date(run_of(as_of))
    ledger.change([random_line(draw, 201, as_of)], [])
    with monkeypatch.context() as patched:
        patched.setattr(history, "history_aggregates", killed)
        with pytest.raises(KeyboardInterrupt):
            bring_up_to_date(run_of(as_of))
    assert bring_up_to_date(run_of(as_of)).endswith(FOLLOWED)
    assert_as_if_built_anew(run_of(as_of))


@pytest.mark.slow
@pytest.mark.usefixtures("any_number")
def test_runs_that_ended_in_the_middle_as_of_ever_earlier_dates_leave_no_day_behind(
    run_of: Callable[[date], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    first, second, third = (FIRST + timedelta(days=days) for days in (5, 10, 15))
    ledger = Ledger(run_of(first))
    bought_at = ("2024-03-02", "2024-03-08", "2024-03-12")
    ledger.change([line(f"C{i}", f"O{i}", at, line_id=i) for i, at in enumerate(bought_at)], [])
    bring_up_to_date(run_of(first))
    with monkeypatch.context() as patched:
        patched.setattr(history, "_replace_history", killed)
        for as_of in (third, second):
            with pytest.raises(KeyboardInterrupt):
                bring_up_to_date(run_of(as_of))

    assert bring_up_to_date(run_of(second)) == f"2 customers {FOLLOWED}"

    assert_as_if_built_anew(run_of(second))
