"""Rows that are put in order by time stay in the order of what was done where the clock ran ahead and was put right."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.stages import Run, erase_customers
from customer_segmentation.stages.builds import COMMITTED, PLANNED, build_of, record_build
from tests.generated import quiet
from tests.warehouse import read

AHEAD = datetime.now(UTC) + timedelta(hours=10)
"""When the last command wrote, by a clock that was put right since."""


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    return quiet(spark, Config.model_validate({"as_of": date(2024, 3, 10), "tables": {"root": str(tmp_path)}}))


def test_a_step_of_a_table_is_later_than_those_before_also_where_another_table_was_asked_for(run: Run) -> None:
    run.warehouse.overwrite_rows(t.CUSTOMER_FEATURES, [])
    step = {"table_name": t.CUSTOMER_FEATURES.name, "status": COMMITTED, "made_from": '{"runs": ["earlier"]}'}
    run.warehouse.append_rows(t.TABLE_BUILDS, [{**step, "recorded_at": AHEAD}])

    build_of(run.warehouse, t.RETURNS)
    record_build(run, t.CUSTOMER_FEATURES, COMMITTED, {"runs": ["later"]})

    assert build_of(run.warehouse, t.CUSTOMER_FEATURES).committed == {"runs": ["later"]}


@pytest.mark.slow
def test_a_run_and_a_backtest_are_later_than_all_before(run: Run, tmp_path: Path) -> None:
    earlier, latest = {"run_id": "20240309-0", "as_of_date": date(2024, 3, 9)}, AHEAD + timedelta(hours=1)
    run.warehouse.append_rows(t.PIPELINE_RUNS, [{**earlier, "status": "complete", "finished_at": AHEAD}])
    run.warehouse.append_rows(t.BACKTESTS, [{**earlier, "configuration": "others", "tested_at": latest}])

    assert not run.publication.is_complete("20240310-0")
    assert AHEAD < run.warehouse.clock.now() < latest
    assert run.publication.is_complete("20240309-0")
    run.backtests.record("20240310-0", [{"as_of_date": date(2024, 3, 10)}])
    tested = read(tmp_path, "backtests").sort_values("tested_at")
    assert tested.run_id.tolist() == ["20240309-0", "20240310-0"]
    assert [row["run_id"] for row in run.backtests.newest] == ["20240310-0"]


@pytest.mark.slow
def test_an_erasure_that_is_brought_to_its_end_ends_after_its_plan(run: Run, tmp_path: Path) -> None:
    run.suppression.add(["C1"], receipt_id="1")
    plan = {"receipt_id": "1", "status": PLANNED, "properties": "{}", "customers_found": 0}
    run.warehouse.append_rows(t.ERASURES, [plan | {"rows_removed": {}, "rows_by_run": {}, "recorded_at": AHEAD}])

    assert erase_customers(run).receipt_id == "1"

    steps = read(tmp_path, "erasures").sort_values("recorded_at")
    assert steps.status.tolist() == [PLANNED, PLANNED, COMMITTED]
    assert run.suppression.unfinished() is None
