"""Batches of order lines: whatever came, changed or went, the tables are as if all lines were read anew."""

import random
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.ingest import snapshots
from customer_segmentation.stages import Run, ingest_sources
from customer_segmentation.stages.changes import changed_transactions
from customer_segmentation.stages.ingest import RowCounts, commit, committed_batch, load_order_lines
from tests.csv_lines import MAPPING, SHEET, Line, seeded
from tests.generated import quiet
from tests.postgres import postgres
from tests.warehouse import contents, read

line, written = SHEET.line, SHEET.written
SCHEMA = ", ".join(f"{name} string" for name in SHEET.names)


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> Callable[..., Run]:
    def make(
        *,
        root: str = "tables",
        as_of: str | None = None,
        share: float = 1.0,
        severity: dict[str, str] | None = None,
        **source: Any,
    ) -> Run:
        relation = {"format": "csv", "path": str(tmp_path / "in"), "columns": MAPPING, **source}
        settings = {
            "as_of": as_of,
            "sources": {"transactions": relation},
            "checks": {"max_rejected_share": share, "severity": severity or {}},
            "tables": {"root": str(tmp_path / root)},
        }
        return quiet(spark, Config.model_validate(settings))

    return make


def ingested(run: Run) -> RowCounts:
    ingest_sources(run)
    return committed_batch(run).counts


def said(run: Run) -> str:
    return "; ".join(load_order_lines(run)[1])


def rejected(root: Path) -> list[tuple[int, tuple[str, ...]]]:
    """The rejected lines by their digests, each with its reasons."""
    rows = read(root, "rejected_transactions")
    return sorted((digest, tuple(reasons)) for digest, reasons in zip(rows.line_id, rows.reasons, strict=True))


def assert_as_if_read_anew(run: Run, anew: Run) -> None:
    """The tables of the two runs hold the same, and so do their accounts."""
    counts = [committed_batch(run).counts, ingested(anew)]
    roots = [Path(one.config.tables.root or "") for one in (run, anew)]
    for table in ("transactions", "returns"):
        assert contents(roots[0], table) == contents(roots[1], table), table
    assert rejected(roots[0]) == rejected(roots[1])
    assert counts[0] == counts[1]


def entangled(draw: random.Random, count: int) -> list[Line]:
    """Lines of few orders, so that copies, versions, orders of two customers, returns and late lines meet."""
    lines = []
    for _ in range(count):
        order = draw.randrange(count // 3)
        lines.append(
            line(
                who=f"C{order % 7}" if draw.random() < 0.95 else "C9",
                no=f"O{order}" if draw.random() < 0.97 else "",
                at=f"2024-0{draw.randrange(1, 7)}-11 10:00:00",
                product=f"P{draw.randrange(3)}",
                pieces=draw.choice(["1", "2", "2", "-1", "many"]),
                position=draw.choice(["", "1", "2", "3"]),
                changed=draw.choice(["", "2024-07-01", "2024-07-02"]),
            )
        )
    return lines + draw.sample(lines, count // 10)


@pytest.mark.long
@pytest.mark.slow
def test_lines_in_any_number_of_batches_give_the_same_tables(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    draw = seeded()
    lines = entangled(draw, 300)
    draw.shuffle(lines)
    # The first batch is big enough to have a good line: a reading without any is rejected.
    cuts = sorted(draw.sample(range(50, len(lines)), 3))
    # A reading without news, and days on which some lines are not known yet, are among them.
    days = ["2024-03-01", "2024-03-01", "2024-05-01", "2024-12-01"]

    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(lines)], strict=True)):
        written(tmp_path / "in" / f"{draw.randrange(10**6)}-{number}.csv", lines[start:end])
        ingested(run_of(as_of=days[number]))

    run = run_of(as_of=days[-1])
    assert_as_if_read_anew(run, run_of(root="anew", as_of=days[-1]))
    reasons = committed_batch(run).counts.by_reason
    assert {"duplicate", "superseded", "order_changes_customer"} <= reasons.keys()


@pytest.mark.slow
def test_a_batch_reads_new_files_alone_and_changes_what_they_change(
    tmp_path: Path, run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [
        line(),
        line(no="O2", position="1", changed="2024-03-01"),
        line(no="O3", who="C3"),
        line(no="O4", at="2024-06-01"),  # not known yet
        line(no="O5", pieces="many"),
        line(no="O6"),
    ]
    second = [
        line(),  # a copy
        line(no="O2", position="1", changed="2024-03-02", price="7"),  # a correction
        line(no="O3", who="C4"),  # another customer
        line(no="O6", pieces="-1", at="2024-03-05"),  # a return
        line(no="O7"),
    ]
    written(tmp_path / "in" / "a.csv", first)
    ingested(run_of(as_of="2024-05-01"))
    written(tmp_path / "in" / "b.csv", second)
    asked_for = []
    real = snapshots.read_source
    monkeypatch.setattr(snapshots, "read_source", lambda *a, **k: asked_for.append(k["files"]) or real(*a, **k))

    run = run_of(as_of="2024-07-01")
    assert ingested(run).describe() == "11 lines in = 6 accepted + 5 rejected"

    assert [[Path(name).name for name in files] for files in asked_for] == [["b.csv"]]
    monkeypatch.undo()
    assert_as_if_read_anew(run, run_of(root="anew", as_of="2024-07-01"))
    touched = changed_transactions(run, since=1, until=2)
    assert not isinstance(touched, str)
    assert {(row.customer_id, row.ordered_at.date()) for row in touched.collect()} == {
        ("C1", date(2024, 3, 1)),
        ("C1", date(2024, 3, 5)),
        ("C1", date(2024, 6, 1)),
        ("C3", date(2024, 3, 1)),
    }
    assert said(run) == "nothing new"
    # What was accepted before has only its columns left.
    rows = read(tmp_path / "tables", "rejected_transactions").set_index("order_id")
    assert rows.loc["O2", "source_file"] == "transactions"
    assert '"amount":7.00' in rows.loc["O2", "row"]


@pytest.mark.slow
def test_a_warning_of_a_day_to_come_leaves_a_line_when_its_day_has_come(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    severity = {"date_in_future": "warn"}
    written(tmp_path / "in" / "1.csv", [line(), line(no="O2", at="2024-03-05 10:00:00")])
    ingested(run_of(as_of="2024-03-02", severity=severity))
    assert committed_batch(run_of()).counts.by_warning == {"date_in_future": 1}

    assert said(run_of(as_of="2024-03-03", severity=severity)) == "nothing new"
    ingested(run_of(as_of="2024-03-06", severity=severity))

    run = run_of(as_of="2024-03-06", severity=severity)
    assert committed_batch(run).counts.by_warning == {}
    assert_as_if_read_anew(run, run_of(root="anew", as_of="2024-03-06", severity=severity))


@pytest.mark.long
@pytest.mark.slow
def test_files_that_changed_or_went_are_noticed(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    written(tmp_path / "in" / "a.csv", [line(), line(no="O2")])
    written(tmp_path / "in" / "b.csv", [line(no="O3")])
    ingested(run_of())

    written(tmp_path / "in" / "a.csv", [line(price="1"), line(no="O2"), line(no="O4")])
    assert said(run_of()).startswith(f"all lines were read again: file:{tmp_path}/in/a.csv changed since it was read")
    (tmp_path / "in" / "b.csv").unlink()
    with pytest.raises(
        DataRejectedError, match=r"files that were read are no longer at .* \(1\): .*b\.csv; bring them back"
    ):
        said(run_of())
    assert said(run_of(missing_files="keep")) == "nothing new"
    written(tmp_path / "in" / "d.csv", [line(no="O7")])
    assert said(run_of(missing_files="keep")) == "1 new line"
    # A whole reading would lose the lines of the file that went, also after a batch that kept them.
    with pytest.raises(DataRejectedError, match=r"b\.csv"):
        said(run_of(missing_files="keep", decimal_comma=True))
    assert committed_batch(run_of()).counts.lines == 5
    assert said(run_of(missing_files="remove")).endswith("b.csv is gone")
    assert committed_batch(run_of()).counts.lines == 4


@pytest.mark.long
@pytest.mark.slow
def test_folders_named_after_a_column_are_columns_of_a_batch_too(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    mapping = {"columns": {**MAPPING, "ordered_at": "day"}}
    written(tmp_path / "in" / "day=2024-03-01" / "a.csv", [line()])
    written(tmp_path / "in" / "archive" / "old.csv", [line(no="O9")])
    ingested(run_of(**mapping))
    written(tmp_path / "in" / "day=2024-03-02" / "b.csv", [line(no="O2"), line(no="O2")])

    assert ingested(run_of(**mapping)).describe() == "3 lines in = 2 accepted + 1 rejected"

    assert_as_if_read_anew(run_of(**mapping), run_of(root="anew", **mapping))
    assert sorted(read(tmp_path / "tables", "transactions").ordered_at.dt.day) == [1, 2]


@pytest.mark.long
@pytest.mark.slow
def test_what_a_killed_batch_left_is_taken_back(
    tmp_path: Path, run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "in" / "a.csv", [line(), line(no="O2", pieces="many")])
    ingested(run_of())
    written(tmp_path / "in" / "b.csv", [line(no="O3"), line(no="O2", who=""), line()])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commit, "verified_versions", killed)
    with pytest.raises(KeyboardInterrupt):
        ingest_sources(run_of())
    monkeypatch.undo()
    assert len(read(tmp_path / "tables", "rejected_transactions")) == 2
    assert len(read(tmp_path / "tables", "transactions")) == 3
    with pytest.raises(ConfigurationError, match="ended while batch 2 changed the tables"):
        committed_batch(run_of())
    shutil.copytree(tmp_path / "tables", tmp_path / "without")
    shutil.rmtree(tmp_path / "without" / "rejected_transactions")

    anew = run_of(root="anew")
    for root in ("tables", "without"):  # a table that is gone is made anew
        run = run_of(root=root)
        ingested(run)
        assert_as_if_read_anew(run, anew)


@pytest.mark.long
@pytest.mark.slow
def test_a_small_batch_is_not_stopped_by_a_few_bad_lines_and_a_large_one_is(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    written(tmp_path / "in" / "a.csv", [line(no=f"O{number}") for number in range(50)])
    ingested(run_of(share=0.1))
    written(tmp_path / "in" / "b.csv", [line(no="B", pieces="many")] * 90)
    assert ingested(run_of(share=0.1)).rejected == 90
    written(tmp_path / "in" / "c.csv", [line(no="B", pieces="more")] * 110)

    with pytest.raises(DataRejectedError, match=r"110 of 110 lines are rejected"):
        ingest_sources(run_of(share=0.1))

    assert committed_batch(run_of()).counts.lines == 140
    assert len(read(tmp_path / "tables", "transactions")) == 50


# --- Delta ---


def delta(run_of: Callable[..., Run], path: Path, **more: Any) -> Run:
    return run_of(format="delta", path=str(path), where="no <> 'left out'", **more)


@pytest.mark.long
@pytest.mark.slow
def test_the_changes_of_a_delta_table_are_followed(
    spark: SparkSession, tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    lines = [line(no=f"O{n}") for n in range(6)] + [line(no="left out"), line(no="O5"), line(no="R", pieces="many")]
    path = tmp_path / "orders"
    table = spark.createDataFrame(lines, SCHEMA).coalesce(1)
    table.write.format("delta").option("delta.enableChangeDataFeed", "true").save(str(path))
    ingested(delta(run_of, path))

    spark.sql(f"UPDATE delta.`{path}` SET price = '9' WHERE no IN ('O1', 'left out', 'R')")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE no IN ('O2', 'O5')")
    spark.createDataFrame([line(no="O9"), line(no="O3")], SCHEMA).write.format("delta").mode("append").save(str(path))
    # Written anew without a change: nothing came, nothing went.
    spark.read.format("delta").load(str(path)).coalesce(1).write.format("delta").mode("overwrite").save(str(path))

    run = delta(run_of, path)
    assert said(run) == "4 new lines, 5 no longer there"
    ingest_sources(run)
    assert (
        committed_batch(run).counts.describe() == "8 lines in = 5 accepted + 2 rejected + 1 filtered out (by `where`)"
    )
    assert_as_if_read_anew(run, delta(run_of, path, root="anew"))


@pytest.mark.long
@pytest.mark.slow
def test_a_delta_table_that_cannot_tell_its_changes_is_read_whole(
    spark: SparkSession, tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    path = tmp_path / "orders"

    def add(order: str, **options: str) -> None:
        frame = spark.createDataFrame([line(no=order)], SCHEMA).coalesce(1)
        frame.write.format("delta").mode("append").options(**options).save(str(path))

    add("O1")
    ingested(delta(run_of, path))
    add("O2")
    assert "keeps no change feed of that time, since version 0; with the table property delta.enable" in said(
        delta(run_of, path)
    )
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    assert said(delta(run_of, path)) == "nothing new"
    spark.sql(f"DELETE FROM delta.`{path}` WHERE no = 'O1'")
    add("O3")
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", "2")  # VACUUM starts 10,000 otherwise
    spark.sql(f"VACUUM delta.`{path}` RETAIN 0 HOURS")
    spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    spark.conf.unset("spark.sql.sources.parallelPartitionDiscovery.parallelism")
    assert "had the files of its change feed vacuumed away, since version 2" in said(delta(run_of, path))
    assert set(read(tmp_path / "tables", "transactions").order_id) == {"O2", "O3"}
    spark.sql(
        f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')"
    )
    add("O4")
    add("O5")
    assert "keeps no history of that time any longer, since version" in said(delta(run_of, path))
    assert set(read(tmp_path / "tables", "transactions").order_id) == {"O2", "O3", "O4", "O5"}


# --- JSON, databases ---


@pytest.mark.long
@pytest.mark.slow
def test_a_json_batch_may_name_fewer_or_more_columns(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    columns = {"customer_id": "who", "order_id": "no", "ordered_at": "at", "amount": "price", "channel": "shop"}
    (folder / "a.json").write_text('{"who": "C1", "no": 1, "at": "2024-03-01", "price": 1, "shop": "web"}\n')
    ingested(run_of(format="json", columns=columns))
    run = run_of(format="json", columns=columns)
    (folder / "b.json").write_text('{"who": "C1", "no": 2, "at": "2024-03-01", "price": 2, "note": "new"}\n')

    assert said(run) == "1 new line; column note is new and ignored"

    ingest_sources(run)
    assert_as_if_read_anew(run, run_of(root="anew", format="json", columns=columns))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.mark.long
@pytest.mark.slow
def test_a_database_is_read_from_its_watermark_on(spark: SparkSession, server: str, run_of: Callable[..., Run]) -> None:
    def orders(*rows: tuple[str, str, int, str]) -> DataFrame:
        frame = spark.createDataFrame(rows, "no string, position string, price int, changed string")
        return frame.selectExpr("'C1' who", "no", "'2024-03-01' at", "price", "position", "timestamp(changed) changed")

    def write(frame: DataFrame, mode: str) -> None:
        properties = {"user": "shop", "driver": "org.postgresql.Driver"}
        frame.coalesce(1).write.mode(mode).jdbc(server, "orders", properties=properties)

    def run(root: str = "tables", overlap: str = "1 hour") -> Run:
        return run_of(
            root=root,
            format="jdbc",
            path=None,
            table="orders",
            options={"url": server, "user": "shop"},
            watermark="changed",
            overlap=overlap,
            where="price <> 7",
            columns={name: MAPPING[name] for name in MAPPING if name not in ("product_id", "quantity")},
        )

    first = [("O1", "1", 1, "2024-03-01 10:00:00"), ("O2", "1", 2, "2024-03-01 11:30:00")]
    write(orders(*first, ("O5", "1", 7, "2024-03-01 11:10:00")), "append")
    ingested(run())
    assert said(run()) == "nothing new"

    # Late by half an hour, a correction that stands beside what it corrects, and a new order with an exact copy.
    late, corrected, new = (
        ("O3", "1", 3, "2024-03-01 11:00:00"),
        ("O1", "1", 9, "2024-03-02"),
        ("O4", "1", 4, "2024-03-03"),
    )
    late_and_left_out = ("O6", "1", 7, "2024-03-01 11:15:00")
    write(orders(late, corrected, new, new, late_and_left_out), "append")
    assert said(run()) == "4 new lines"

    ingest_sources(run())
    assert committed_batch(run()).counts.by_reason == {"duplicate": 1, "superseded": 1}
    assert committed_batch(run()).counts.filtered_out == 2
    assert_as_if_read_anew(run(), run("anew"))

    # Another overlap has other filtered rows in it than were counted.
    write(orders(("O7", "1", 7, "2024-03-01 08:00:00"), ("O8", "1", 7, "2024-03-02 22:30:00")), "append")
    assert "counted for the overlap '1 hour'" in said(run(overlap="2 hours"))
    ingest_sources(run(overlap="2 hours"))
    assert committed_batch(run()).counts.filtered_out == 4
    assert_as_if_read_anew(run(overlap="2 hours"), run("again", overlap="2 hours"))
