"""Rollback and maintenance over the runs of several days: what is published again, what expires, what stays."""

import io
import random
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import Run, build_features, build_features_of_dates, maintain, roll_back
from tests.csv_lines import COLUMNS, SHEET
from tests.generated import quiet
from tests.pipeline.test_runs import AS_OF, OF_A_RUN, orders
from tests.readers import assert_all_read_what_spark_reads
from tests.warehouse import contents, read

DAYS = 4
CHANGED = {t.CUSTOMER_FEATURES, t.CUSTOMER_SEGMENTS_HISTORY, t.PIPELINE_RUNS, t.VALUE_MODELS, t.TABLE_BUILDS}
"""Tables that a maintenance takes rows from."""
pytestmark = [pytest.mark.slow, pytest.mark.long]


def published(root: Path) -> str:
    (run_id,) = set(read(root, "customer_segments").run_id)
    return str(run_id)


def rows_of(root: Path, run_id: str) -> dict[str, int]:
    """How many rows the tables have of a run."""
    return {table.name: int((read(root, table.name).run_id == run_id).sum()) for table in OF_A_RUN}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upkeep")


@pytest.fixture(scope="module")
def run_of(spark: SparkSession, shop: Path) -> Callable[..., Run]:
    def make(day: int, command: str = "run", **sections: object) -> Run:
        settings = {
            "as_of": AS_OF + timedelta(days=day),
            "sources": {"transactions": {"format": "csv", "path": str(shop / "in"), "columns": COLUMNS}},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
            "tables": {"root": str(shop / "tables")},
        }
        run = quiet(spark, Config.model_validate({**settings, **sections}))
        return Run(spark, run.config, run.progress, command=command)

    return make


@pytest.fixture(scope="module")
def runs(shop: Path, run_of: Callable[..., Run]) -> list[str]:
    """The runs of several days, each with new customers."""
    print("seed 11")
    draw, made = random.Random(11), []
    for day in range(DAYS):
        people = range(60) if day == 0 else range(100 * day, 100 * day + 5)
        SHEET.written(shop / "in" / f"{day}.csv", orders(1000 * day, people, draw))
        run = run_of(day)
        run_pipeline(run, Console(file=io.StringIO()))
        made.append(run.run_id)
    return made


def test_the_run_before_is_published_again_and_what_was_taken_back_stays_back(
    spark: SparkSession, shop: Path, run_of: Callable[..., Run], runs: list[str]
) -> None:
    root = shop / "tables"
    before = {run_id: rows_of(root, run_id) for run_id in runs}

    assert roll_back(run_of(DAYS - 1, "rollback")) == runs[-2]
    assert published(root) == runs[-2]
    assert contents(root, "customer_segments") == [
        row for row in contents(root, "customer_segments_history") if f'"run_id": "{runs[-2]}"' in row
    ]
    newest = read(root, "publications").sort_values("published_at").iloc[-1]
    assert (newest.run_id, newest.command, newest.previous_run_id) == (runs[-2], "rollback", runs[-1])
    assert newest.configuration
    assert_all_read_what_spark_reads(spark, root)

    run_pipeline(run_of(DAYS - 1), Console(file=io.StringIO()))
    assert published(root) == runs[-2], "nothing changed since it was taken back"
    assert roll_back(run_of(DAYS - 1, "rollback"), runs[0]) == runs[0]
    run_pipeline(run_of(DAYS - 1), Console(file=io.StringIO()))
    assert published(root) == runs[0]

    rows = contents(root, "customer_segments")
    DeltaTable(root / "customer_segments").update({"segment_name": "'Somebody'"}, predicate="rank_in_segment = 1")
    assert roll_back(run_of(DAYS - 1, "rollback"), runs[0]) == runs[0]
    assert contents(root, "customer_segments") == rows, "from its history"
    for again in (lambda: run_pipeline(run_of(DAYS - 1), Console(file=io.StringIO())), lambda: roll_back(run_of(0))):
        shutil.rmtree(root / "customer_segments")
        again()
        assert contents(root, "customer_segments") == rows, "as the last rollback left it"

    assert roll_back(run_of(DAYS - 1, "rollback"), runs[-1]) == runs[-1]
    assert published(root) == runs[-1]
    run_pipeline(run_of(DAYS - 1), Console(file=io.StringIO()))
    assert published(root) == runs[-1]
    assert {run_id: rows_of(root, run_id) for run_id in runs} == before

    with pytest.raises(ConfigurationError, match=f"run 20240101-0 is none of .*{runs[-1]}"):
        roll_back(run_of(DAYS - 1, "rollback"), "20240101-0")


def test_what_is_not_kept_expires_and_the_day_after_goes_on(
    spark: SparkSession, shop: Path, run_of: Callable[..., Run], runs: list[str]
) -> None:
    root = shop / "tables"
    compared = read(root, "publications").sort_values("published_at").previous_run_id.iloc[-1]
    kept = {*runs[-2:], compared}
    # Features of dates of one's own, and what a killed run left.
    build_features_of_dates(run_of(DAYS - 1), [date(2024, 2, 1), date(2024, 3, 1)])
    series = set(read(root, "customer_features").run_id) - set(runs)
    build_features(run_of(0, features={"active_within": 400}))
    left = set(read(root, "customer_features").run_id) - set(runs) - series
    assert (len(series), len(left)) == (2, 1)
    here = [table for table in t.ALL_TABLES if (root / table.name).is_dir()]
    state = {table.name: contents(root, table.name) for table in here if table not in CHANGED}
    lines = contents(root, "customer_segments")

    maintain(run_of(DAYS - 1, "maintain", maintenance={"keep_runs": 2, "keep_versions_days": 0}))

    assert set(read(root, "customer_segments_history").run_id) == kept
    assert set(read(root, "customer_features").run_id) == kept | series
    status = read(root, "pipeline_runs").set_index("run_id").status
    assert {run_id for run_id in runs if status[run_id] == "complete"} == kept
    assert {run_id for run_id in runs if status[run_id] == "expired"} == set(runs) - kept
    assert contents(root, "customer_segments") == lines
    assert {name: contents(root, name) for name in state} == state
    assert_all_read_what_spark_reads(spark, root)
    for table in here:
        live = {Path(uri).name for uri in DeltaTable(str(root / table.name)).file_uris()}
        files = {path.name for path in (root / table.name).rglob("*.parquet") if "_delta_log" not in path.parts}
        assert files == live, f"{table.name} has files that no version needs"

    with pytest.raises(ConfigurationError, match="is none of those that are complete and kept"):
        roll_back(run_of(DAYS - 1, "rollback"), next(iter(set(runs) - kept)))
    SHEET.written(shop / "in" / "after.csv", orders(90_000, range(900, 905), random.Random(12)))
    after = run_of(DAYS)
    run_pipeline(after, Console(file=io.StringIO()))
    assert published(root) == after.run_id not in runs
    assert rows_of(root, runs[-1])["customer_features"] > 0
