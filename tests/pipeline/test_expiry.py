"""What `maintain` keeps and removes of tables that single commands write, and of what killed writes left."""

import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import Run, maintain
from customer_segmentation.stages.ingest.batch_log import Batch
from tests.csv_lines import COLUMNS, SHEET
from tests.generated import quiet
from tests.pipeline.test_runs import AS_OF, orders
from tests.warehouse import contents, read

pytestmark = pytest.mark.slow

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
BACKTESTS = [("A1", "daily", 0), ("A2", "daily", 1), ("B1", "trial", 2), ("B2", "trial", 3)]


@pytest.fixture(scope="module")
def root(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `maintain` leaves of a complete run, whose rows have no `made_from` as in release 0.1.0, and more."""
    root = tmp_path_factory.mktemp("expiry")
    settings = {
        "as_of": AS_OF,
        "sources": {"transactions": {"format": "csv", "path": str(root / "in"), "columns": COLUMNS}},
        "maintenance": {"keep_runs": 1},
        "tables": {"root": str(root)},
    }
    run = quiet(spark, Config.model_validate(settings))
    of_customer = {"run_id": "R", "customer_id": "C", "as_of_date": AS_OF}
    explored = [{"run_id": f"E{day}", "as_of_date": AS_OF - timedelta(days=day)} for day in range(3)]
    tested = [
        {"run_id": run_id, "configuration": name, "tested_at": NOON + timedelta(hours=hours), "value": 1.0}
        for run_id, name, hours in BACKTESTS
    ]
    rows = {
        t.INGEST_BATCHES: [Batch(7, "b", "committed", "incremental", [], 5, AS_OF, [], "d").to_row()],
        t.INGESTED_FILES: [{"batch_number": number} for number in (3, 5, 7)],
        t.PIPELINE_RUNS: [{"run_id": "R", "as_of_date": AS_OF, "model_version": "M", "status": "complete"}],
        t.CUSTOMER_FEATURES: [of_customer],
        t.CUSTOMER_SEGMENTS_HISTORY: [of_customer | {"segment_id": 1}],
        t.VALUE_MODELS: [{"made_from": "of an expired run"}],
        t.BACKTESTS: tested,
        t.DATA_PROFILE: explored,
        t.DATA_DISTRIBUTIONS: explored,
        t.TABLE_VERSIONS: [{"table_name": "engagement", "version": 3}],
    }
    for table, written in rows.items():
        run.warehouse.append_rows(table, written)
    for name in ("rejected_customers", "engagement"):
        (root / name / "_delta_log").mkdir(parents=True)
        (root / name / "part-0.parquet").write_text("customers")
    maintain(run)
    return root


def test_rows_of_an_earlier_release_do_not_keep_it_from_its_work(root: Path) -> None:
    assert read(root, "value_models").empty
    assert list(read(root, "customer_features").run_id) == ["R"]


def test_the_newest_backtest_of_each_set_of_settings_stays(root: Path) -> None:
    assert set(read(root, "backtests").run_id) == {"A2", "B2"}


def test_explorations_and_lists_of_files_do_not_grow_for_ever(root: Path) -> None:
    assert [set(read(root, name).run_id) for name in ("data_profile", "data_distributions")] == [{"E0"}, {"E0"}]
    assert sorted(read(root, "ingested_files").batch_number) == [5, 7]


def test_files_of_a_table_that_was_never_made_are_removed_and_those_of_a_lost_log_stay(root: Path) -> None:
    assert not (root / "rejected_customers").exists()
    assert (root / "engagement" / "part-0.parquet").exists()


@pytest.mark.long
def test_an_expired_run_is_not_made_anew_without_the_run_that_it_was_compared_with(
    spark: SparkSession, tmp_path: Path
) -> None:
    SHEET.written(tmp_path / "in" / "1.csv", orders(0, range(60), random.Random(3)))

    def run_of(day: int) -> Run:
        settings = {
            "as_of": AS_OF + timedelta(days=day),
            "sources": {"transactions": {"format": "csv", "path": str(tmp_path / "in"), "columns": COLUMNS}},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
            "maintenance": {"keep_runs": 1},
            "tables": {"root": str(tmp_path / "tables")},
        }
        return quiet(spark, Config.model_validate(settings))

    runs = []
    for day in range(4):
        run = run_of(day)
        run_pipeline(run, Console(file=io.StringIO()))
        runs.append(run.run_id)
    maintain(run_of(3))
    moved = contents(tmp_path / "tables", "segment_transitions")

    with pytest.raises(ConfigurationError, match=f"run {runs[1]} has expired, and so has {runs[0]}, which it is"):
        run_pipeline(run_of(1), Console(file=io.StringIO()))

    assert contents(tmp_path / "tables", "segment_transitions") == moved
