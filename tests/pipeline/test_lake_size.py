"""Many days of runs with maintenance: the tables take no more room than those of the runs that they keep.

DAYS in the environment says how many; a day takes a minute.
"""

import io
import os
import random
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config.schema import Config
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import Run, maintain
from tests.csv_lines import COLUMNS, SHEET
from tests.generated import quiet
from tests.pipeline.test_runs import AS_OF, orders
from tests.warehouse import contents, read

DAYS = int(os.environ.get("DAYS", "6"))
KEPT = 3
MOST = 1.5

pytestmark = [pytest.mark.slow, pytest.mark.long]


def bytes_below(folder: Path) -> tuple[int, int]:
    """The bytes of data and those of logs."""
    files = [(path.stat().st_size, "_delta_log" in path.parts) for path in folder.rglob("*") if path.is_file()]
    return sum(size for size, is_log in files if not is_log), sum(size for size, is_log in files if is_log)


def test_the_lake_is_bounded_by_the_runs_that_it_keeps(spark: SparkSession, tmp_path: Path) -> None:
    print("seed 21")
    draw = random.Random(21)
    sheets = [
        orders(1000 * day, range(1200) if day == 0 else range(2000 * day, 2000 * day + 20), draw) for day in range(DAYS)
    ]

    def run_of(root: str, day: int) -> Run:
        settings = {
            "as_of": AS_OF + timedelta(days=day),
            "sources": {"transactions": {"format": "csv", "path": str(tmp_path / "in"), "columns": COLUMNS}},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
            "maintenance": {"keep_runs": KEPT, "keep_versions_days": 0},
            "tables": {"root": str(tmp_path / root)},
        }
        return quiet(spark, Config.model_validate(settings))

    sizes = []
    for day in range(DAYS):
        SHEET.written(tmp_path / "in" / f"{day:02}.csv", sheets[day])
        run_pipeline(run_of("tables", day), Console(file=io.StringIO()))
        maintain(run_of("tables", day))
        sizes.append(bytes_below(tmp_path / "tables"))
        if day >= DAYS - KEPT:
            # The same lines from the start, and only the runs that are kept.
            run_pipeline(run_of("reference", day), Console(file=io.StringIO()))
        print(f"day {day}: {sizes[-1][0] / 1e6:.2f} MB of data, {sizes[-1][1] / 1e6:.2f} MB of logs", flush=True)
    maintain(run_of("reference", DAYS - 1))

    reference = bytes_below(tmp_path / "reference")
    print(f"reference: {reference[0] / 1e6:.2f} MB of data, {reference[1] / 1e6:.2f} MB of logs")
    assert sizes[-1][0] <= MOST * reference[0]
    assert sum(sizes[-1]) <= MOST * sum(reference)
    assert len(set(read(tmp_path / "tables", "customer_features").run_id)) == KEPT
    for name in ("transactions", "customer_days", "customer_history"):
        assert contents(tmp_path / "tables", name) == contents(tmp_path / "reference", name)
