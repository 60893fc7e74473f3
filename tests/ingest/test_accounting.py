"""Every line in exactly one bin, for the right reasons, whatever order and files the lines come in."""

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.stages import Run, ingest_sources
from customer_segmentation.stages.ingest import RowCounts, column_changes, committed_batch
from tests.csv_lines import COLUMNS, Line, Sheet, seeded
from tests.generated import quiet
from tests.warehouse import contents, read

MAPPING = COLUMNS | {"currency": "money"}
SHEET = Sheet(who="C1", no="O1", at="2024-03-01 10:00:00", product="P1", pieces="2", price="3.50", money="EUR")
line, written = SHEET.line, SHEET.written


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> Callable[..., Run]:
    def make(path: Path, *, root: str = "tables", as_of: str | None = None, source: Any = None, **checks: Any) -> Run:
        relation = {"format": "csv", "path": str(path), "columns": MAPPING, **(source or {})}
        return quiet(
            spark,
            Config.model_validate(
                {
                    "as_of": as_of,
                    "sources": {"transactions": relation},
                    "checks": {"max_rejected_share": 1.0, **checks},
                    "tables": {"root": str(tmp_path / root)},
                }
            ),
        )

    return make


def ingested(run: Run) -> RowCounts:
    ingest_sources(run)
    return committed_batch(run).counts


@pytest.mark.slow
def test_each_reason_refuses_warns_or_is_off_and_the_bins_add_up(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    lines = [
        line(),
        line(),  # a copy
        line(product="P2"),
        line(no="O2", who="C2"),
        line(no="O2", who="C3"),  # an order of two customers
        line(no="O3", money="XXX"),
        line(no="O4", product="FEE-7"),
        line(no="O5", at="2024-05-01"),  # not known yet
        line(no="O6", price="0"),
        line(no="O7", who="left out"),
        line(no="O8", who="", money="XXX"),
    ]
    run = run_of(
        written(tmp_path / "lines.csv", lines),
        as_of="2024-04-01",
        source={"where": "coalesce(who, '') <> 'left out'"},
        currencies=["EUR"],
        fee_products=["FEE-.*"],
        severity={"fee_product": "warn", "zero_price": "off"},
    )

    counts = ingested(run)

    root = tmp_path / "tables"
    accepted, rejected = read(root, "transactions"), read(root, "rejected_transactions")
    assert (counts.lines, counts.accepted, counts.rejected, counts.filtered_out) == (11, 4, 6, 1)
    assert counts.by_reason == {
        "duplicate": 1,
        "order_changes_customer": 2,
        "unknown_currency": 2,
        "date_in_future": 1,
        "missing_customer": 1,
    }
    told = {json.loads(row)["no"]: list(reasons) for row, reasons in zip(rejected.row, rejected.reasons, strict=True)}
    assert told == {
        "O1": ["duplicate"],
        "O2": ["order_changes_customer"],
        "O3": ["unknown_currency"],
        "O5": ["date_in_future"],
        "O8": ["missing_customer", "unknown_currency"],
    }
    warnings = dict(zip(accepted.order_id + accepted.product_id, accepted.warnings, strict=True))
    assert {key: list(codes) for key, codes in warnings.items()} == {
        "O1P1": [],
        "O1P2": [],
        "O4FEE-7": ["fee_product"],
        "O6P1": [],
    }


@pytest.mark.slow
def test_what_needs_other_lines_can_warn(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    lines = [line(), line(), line(), line(no="O2"), line(no="O2", who="C2")]
    severity = {"duplicate": "warn", "order_changes_customer": "warn"}

    counts = ingested(run_of(written(tmp_path / "lines.csv", lines), severity=severity))

    assert (counts.accepted, counts.rejected) == (5, 0)
    warned = Counter(tuple(codes) for codes in read(tmp_path / "tables", "transactions").warnings)
    assert warned == {(): 1, ("duplicate",): 2, ("order_changes_customer",): 2}


def test_a_line_without_which_there_is_no_order_cannot_be_let_through(run_of: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match=r"severity\.missing_customer"):
        run_of(Path("x"), severity={"missing_customer": "warn"})


@pytest.mark.long
@pytest.mark.slow
def test_a_line_not_known_yet_is_taken_once_it_is(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    path = written(tmp_path / "lines.csv", [line(), line(no="O2", at="2024-05-01")])

    first = ingested(run_of(path, as_of="2024-04-01"))
    later = ingested(run_of(path, as_of="2024-06-01"))

    assert (first.accepted, first.rejected) == (1, 1)
    assert (later.accepted, later.rejected) == (2, 0)


def test_too_many_rejected_lines_stop_the_run_with_reasons_and_examples(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    lines = [line(), *(line(no=f"O{i}", pieces="some dozen") for i in range(5)), line(no="O9", who="")]
    run = run_of(written(tmp_path / "lines.csv", lines), max_rejected_share=0.5)

    with pytest.raises(DataRejectedError) as caught:
        ingest_sources(run)

    told = str(caught.value)
    assert "6 of 7 lines are rejected, checks.max_rejected_share is 0.5" in told
    assert told.index("unreadable_number (5):") < told.index("missing_customer (1):")
    assert "lines.csv" in told
    assert "C1" not in told
    assert "some dozen" not in told, "no source row is in a log"
    with pytest.raises(ConfigurationError, match="no table"):
        run.inputs.transactions()


# --- random lines ---

HOSTILE = [
    "",
    " ",
    "NULL",
    "null",
    "NaN",
    "Infinity",
    "-0",
    "1e400",
    "9" * 40,
    "-" + "9" * 25 + ".99",
    "0.000000001",
    "0x1F",
    "'; DROP TABLE transactions; --",
    "<script>alert(1)</script>",
    "${env:HOME}",
    "日本語 🛒 \u202e\u0000",
    "a\tb",
    "line\nbreak",
    'quo"te',
    "back\\slash",
    "1,5",
    "true",
    "0001-01-01",
    "1582-10-10",
    "9999-12-31 23:59:59.999999",
    "+294247-01-10",
    "2024-02-30",
    "2024-03-31T02:30:00+14:00",
    "x" * 20_000,
]


def mutated(draw: random.Random, count: int) -> list[Line]:
    """Good lines of a few orders, most with one or two values replaced by what nobody expects."""
    lines = []
    for _ in range(count):
        order = draw.randrange(count // 4)
        values = line(no=f"O{order}", who=f"C{order % 50}", product=f"P{draw.randrange(20)}", pieces=draw.choice("123"))
        for _ in range(draw.choice([0, 0, 1, 1, 2])):
            values[draw.randrange(len(values))] = draw.choice(HOSTILE)
        lines.append(values)
    return lines


def test_no_line_is_lost_and_none_crashes_whatever_it_holds(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    lines = mutated(seeded(), 4_000)
    path = written(tmp_path / "in" / "lines.csv", lines)
    text = io.StringIO(path.read_text(), newline="")
    run = run_of(path, source={"options": {"multiLine": True, "escape": '"'}}, currencies=["EUR"])

    counts = ingested(run)

    root = tmp_path / "tables"
    accepted, rejected = read(root, "transactions"), read(root, "rejected_transactions")
    assert counts.lines == len(lines) == len(list(csv.reader(text))) - 1
    assert len(accepted) + len(rejected) == len(lines)
    assert all(len(reasons) for reasons in rejected.reasons)
    assert 0 < len(accepted) < len(lines)
    assert accepted.amount.notna().all()
    assert accepted.ordered_at.notna().all()
    kept = [json.loads(row) for row in rejected.row]
    assert any(row["product"] == HOSTILE[12] for row in kept) or HOSTILE[12] in set(accepted.product_id)


@pytest.mark.long
@pytest.mark.slow
def test_the_same_lines_in_any_order_and_files_give_the_same_tables(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    draw = seeded()
    lines = [values for values in mutated(draw, 400) if not any("\n" in value for value in values)]
    lines += draw.sample(lines, 60)  # copies
    written(tmp_path / "one" / "lines.csv", lines)
    draw.shuffle(lines)
    for part in range(3):
        written(tmp_path / "three" / f"{draw.randrange(1000)}-{part}.csv", lines[part::3])

    both = [ingested(run_of(tmp_path / name, root=f"tables-{name}")) for name in ("one", "three")]

    for table in ("transactions", "returns"):
        assert contents(tmp_path / "tables-one", table) == contents(tmp_path / "tables-three", table), table
    assert both[0].by_reason == both[1].by_reason
    assert "duplicate" in both[0].by_reason


def test_what_changed_in_the_columns_of_a_source_is_told() -> None:
    then = [{"who": "string", "price": "double", "old": "int"}]

    assert column_changes(then, [{"who": "string", "price": "string", "old": "int", "extra": "int"}]) == [
        "column extra is new and ignored",
        "column price is string, was double",
    ]
    assert column_changes(then * 2, [{"who": "string", "price": "double"}, *then]) == ["column old of source 1 is gone"]
    assert column_changes([], then) == column_changes(then, then) == []


def test_files_with_other_columns_than_the_first_are_rejected_by_name(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    written(tmp_path / "in" / "a.csv", [line()])
    other = written(tmp_path / "in" / "b.csv", [line(no="O2")])
    other.write_text(other.read_text().replace("pieces", "items"))

    with pytest.raises(DataRejectedError, match=r"b\.csv can't be read: CSV header .*items.* a source of its own"):
        ingest_sources(run_of(tmp_path / "in"))
