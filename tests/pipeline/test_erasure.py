"""Erasure: nothing of a customer is left in any file, everything else is as if they had never come, and so it stays."""

import io
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import Run, build_features, erase_customers, ingest_sources
from customer_segmentation.stages.ingest import RowCounts, committed_batch
from tests.csv_lines import Sheet
from tests.generated import quiet
from tests.warehouse import contents, read

CUSTOMERS = range(48)
ERASED = ["Quill-07", "Quill-08", "Quill-09", "Quill-30"]
NOBODY = "Quill-99"
FIRST, SECOND, THIRD = date(2024, 3, 9), date(2024, 3, 10), date(2024, 3, 11)
COLUMNS = {
    "customer_id": "who",
    "order_id": "no",
    "ordered_at": "at",
    "product_id": "product",
    "category": "kind",
    "quantity": "pieces",
    "unit_price": "price",
    "line_number": "position",
}
LINES = Sheet(who="", no="", at="", product="", kind="", pieces="1", price="3.50", position="", contact="")
PEOPLE = Sheet(who="", name="", town="")
EVENTS = Sheet(who="", at="", what="", way="", about="")
Rows = list[list[str]]


def person(number: int) -> str:
    return f"Quill-{number:02}"


def contact(who: str) -> str:
    return f"Mx Contact {who.removeprefix('Quill-')}q"


def orders(draw: random.Random, customers: Sequence[int], day: date, prefix: str) -> Rows:
    """Orders of some customers up to a day, with returns, and lines that are rejected or resolved with others."""
    lines: Rows = []

    def add(who: str, order: str, at: datetime, **changes: str) -> None:
        values = {"who": who, "no": order, "at": f"{at:%Y-%m-%d %H:%M:%S}", "contact": contact(who), **changes}
        lines.append(LINES.line(**values))

    for customer in customers:
        number, price, days = [(6, 2, 9), (3, 90, 25), (1, 20, 60)][customer % 3]
        for place in range(number):
            at = datetime.combine(day, datetime.min.time()) - timedelta(days=days * (place + 1) / number + draw.random())
            order = f"{prefix}{customer * 11 + place * 7919}"
            for position in range(1, draw.randrange(2, 4)):
                add(
                    person(customer),
                    order,
                    at,
                    product=f"P{draw.randrange(9)}",
                    kind=f"K{draw.randrange(3)}",
                    pieces=str(draw.randrange(1, 4)),
                    price=f"{price * (1 + draw.random() / 5):.2f}",
                    position=str(position),
                )
            if draw.random() < 0.2:
                add(person(customer), f"{order}R", at + timedelta(hours=20), product="P1", pieces="-1", price=f"{price}")
        if customer % 4 == 0:
            add(person(customer), f"{prefix}bad{customer * 13}", at, product="P1", pieces="many", price="1")
    return lines


def entangled(day: date, prefix: str) -> Rows:
    """Orders of an erased and another customer, and lines that take customer or date from an erased one's."""
    at = f"{day - timedelta(days=3):%Y-%m-%d} 10:00:00"

    def line(who: str, order: str, **changes: str) -> list[str]:
        return LINES.line(who=who, no=f"{prefix}{order}", contact=contact(who), **({"at": at, "product": "P5"} | changes))

    return [
        line(ERASED[0], "mixed1", position="1"),
        line("Quill-01", "mixed1", position="2"),
        line(ERASED[0], "filled", position="1"),
        LINES.line(no=f"{prefix}filled", at=at, product="P6", position="2"),
        line(ERASED[1], "dated", position="1"),
        line("Quill-02", "mixed2", position="1"),
        line(ERASED[1], "mixed2", position="2", at=""),
        line(ERASED[1], "changed", position="1", product="P7"),
        line("Quill-03", "changed2", position="1", at=""),
        line(ERASED[0], "changed2", position="2"),
        [*line(ERASED[0], "torn"), "one", "too many"],
        [*line("Quill-04", "torn2"), "one", "too many"],
        line(ERASED[0], "twice"),
        line(ERASED[0], "twice"),
        line("Quill-05", "twice2"),
        line("Quill-05", "twice2"),
    ]


def people(customers: Sequence[int]) -> Rows:
    rows = [PEOPLE.line(who=person(each), name=contact(person(each)), town=f"T{each % 3}") for each in customers]
    twice = [PEOPLE.line(who=person(each), name=contact(person(each)), town="T9") for each in customers if each % 7 == 0]
    nobody = [PEOPLE.line(name="nobody", town="T1"), ["Quill-08", contact("Quill-08"), "T1", "more"]]
    return [*rows, *twice, *nobody]


def events(customers: Sequence[int]) -> Rows:
    rows = []
    for each in customers:
        for number in range(each % 3):
            rows.append(EVENTS.line(who=person(each), at=f"2024-03-0{number + 1} 09:00:00", what="mailing", way="mail"))
        if each % 5 == 0:
            rows.append(EVENTS.line(who=person(each), at="some day", what="mailing", way="mail"))
        rows += rows[-1:] if each % 6 == 0 else []
    return rows


def of_erased(row: list[str]) -> bool:
    return row[0] in ERASED


class Shop:
    """Sources below a folder, with the customers who are erased or from the start without them."""

    def __init__(self, spark: SparkSession, folder: Path, *, without: bool = False) -> None:
        self._spark, self.folder, self._without = spark, folder, without

    def deliver(self, name: str, rows: Rows) -> None:
        LINES.written(self.folder / "orders" / f"{name}.csv", [row for row in rows if self._is_kept(row)])

    def know(self, customers: Sequence[int]) -> None:
        PEOPLE.written(self.folder / "people" / "all.csv", [row for row in people(customers) if self._is_kept(row)])
        EVENTS.written(self.folder / "events" / "all.csv", [row for row in events(customers) if self._is_kept(row)])

    def _is_kept(self, row: list[str]) -> bool:
        return not (self._without and of_erased(row))

    @property
    def root(self) -> Path:
        return self.folder / "tables"

    def run(self, as_of: date, **sections: Any) -> Run:
        events_columns = {"customer_id": "who", "occurred_at": "at", "event_type": "what", "channel": "way"}
        settings = {
            "as_of": as_of,
            "sources": {
                "transactions": {"format": "csv", "path": str(self.folder / "orders"), "columns": COLUMNS},
                "customers": {
                    "format": "csv",
                    "path": str(self.folder / "people"),
                    "columns": {"customer_id": "who", "attributes": {"name": "name", "town": "town"}},
                },
                "engagement": {"format": "csv", "path": str(self.folder / "events"), "columns": events_columns},
            },
            "checks": {"max_rejected_share": 1.0},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"], "retrain_after_days": 0},
            "tables": {"root": str(self.root)},
        }
        return quiet(self._spark, Config.model_validate({**settings, **sections}))

    def days(self) -> Iterator[date]:
        """Two days of deliveries; the sources are as they are on it."""
        draw = random.Random(17)
        self.know(CUSTOMERS[:-4])
        self.deliver("1", orders(draw, CUSTOMERS[:-6], FIRST, "A") + entangled(FIRST, "A"))
        yield FIRST
        self.know(CUSTOMERS)
        self.deliver("2", orders(draw, CUSTOMERS, SECOND, "B") + entangled(SECOND, "B"))
        yield SECOND


def whole(run: Run) -> str:
    run_pipeline(run, Console(file=io.StringIO()))
    return run.run_id


@pytest.fixture(scope="module")
def published(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources of a shop and its warehouse after two days."""
    shop = Shop(spark, tmp_path_factory.mktemp("shop"))
    for day in shop.days():
        whole(shop.run(day))
    return shop.folder


@pytest.fixture(scope="module")
def erased(spark: SparkSession, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after customers were erased; the sources still have them."""
    folder = copied(published, tmp_path_factory.mktemp("erased"))
    shop = Shop(spark, folder)
    receipt = erase_customers(shop.run(SECOND), [f"  {ERASED[0]}\t", *ERASED[1:], NOBODY])
    (folder / "receipt.json").write_text(json.dumps(receipt.to_dict()))
    return folder


def copied(folder: Path, target: Path) -> Path:
    """A copy of the tables over the same sources, which stay where they are."""
    shutil.copytree(folder / "tables", target / "tables")
    for name in ("orders", "people", "events"):
        (target / name).symlink_to(folder / name)
    return target


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """What every file below a folder holds, as text: bytes as they are, and Parquet decoded."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")
            if path.name.endswith(".parquet"):
                yield path, str(pq.read_table(path, partitioning=None).to_pylist())


def files_naming(root: Path, words: Sequence[str]) -> list[str]:
    return sorted({str(path.relative_to(root)) for path, text in texts(root) if any(word in text for word in words)})


def names_of(customers: Sequence[str]) -> list[str]:
    return [*customers, *map(contact, customers)]


@pytest.mark.slow
def test_no_file_names_an_erased_customer_and_the_receipt_says_what_went(published: Path, erased: Path) -> None:
    words = names_of(ERASED)
    before, after = published / "tables", erased / "tables"
    named = {name.split("/")[0] for name in files_naming(before, words)}
    with_customers = {table.name for table in (*t.ALL_TABLES, *t.OPTIONAL_TABLES) if table.names_customers}
    assert named == with_customers, "they were everywhere before"
    assert files_naming(after, names_of(["Quill-01"])), "others are found the same way"

    assert files_naming(after, words) == []

    receipt = json.loads((erased / "receipt.json").read_text())
    assert receipt["customers"] == len(ERASED) + 1
    assert receipt["customers_found"] == len(ERASED)
    lost = {}
    for table in sorted(with_customers - {"rejected_transactions", "transactions", "ingest_changes"}):
        lost[table] = len(read(before, table)) - len(read(after, table))
    assert {table: receipt["rows_removed"][table] for table in lost} == lost
    rows = read(before, "transactions")
    assert receipt["rows_removed"]["transactions"] == rows.customer_id.isin(ERASED).sum()
    history = read(before, "customer_segments_history")
    of_them = history[history.customer_id.isin(ERASED)]
    assert receipt["rows_by_run"] == of_them.groupby("run_id").size().to_dict()
    steps = read(after, "erasures")
    assert steps.status.tolist() == ["planned", "committed"] or sorted(steps.status) == ["committed", "planned"]
    for table in with_customers:
        assert "delta.deletedFileRetentionDuration" not in DeltaTable(str(after / table)).metadata().configuration


@pytest.mark.slow
def test_others_keep_their_rows(published: Path, erased: Path) -> None:
    for table in (
        t.CUSTOMERS,
        t.ENGAGEMENT,
        t.RETURNS,
        t.CUSTOMER_DAYS,
        t.CUSTOMER_HISTORY,
        t.CUSTOMER_FEATURES,
        t.CUSTOMER_SEGMENTS,
        t.CUSTOMER_SEGMENTS_HISTORY,
    ):
        rows = [row for row in contents(published / "tables", table.name) if not any(who in row for who in ERASED)]
        assert contents(erased / "tables", table.name) == rows, table.name
    for table in (t.SEGMENT_PROFILES, t.SEGMENT_TRANSITIONS, t.PIPELINE_RUNS, t.MODEL_RUNS, t.PUBLICATIONS):
        assert contents(erased / "tables", table.name) == contents(published / "tables", table.name), table.name


@pytest.mark.slow
def test_every_line_is_accounted_for_and_the_next_run_is_another_one(
    spark: SparkSession, published: Path, erased: Path
) -> None:
    before, after = (Shop(spark, folder).run(SECOND) for folder in (published, erased))
    counts = committed_batch(before).counts, committed_batch(after).counts
    assert all(each.add_up for each in counts)
    assert counts[1].lines == counts[0].lines
    given = sum(of_erased(row.split(",")) for path in (published / "orders").iterdir() for row in path.read_text().split())
    assert counts[1].suppressed == counts[1].filtered_out > 0
    assert 0 < given
    assert (counts[1].accepted, counts[1].rejected) == tuple(
        len(read(erased / "tables", table)) for table in ("transactions", "rejected_transactions")
    )
    assert "of erased customers" in counts[1].describe()
    assert before.inputs.state != after.inputs.state


def in_common(root: Path, table: t.Table) -> list[str]:
    """The rows without what names the run that made them, in a fixed order."""
    rows = read(root, table.name).drop(columns=["run_id", "made_from", "source_file", "row", "batch_id"], errors="ignore")
    rows = rows.drop(columns=["ingested_at", "line_id" if table is t.REJECTED_TRANSACTIONS else "run_id"], errors="ignore")
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows.to_dict("records"))


def assert_as_if_they_had_never_come(erased: Shop, without: Shop, as_of: date) -> None:
    """Both are brought to a date; all that comes of the sources is the same."""
    runs = [shop.run(as_of) for shop in (erased, without)]
    for run in runs:
        ingest_sources(run)
        build_features(run)
    for table in (
        t.TRANSACTIONS,
        t.REJECTED_TRANSACTIONS,
        t.RETURNS,
        t.CUSTOMERS,
        t.REJECTED_CUSTOMERS,
        t.ENGAGEMENT,
        t.REJECTED_ENGAGEMENT,
        t.CUSTOMER_DAYS,
        t.CUSTOMER_HISTORY,
    ):
        assert in_common(erased.root, table) == in_common(without.root, table), table.name
    features = [read(shop.root, "customer_features") for shop in (erased, without)]
    for rows, run, shop in zip(features, runs, (erased, without), strict=True):
        shutil.rmtree(shop.root / "features_now", ignore_errors=True)
        rows[rows.run_id == run.run_id].drop(columns=["run_id", "made_from"]).to_pickle(shop.folder / "features")
    own = [
        sorted(
            json.dumps(row, sort_keys=True, default=str)
            for row in rows[rows.run_id == run.run_id].drop(columns=["run_id", "made_from"]).to_dict("records")
        )
        for rows, run in zip(features, runs, strict=True)
    ]
    assert own[0] == own[1]
    counts = [committed_batch(run).counts for run in runs]
    assert counts_of(counts[0]) == counts_of(counts[1])


def counts_of(counts: RowCounts) -> tuple[Any, ...]:
    assert counts.add_up
    return counts.accepted, counts.rejected, dict(counts.by_reason), dict(counts.by_warning)


@pytest.fixture
def without(spark: SparkSession, tmp_path: Path) -> Shop:
    """A shop that never had the customers, before its first run, with the sources of the second day."""
    shop = Shop(spark, tmp_path / "without", without=True)
    for _ in shop.days():
        pass
    return shop


@pytest.fixture
def copy_of(spark: SparkSession, tmp_path: Path) -> Callable[[Path], Shop]:
    """Makes a copy of a shop with sources of its own."""

    def make(folder: Path) -> Shop:
        target = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(folder / "tables", target / "tables")
        for name in ("orders", "people", "events"):
            (target / name).symlink_to((folder / name).resolve())
        return Shop(spark, target)

    return make
