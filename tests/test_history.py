"""What features are made of, followed from batch to batch: always as if it were built anew."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.stages import Run, build_features, history, ingest_sources
from customer_segmentation.stages.history import bring_up_to_date
from customer_segmentation.stages.reading import read_order_lines
from tests.csv_lines import Line, Sheet, seeded
from tests.generated import quiet

SHEET = Sheet(
    who="C1",
    no="O1",
    at="2024-03-01 10:00:00",
    product="P1",
    pieces="2",
    price="3.50",
    position="1",
    changed="2024-03-01",
)
MAPPING = {
    "customer_id": "who",
    "order_id": "no",
    "ordered_at": "at",
    "product_id": "product",
    "category": "substr(product, 1, 1)",
    "quantity": "pieces",
    "unit_price": "price",
    "line_number": "position",
    "changed_at": "changed",
}
FIRST = date(2024, 3, 1)


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> Callable[..., Run]:
    def make(as_of: date, **source: Any) -> Run:
        relation = {"format": "csv", "path": str(tmp_path / "in"), "columns": MAPPING, **source}
        settings = {
            "as_of": as_of.isoformat(),
            "sources": {"transactions": relation},
            "checks": {"max_rejected_share": 1.0},
            "tables": {"root": str(tmp_path / "tables")},
        }
        return quiet(spark, Config.model_validate(settings))

    return make


@pytest.fixture
def any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many customers changed, they are followed."""
    monkeypatch.setattr(history, "_MOST_TOUCHED", 2.0)


def random_line(draw: random.Random, number: int, until: date) -> Line:
    """A line of an order; a return or a line of one with the same number now and then, so that orders are undone."""
    order = draw.randrange(max(0, number - 40), number + 1)
    day = FIRST + timedelta(days=min(order // 2, (until - FIRST).days + 3))
    is_return = draw.random() < 0.25
    at = day + timedelta(days=draw.randrange(4)) if is_return else day
    return SHEET.line(
        who=f"C{order % 9}",
        no=f"R{number}" if is_return else f"O{order}",
        at=f"{at} {draw.randrange(24):02}:00:00",
        product=draw.choice(["A1", "A2", "B1"]),
        pieces="-1" if is_return else draw.choice(["1", "1", "2"]),
        price=f"{draw.randrange(1, 900) / 100:.2f}",
        position=str(number),
    )


def corrected(draw: random.Random, line: Line, step: int) -> Line:
    """A later version of the line."""
    values = dict(zip(SHEET.names, line, strict=True))
    return SHEET.line(**values | {"price": f"{draw.randrange(1, 900) / 100:.2f}", "changed": f"2025-01-{step:02}"})


def rows_of(frame: DataFrame) -> list[tuple]:
    rows = [tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in frame.collect()]
    return sorted(rows, key=str)


def assert_as_if_built_anew(run: Run) -> None:
    lines = history._lines(run)
    days = history.days_of(lines)
    assert rows_of(run.warehouse.read(t.CUSTOMER_DAYS)) == rows_of(t.CUSTOMER_DAYS.conform(days))
    expected = rows_of(t.CUSTOMER_HISTORY.conform(history.history_of(lines, days)))
    assert rows_of(run.warehouse.read(t.CUSTOMER_HISTORY)) == expected


@pytest.mark.slow
@pytest.mark.usefixtures("any_number")
def test_batches_corrections_and_days_that_pass_leave_what_a_full_build_would(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    draw = seeded()
    lines: list[Line] = []
    told = []
    for step in range(3):
        as_of = FIRST + timedelta(days=30 + 9 * step)
        batch = [random_line(draw, len(lines) + i, as_of) for i in range(60 if step == 0 else 25)]
        batch += [corrected(draw, one, step + 1) for one in draw.sample(lines, min(len(lines), 6))]
        lines += batch
        SHEET.written(tmp_path / "in" / f"{step}.csv", batch)
        run = run_of(as_of)
        ingest_sources(run)
        told.append(bring_up_to_date(run))
        assert_as_if_built_anew(run)
    assert told[0] == "built from all order lines: there was nothing yet"
    assert all("have new or changed order lines" in one for one in told[1:])
    assert bring_up_to_date(run_of(as_of)) == "nothing changed"


@pytest.mark.slow
@pytest.mark.usefixtures("any_number")
def test_rows_that_are_deleted_and_updated_in_a_delta_source_are_followed(
    spark: SparkSession, tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    draw = seeded()
    schema = ", ".join(f"{name} string" for name in SHEET.names)
    path = str(tmp_path / "source")
    lines = [random_line(draw, i, FIRST + timedelta(days=40)) for i in range(80)]
    writer = spark.createDataFrame(lines, schema).write.format("delta").option("delta.enableChangeDataFeed", "true")
    writer.save(path)
    as_of = FIRST + timedelta(days=44)
    source = {"format": "delta", "path": path}
    ingest_sources(run_of(as_of, **source))
    bring_up_to_date(run_of(as_of, **source))
    for statement in (
        f"DELETE FROM delta.`{path}` WHERE who = 'C1' OR product = 'B1' AND who < 'C4'",
        f"UPDATE delta.`{path}` SET price = '0.01' WHERE who = 'C6'",
    ):
        spark.sql(statement)
        run = run_of(as_of, **source)
        ingest_sources(run)
        assert "have new or changed order lines" in bring_up_to_date(run)
        assert_as_if_built_anew(run)


@pytest.mark.slow
def test_what_can_not_be_followed_is_built_anew_and_the_reason_is_said(
    tmp_path: Path, run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = seeded()
    SHEET.written(tmp_path / "in" / "a.csv", [random_line(draw, i, FIRST + timedelta(days=40)) for i in range(80)])
    as_of = FIRST + timedelta(days=44)
    run = run_of(as_of)
    ingest_sources(run)
    build_features(run)

    earlier = run_of(as_of - timedelta(days=20))
    assert "as of 2024-04-14, the run is as of 2024-03-25" in bring_up_to_date(earlier)
    assert_as_if_built_anew(earlier)
    assert "customers have new or changed order lines" in bring_up_to_date(run_of(as_of))
    monkeypatch.setattr(history, "DEFINITION", 0)
    assert bring_up_to_date(run_of(as_of)).endswith("what is made of them changed")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    SHEET.written(tmp_path / "in" / "b.csv", [SHEET.line(no="X", position="x")])
    monkeypatch.setattr(history, "_MOST_TOUCHED", 2.0)
    run = run_of(as_of)
    read_order_lines(run)  # as an ingest that is killed before it matches returns
    with pytest.raises(ConfigurationError, match="returns were matched on version"):
        bring_up_to_date(run)
    run = run_of(as_of)
    ingest_sources(run)
    monkeypatch.setattr(history, "history_of", killed)
    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date(run)
    monkeypatch.undo()
    monkeypatch.setattr(history, "_MOST_TOUCHED", 2.0)
    monkeypatch.setattr(history, "DEFINITION", 0)
    assert bring_up_to_date(run_of(as_of)).endswith("have new or changed order lines")
    assert_as_if_built_anew(run_of(as_of))
