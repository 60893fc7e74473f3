"""A shop's first days, with the session that the product makes: each run twice, whatever else is done to the tables."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.stages import Run, ingest_sources
from customer_segmentation.stages.customer_history import bring_up_to_date
from customer_segmentation.stages.ingest import committed_batch, load_order_lines
from tests.csv_lines import MAPPING, SHEET, Line, seeded
from tests.features.test_history import assert_as_if_built_anew
from tests.generated import quiet
from tests.warehouse import contents, read

line, written = SHEET.line, SHEET.written
AS_OF = ["2024-03-10", "2024-03-11", "2024-03-12", "2024-03-13", "2024-03-14"]


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> Callable[..., Run]:
    def make(as_of: str | None, *, root: str = "tables", **source: Any) -> Run:
        relation = {
            "format": "csv",
            "path": str(tmp_path / "in"),
            "columns": MAPPING,
            "missing_files": "keep",
            **source,
        }
        settings = {
            "as_of": as_of,
            "sources": {"transactions": relation},
            "checks": {"max_rejected_share": 0.9},
            "tables": {"root": str(tmp_path / root)},
        }
        return quiet(spark, Config.model_validate(settings))

    return make


def days(draw: random.Random) -> list[list[Line]]:
    """What comes on five days: orders, some of them again, corrected and late; nothing; only bad lines; returns."""

    def order(number: int, **changes: str) -> Line:
        good = {"no": f"O{number}", "who": f"C{number % 7}", "product": f"P{number % 3}", "position": "1"}
        return line(**(good | {"at": f"2024-03-0{1 + number % 9} 10:00:00", "changed": "2024-03-09"} | changes))

    first = [order(number) for number in range(30)]
    second = [order(number) for number in range(30, 40)]
    second += draw.sample(first, 4)  # delivered again
    second += [order(number, price="9.00", changed="2024-03-10") for number in draw.sample(range(30), 4)]  # corrected
    second += [order(40, at="2024-03-02 08:00:00"), order(41, at="2024-03-20 08:00:00")]  # late, and not known yet
    rejected = [order(50 + number, pieces="many") for number in range(3)]
    returns = [order(number, no=f"R{number}", pieces="-2", at="2024-03-13 09:00:00") for number in (0, 31)]
    return [first, second, [], rejected, returns]


def assert_as_if_loaded_at_once(run: Run, fresh: Run, *, without: str = "") -> None:
    """The tables are those of one full load of the same files, less the lines of a customer deleted by hand."""
    ingest_sources(fresh)
    roots = [Path(one.config.tables.root or "") for one in (run, fresh)]
    for table in ("transactions", "returns", "rejected_transactions"):
        rows = [read(root, table) for root in roots]
        if without:
            rows = [frame[(frame.customer_id != without)] for frame in rows]
        columns = [name for name in rows[0].columns if name in t.TRANSACTIONS.column_names or table == "returns"]
        texts = [sorted(str(values) for values in frame[columns].astype(str).to_numpy().tolist()) for frame in rows]
        assert texts[0] == texts[1], table
    if not without:
        assert committed_batch(run).counts == committed_batch(fresh).counts


def maintained(run: Run) -> None:
    """What a person does to tables that keeps their rows: compaction, clean-up, properties, a column of their own."""
    spark = run.spark
    settings = {
        "spark.databricks.delta.retentionDurationCheck.enabled": "false",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",  # VACUUM starts 10,000 tasks otherwise
    }
    for setting, value in settings.items():
        spark.conf.set(setting, value)
    for table in (t.TRANSACTIONS, t.INGEST_BATCHES, t.CUSTOMER_HISTORY):
        name = f"delta.`{run.warehouse.location(table)}`"
        spark.sql(f"OPTIMIZE {name}")
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('shop.owner' = 'data team')")
        spark.sql(f"VACUUM {name} RETAIN 0 HOURS")
    for setting in settings:
        spark.conf.unset(setting)
    if "note" not in run.warehouse.read(t.TRANSACTIONS).columns:
        spark.sql(f"ALTER TABLE delta.`{run.warehouse.location(t.TRANSACTIONS)}` ADD COLUMNS (note string)")
    spark.sql(f"DELETE FROM delta.`{run.warehouse.location(t.TRANSACTIONS)}` WHERE customer_id = 'nobody'")


@pytest.mark.long
@pytest.mark.slow
def test_five_days_each_run_twice_with_maintenance_in_between_leave_what_one_load_would(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    draw = seeded()
    archive = tmp_path / "archive"
    said, followed = [], []
    for number, (as_of, lines) in enumerate(zip(AS_OF, days(draw), strict=True)):
        for old in sorted((tmp_path / "in").glob("*.csv")):
            archive.mkdir(exist_ok=True)
            old.rename(archive / old.name)
        if lines:
            written(tmp_path / "in" / f"{number}.csv", lines)
        run = run_of(as_of)
        said.append("; ".join(load_order_lines(run)[1]))
        ingest_sources(run_of(as_of))
        followed.append(bring_up_to_date(run_of(as_of)))
        again = run_of(as_of)
        assert load_order_lines(again)[1] == ["nothing new"]
        assert bring_up_to_date(again) == "unchanged"
        maintained(again)
    for old in archive.iterdir():
        old.rename(tmp_path / "in" / old.name)

    assert said == ["", "20 new lines", "nothing new", "3 new lines", "2 new lines"]
    assert followed[0] == "built from all order lines: there was nothing yet"
    assert followed[2:4] == ["0 customers have new or changed order lines"] * 2
    assert_as_if_built_anew(run_of(AS_OF[-1]))
    assert_as_if_loaded_at_once(run_of(AS_OF[-1]), run_of(AS_OF[-1], root="fresh"))
    assert len(contents(tmp_path / "tables", "returns")) == 2


@pytest.mark.long
@pytest.mark.slow
def test_lines_deleted_by_hand_stay_away_and_all_others_are_as_if_loaded_at_once(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    first, second, *_, returns = days(seeded())
    written(tmp_path / "in" / "1.csv", first)
    run = run_of(AS_OF[0])
    ingest_sources(run)
    bring_up_to_date(run)
    location = run.warehouse.location(t.TRANSACTIONS)
    run.spark.sql(f"DELETE FROM delta.`{location}` WHERE customer_id = 'C3'")

    messages = load_order_lines(run_of(AS_OF[0]))[1]

    assert messages == [
        "somebody else changed the tables since batch 1 (DELETE on transactions): 4 lines fewer; the change is kept",
        "nothing new",
    ]
    assert load_order_lines(run_of(AS_OF[0]))[1] == ["nothing new"]
    written(tmp_path / "in" / "2.csv", [*second, *returns])
    run = run_of(AS_OF[1])
    ingest_sources(run)
    bring_up_to_date(run)
    assert_as_if_built_anew(run)
    batch = committed_batch(run)
    assert batch.counts.add_up
    assert batch.counts.accepted == len(read(tmp_path / "tables", "transactions"))
    assert_as_if_loaded_at_once(run, run_of(AS_OF[1], root="fresh"), without="C3")
