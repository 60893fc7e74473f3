"""Erasure: nothing of a customer is left in any file, everything else is as if they had never come, and so it stays."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from customer_segmentation.claims import claimed_folder
from customer_segmentation.cli import main
from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.ingest.suppression import IS_SUPPRESSED, Suppressed, hash_of
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import Run, build_features, erase_customers, ingest_sources
from customer_segmentation.stages.erase import Receipt
from customer_segmentation.stages.ingest import committed_batch
from tests.csv_lines import Sheet, seeded
from tests.generated import ROOT, quiet
from tests.readers import assert_all_read_what_spark_reads
from tests.warehouse import contents, read

CUSTOMERS = range(48)
ERASED = ["Quill-07", "Quill-08", "Quill-09", "Quill-30"]
NOBODY = "Quill-99"
FIRST, SECOND, THIRD = date(2024, 3, 9), date(2024, 3, 10), date(2024, 3, 11)
KILLS = int(os.environ.get("KILLS", "2"))
OF_SOURCES = (
    t.TRANSACTIONS,
    t.REJECTED_TRANSACTIONS,
    t.RETURNS,
    t.CUSTOMERS,
    t.REJECTED_CUSTOMERS,
    t.ENGAGEMENT,
    t.REJECTED_ENGAGEMENT,
    t.CUSTOMER_DAYS,
    t.CUSTOMER_HISTORY,
)
ENDS_THE_SAME = (*OF_SOURCES, t.CUSTOMER_FEATURES, t.CUSTOMER_SEGMENTS, t.CUSTOMER_SEGMENTS_HISTORY)
CHANGED_MEANWHILE = {"delta.deletedFileRetentionDuration", "delta.checkpointInterval"}
IN_A_PROCESS = {
    "master": "local[2]",
    "shuffle_partitions": 2,
    "driver_memory": "1g",
    "conf": {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"},
}
COLUMNS = {
    "customer_id": "who",
    "order_id": "no",
    "ordered_at": "at",
    "product_id": "product",
    "category": "kind",
    "quantity": "pieces",
    "unit_price": "price",
    "line_number": "position",
    "changed_at": "changed",
}
LINES = Sheet(who="", no="", at="", product="", kind="", pieces="1", price="3.50", position="", changed="", contact="")
PEOPLE = Sheet(who="", name="", town="")
EVENTS = Sheet(who="", at="", what="", way="", about="")
Rows = list[list[str]]
Frame = Callable[[list[tuple], str], DataFrame]


def person(number: int) -> str:
    return f"Quill-{number:02}"


def contact(who: str) -> str:
    return f"Mx Contact {who.removeprefix('Quill-')}q"


def orders(draw: random.Random, customers: Sequence[int], day: date, prefix: str) -> Rows:
    """Orders of some customers up to a day, with returns, and lines that are rejected or resolved with others."""
    lines: Rows = []

    def add(who: str, order: str, at: datetime, **changes: str) -> None:
        values = {"who": who, "no": order, "at": f"{at:%Y-%m-%d %H:%M:%S}", "contact": contact(who)}
        lines.append(LINES.line(**values, **changes))

    for customer in customers:
        number, price, days = [(6, 2, 9), (3, 90, 25), (1, 20, 60)][customer % 3]
        for place in range(number):
            midnight = datetime.combine(day, datetime.min.time())
            at = midnight - timedelta(days=days * (place + 1) / number + draw.random())
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
                add(person(customer), f"{order}R", at + timedelta(hours=9), product="P1", pieces="-1", price=f"{price}")
        if customer % 4 == 0:
            add(person(customer), f"{prefix}bad{customer * 13}", at, product="P1", pieces="many", price="1")
    return lines


def entangled(day: date, prefix: str) -> Rows:
    """Orders of an erased and another customer, and lines that take customer or date from an erased one's."""
    at = f"{day - timedelta(days=3):%Y-%m-%d} 10:00:00"

    def line(who: str, order: str, **changes: str) -> list[str]:
        values = {"who": who, "no": f"{prefix}{order}", "contact": contact(who), "at": at, "product": "P5"}
        return LINES.line(**(values | changes))

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
    named = {person(each): contact(person(each)) for each in customers}
    rows = [PEOPLE.line(who=who, name=name, town=f"T{len(name) % 3}") for who, name in named.items()]
    twice = [PEOPLE.line(who=person(each), name=named[person(each)], town="T9") for each in customers[::7]]
    return [*rows, *twice, PEOPLE.line(name="nobody"), [ERASED[1], contact(ERASED[1]), "T1", "more"]]


def events(customers: Sequence[int]) -> Rows:
    rows = []
    for each in customers:
        days = [f"2024-03-0{number} 09:00:00" for number in range(1, 1 + each % 3)] + ["some day"] * (each % 5 == 0)
        rows += [EVENTS.line(who=person(each), at=day, what="mailing", way="mail") for day in days]
        rows += rows[-1:] if each % 6 == 0 else []
    return rows


class Shop:
    """A shop's sources below a folder, and its tables.

    without: whether its sources never had the customers who are erased elsewhere.
    """

    def __init__(self, spark: SparkSession, folder: Path, *, root: Path | None = None, without: bool = False) -> None:
        self._spark, self.folder, self._without = spark, folder, without
        self.root = root or folder / "tables"

    def deliver(self, name: str, rows: Rows) -> None:
        self._write(LINES, self.folder / "orders" / f"{name}.csv", rows)

    def know(self, customers: Sequence[int]) -> None:
        self._write(PEOPLE, self.folder / "people" / "all.csv", people(customers))
        self._write(EVENTS, self.folder / "events" / "all.csv", events(customers))

    def _write(self, sheet: Sheet, path: Path, rows: Rows) -> None:
        sheet.written(path, [row for row in rows if not (self._without and row[0] in ERASED)])

    def settings(self, as_of: date) -> dict[str, Any]:
        events_columns = {"customer_id": "who", "occurred_at": "at", "event_type": "what", "channel": "way"}
        people_columns = {"customer_id": "who", "name": "name", "town": "town"}
        return {
            "as_of": as_of.isoformat(),
            "sources": {
                "transactions": {"format": "csv", "path": f"{self.folder}/orders", "columns": COLUMNS},
                "customers": {"format": "csv", "path": f"{self.folder}/people", "columns": people_columns},
                "engagement": {"format": "csv", "path": f"{self.folder}/events", "columns": events_columns},
            },
            "checks": {"max_rejected_share": 1.0},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"], "retrain_after_days": 0},
            "tables": {"root": str(self.root)},
        }

    def run(self, as_of: date, **sections: Any) -> Run:
        return quiet(self._spark, Config.model_validate({**self.settings(as_of), **sections}))

    def days(self) -> Iterator[date]:
        """Two days of deliveries; on each the sources are as they are then."""
        draw = random.Random(17)
        self.know(CUSTOMERS[:-4])
        self.deliver("1", orders(draw, CUSTOMERS[:-6], FIRST, "A") + entangled(FIRST, "A"))
        yield FIRST
        self.know(CUSTOMERS)
        # A line that took its customer from an erased one's takes another form.
        at = f"{FIRST - timedelta(days=3):%Y-%m-%d} 10:00:00"
        corrected = LINES.line(no="Afilled", at=at, product="P6", position="2", price="4.00", changed=f"{SECOND}")
        self.deliver("2", [*orders(draw, CUSTOMERS, SECOND, "B"), *entangled(SECOND, "B"), corrected])
        yield SECOND


def whole(run: Run) -> str:
    run_pipeline(run, Console(file=io.StringIO()))
    return run.run_id


def built(run: Run) -> Run:
    ingest_sources(run)
    build_features(run)
    return run


def texts(root: Path) -> Iterator[tuple[Path, str]]:
    """What every file below a folder holds, as text: bytes as they are, and Parquet decoded."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")
            if path.name.endswith(".parquet"):
                yield path, str(pq.read_table(path, partitioning=None).to_pylist())


def files_naming(root: Path, customers: Sequence[str]) -> list[str]:
    words = [*customers, *map(contact, customers)]
    return sorted({str(path.relative_to(root)) for path, text in texts(root) if any(word in text for word in words)})


def in_common(root: Path, table: t.Table) -> list[str]:
    """The rows without what names the run, the batch and the file that they come from, in a fixed order."""
    own = ["run_id", "made_from", "batch_id", "source_file", "ingested_at", "row"]
    rows = read(root, table.name).drop(columns=own, errors="ignore").to_dict("records")
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def assert_as_if_they_had_never_come(shop: Shop, other: Shop, as_of: date) -> None:
    """Both shops, brought to a date, have the same of all that comes of the sources."""
    runs = [built(each.run(as_of)) for each in (shop, other)]
    for table in OF_SOURCES:
        assert in_common(shop.root, table) == in_common(other.root, table), table.name
    counts, features = [], []
    for each, run in zip((shop, other), runs, strict=True):
        rows = read(each.root, "customer_features")
        rows = rows[rows.run_id == run.run_id].drop(columns=["run_id", "made_from"]).to_dict("records")
        features.append(sorted(json.dumps(row, sort_keys=True, default=str) for row in rows))
        counted = committed_batch(run).counts
        assert counted.add_up
        counts.append((counted.accepted, counted.rejected, dict(counted.by_reason), dict(counted.by_warning)))
    assert features[0] == features[1]
    assert counts[0] == counts[1]
    lines = (line for path in (shop.folder / "orders").iterdir() for line in path.read_text().splitlines())
    of_them = sum(line.startswith(tuple(ERASED)) for line in lines)
    counted = committed_batch(runs[0]).counts
    assert counted.suppressed == counted.filtered_out == of_them
    assert counted.lines == committed_batch(runs[1]).counts.lines + of_them
    assert files_naming(shop.root, ERASED) == []


@pytest.fixture(scope="module")
def published(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop after two days."""
    shop = Shop(spark, tmp_path_factory.mktemp("shop"))
    for day in shop.days():
        whole(shop.run(day))
    return shop


@pytest.fixture(scope="module")
def erased(spark: SparkSession, published: Shop) -> tuple[Shop, Receipt]:
    """The same after customers were erased, whom the sources still have, with the receipt."""
    shop = Shop(spark, published.folder, root=published.folder / "after")
    shutil.copytree(published.root, shop.root)
    return shop, erase_customers(shop.run(SECOND), [f"  {ERASED[0]}\t", *ERASED[1:], NOBODY])


@pytest.mark.long
@pytest.mark.slow
def test_no_file_names_an_erased_customer_and_the_receipt_says_what_went(
    published: Shop, erased: tuple[Shop, Receipt]
) -> None:
    shop, receipt = erased
    of_customers = {table.name for table in t.KNOWN_TABLES if table.names_customers}
    named = {name.partition("/")[0] for name in files_naming(published.root, ERASED)}
    assert named == of_customers, "before they were everywhere"
    assert files_naming(shop.root, ["Quill-01"]), "others are found"

    assert files_naming(shop.root, ERASED) == []

    assert (receipt.customers, receipt.customers_found) == (len(ERASED) + 1, len(ERASED))
    assert receipt.rows_removed.keys() == of_customers
    assert str(receipt.to_dict()).count("Quill") == str(read(shop.root, "erasures").to_dict()).count("Quill") == 0
    for table in of_customers - {"rejected_transactions", "transactions", "ingest_changes"}:
        lost = len(read(published.root, table)) - len(read(shop.root, table))
        assert receipt.rows_removed[table] == lost, table
    assert receipt.rows_removed["transactions"] == read(published.root, "transactions").customer_id.isin(ERASED).sum()
    history = read(published.root, "customer_segments_history")
    assert receipt.rows_by_run == history[history.customer_id.isin(ERASED)].groupby("run_id").size().to_dict()
    assert sorted(read(shop.root, "erasures").status) == ["committed", "planned"]


@pytest.mark.long
@pytest.mark.slow
def test_others_keep_their_rows_and_every_line_is_accounted_for(
    spark: SparkSession, published: Shop, erased: tuple[Shop, Receipt]
) -> None:
    shop, _ = erased
    assert_all_read_what_spark_reads(spark, shop.root)
    of_customers = [
        t.CUSTOMERS,
        t.ENGAGEMENT,
        t.RETURNS,
        t.CUSTOMER_DAYS,
        t.CUSTOMER_HISTORY,
        t.CUSTOMER_FEATURES,
        t.CUSTOMER_SEGMENTS,
        t.CUSTOMER_SEGMENTS_HISTORY,
    ]
    for table in of_customers:
        rows = [row for row in contents(published.root, table.name) if not any(who in row for who in ERASED)]
        assert contents(shop.root, table.name) == rows, table.name
        assert not CHANGED_MEANWHILE & DeltaTable(shop.root / table.name).metadata().configuration.keys()
    for table in (t.SEGMENT_PROFILES, t.SEGMENT_TRANSITIONS, t.PIPELINE_RUNS, t.MODEL_RUNS, t.PUBLICATIONS):
        assert contents(shop.root, table.name) == contents(published.root, table.name), table.name
    before, after = published.run(SECOND), shop.run(SECOND)
    counts = committed_batch(after).counts
    assert counts.add_up
    assert counts.lines == committed_batch(before).counts.lines
    assert counts.suppressed == counts.filtered_out > 0
    tables = (read(shop.root, table) for table in ("transactions", "rejected_transactions"))
    assert (counts.accepted, counts.rejected) == tuple(map(len, tables))
    assert f"filtered out ({counts.suppressed:,} of erased customers)" in counts.describe()
    assert before.inputs.state != after.inputs.state, "the next run is another one"


@pytest.mark.long
@pytest.mark.slow
def test_all_is_as_if_they_had_never_come_also_when_they_come_again(spark: SparkSession, tmp_path: Path) -> None:
    shop, without = Shop(spark, tmp_path / "with"), Shop(spark, tmp_path / "without", without=True)
    for day in shop.days():
        built(shop.run(day))
    for _ in without.days():
        pass
    erase_customers(shop.run(SECOND), ERASED)
    assert_as_if_they_had_never_come(shop, without, SECOND)

    draw = random.Random(18)
    lines = orders(draw, CUSTOMERS[:12], THIRD, "C") + entangled(THIRD, "C")
    for each in (shop, without):
        each.deliver("3", lines)
        each.know(CUSTOMERS[1:])
    assert_as_if_they_had_never_come(shop, without, THIRD)

    for table in (t.TRANSACTIONS, t.REJECTED_TRANSACTIONS, t.RETURNS, t.CUSTOMERS, t.CUSTOMER_HISTORY):
        shutil.rmtree(shop.root / table.name)
    assert_as_if_they_had_never_come(shop, without, THIRD)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("others_are_named", [False, True])
def test_a_run_after_an_erasure_that_ended_midway_is_made_without_the_erased(
    spark: SparkSession, published: Shop, monkeypatch: pytest.MonkeyPatch, others_are_named: bool
) -> None:
    shop = Shop(spark, published.folder, root=published.folder / f"midway-{others_are_named}")
    shutil.copytree(published.root, shop.root)
    with monkeypatch.context() as patch:
        patch.setattr("customer_segmentation.stages.erase.follow_returns", _killed)
        with pytest.raises(KeyboardInterrupt):
            erase_customers(shop.run(SECOND), ERASED)
    of_customers = [
        table.name for table in t.KNOWN_TABLES if table.names_customers and (shop.root / table.name).exists()
    ]
    assert any(set(read(shop.root, name).customer_id) & set(ERASED) for name in of_customers)

    run = shop.run(SECOND)
    whole(run)

    assert set(read(shop.root, "customer_segments").run_id) == {run.run_id}
    for name in of_customers:
        assert not set(read(shop.root, name).customer_id) & set(ERASED), name
    unfinished_receipt = run.suppression.unfinished()
    assert unfinished_receipt is not None, "its files are still there"
    assert not run.suppression.lacks(ERASED)
    if others_are_named:
        other = person(3)
        own = erase_customers(shop.run(SECOND), [ERASED[0], other])
        assert (own.customers, own.customers_found) == (1, 1)
        assert own.rows_by_run[run.run_id] == 1
        assert files_naming(shop.root, [other]) == []
    else:
        erase_customers(shop.run(SECOND))
        assert shop.run(SECOND).run_id == run.run_id
    receipts = read(shop.root, "erasures").sort_values("recorded_at")
    (of_all,) = receipts[(receipts.receipt_id == unfinished_receipt) & (receipts.status == "committed")].to_dict(
        "records"
    )
    assert (of_all["customers"], of_all["customers_found"]) == (len(ERASED), len(ERASED))
    assert files_naming(shop.root, ERASED) == []
    assert set(read(shop.root, "customer_segments").run_id) == {run.run_id}


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.long
@pytest.mark.slow
def test_ten_later_runs_bring_nobody_back(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path)
    for day in shop.days():
        whole(shop.run(day))
    erase_customers(shop.run(SECOND), ERASED)
    draw = seeded()
    for number in range(10):
        day = THIRD + timedelta(days=number)
        shop.deliver(f"later{number}", orders(draw, draw.sample(CUSTOMERS, 20), day, f"L{number}-"))
        shop.know(draw.sample(CUSTOMERS, 40))
        if number == 6:
            shutil.rmtree(shop.root / "transactions")
        whole(shop.run(day, ingest={"reload": number == 3}))
        assert files_naming(shop.root, ERASED) == [], number
    assert set(read(shop.root, "customer_segments").run_id) == {shop.run(day).run_id}


@pytest.mark.long
@pytest.mark.slow
def test_an_erasure_killed_at_any_moment_and_begun_again_ends_as_one_left_alone(
    spark: SparkSession, tmp_path: Path
) -> None:
    draw = seeded()
    shop = Shop(spark, tmp_path)
    for day in shop.days():
        whole(shop.run(day))
    names = tmp_path / "erased.txt"
    names.write_text("\n".join(ERASED))
    span, kept = 600.0, tmp_path / "kept"
    shutil.copytree(shop.root, kept)
    expected: tuple[Any, ...] = ()
    for number in range(KILLS + 1):
        shutil.rmtree(shop.root)
        shutil.copytree(kept, shop.root)
        config = shop.settings(SECOND) | {"spark": IN_A_PROCESS}
        (tmp_path / "conf.yml").write_text(json.dumps(config))
        command = [sys.executable, "-m", "customer_segmentation", "erase", "--config", str(tmp_path / "conf.yml")]
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, "--customers-file", str(names)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(span / 5, span) if number else None)
        process.kill()
        told = b"".join(process.communicate()).decode()
        assert "Quill" not in told
        if number == 0:
            assert process.returncode == 0, told
            span = time.monotonic() - began
        with claimed_folder(shop.root, "test"):  # waits for Spark of the dead one
            receipt = erase_customers(shop.run(SECOND), () if number % 2 and unfinished(shop) else ERASED)
        rows = {table.name: in_common(shop.root, table) for table in ENDS_THE_SAME}
        stored = read(shop.root, "erasures")
        first = stored[stored.status == "committed"].sort_values("recorded_at").iloc[0]
        ended = rows, first.customers, first.customers_found, first.rows_removed, first.rows_by_run
        expected = expected or ended
        assert ended == expected
        assert files_naming(shop.root, ERASED) == []
        for table in ENDS_THE_SAME:
            assert not CHANGED_MEANWHILE & DeltaTable(shop.root / table.name).metadata().configuration.keys()
        assert committed_batch(shop.run(SECOND)).counts.add_up
        print(f"{number}: ended with {process.returncode}, receipt {receipt.receipt_id}", flush=True)


def unfinished(shop: Shop) -> bool:
    """Whether an erasure was planned."""
    return (shop.root / "suppressed_customers" / "_delta_log" / f"{0:020}.json").exists()


ERASED_IDS = ("C 1", "17850", "Zoë", "DE:1042", "a=1", "crm|7")


def test_customers_are_known_by_salted_digests_in_columns_and_in_malformed_text(frame: Frame) -> None:
    salt = "s"
    hashes = frame([(hash_of(who, salt),) for who in ERASED_IDS], "customer_hash string")
    suppressed = Suppressed(hashes, len(ERASED_IDS), salt)
    rows = [
        (1, "C 1", None),
        (2, "C 12", None),
        (3, None, None),
        (4, None, 'a;"C 1";5'),
        (5, None, "a,17850.0,x"),
        (6, None, "178501|2"),
        (7, "C 2", "C 2,C 1,too,many"),
        (8, None, "who: Zoë 3.50"),
        (9, None, "Zoé,x-17850"),
        (10, None, "A1,DE:1042,5"),
        (11, None, 'A1;"a=1";x*y'),
        (12, None, "A1, crm|7 ,5"),
        (13, None, "A1,DE,1042,crm,7,x,y"),
    ]
    marked = suppressed.marked(frame(rows, "n int, customer_id string, text string"), text=F.col("text"))

    assert sorted(row.n for row in marked.where(IS_SUPPRESSED).collect()) == [1, 4, 5, 7, 8, 10, 11, 12]
    assert marked.count() == len(rows)
    assert hash_of(" C 1\t", salt) == hash_of("C 1", salt) != hash_of("C 1", "t")


def test_erase_without_anybody_says_so_and_messages_name_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "conf.yml"
    config.write_text(json.dumps(Shop.settings(SimpleNamespace(folder=tmp_path, root=tmp_path / "tables"), FIRST)))
    for options, message in (
        (["--customers-file", str(tmp_path / "none.txt")], "none.txt can't be read"),
        (
            ["--customer", "Quill-01", "--receipt", str(tmp_path / "no" / "receipt.json")],
            "receipt.json can't be written",
        ),
    ):
        assert main(["erase", "--config", str(config), *options]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert "Quill" not in told
