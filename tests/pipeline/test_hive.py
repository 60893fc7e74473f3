"""Tables by name in a Hive metastore, by the command line: days, an erasure, and what verifies them."""

import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tests.csv_lines import COLUMNS, SHEET
from tests.generated import ROOT
from tests.pipeline.test_runs import AS_OF, orders
from tests.warehouse import read

SCHEMA = "shop"


@pytest.mark.long
@pytest.mark.slow
def test_days_and_an_erasure_in_a_hive_metastore(tmp_path: Path) -> None:
    database = f"jdbc:derby:;databaseName={tmp_path}/metastore;create=true"
    settings = {
        "sources": {"transactions": {"format": "csv", "path": str(tmp_path / "in"), "columns": COLUMNS}},
        "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
        "tables": {"root": None, "schema": SCHEMA},
        "report": {"path": str(tmp_path / "report.html")},
        "spark": {
            "master": "local[2]",
            "shuffle_partitions": 2,
            "driver_memory": "1g",
            "conf": {
                "spark.sql.catalogImplementation": "hive",
                "spark.hadoop.javax.jdo.option.ConnectionURL": database,
                "spark.sql.warehouse.dir": str(tmp_path / "tables"),
                "spark.driver.extraJavaOptions": f"-Dderby.system.home={tmp_path} -XX:TieredStopAtLevel=1",
            },
        },
    }
    config = tmp_path / "hive.yml"
    config.write_text(yaml.safe_dump(settings))
    root = tmp_path / "tables" / f"{SCHEMA}.db"

    def command(*arguments: str) -> None:
        whole = [sys.executable, "-m", "customer_segmentation", *arguments, "--config", str(config)]
        ended = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr

    def customers() -> set[str]:
        rows = read(root, "customer_segments")
        assert rows.run_id.nunique() == 1
        return set(rows.customer_id)

    draw = random.Random(8)
    for day, people in enumerate((range(60), range(100, 103), range(200, 202))):
        SHEET.written(tmp_path / "in" / f"{day}.csv", orders(1000 * day, people, draw))
        command("run", "--as-of", str(AS_OF + timedelta(day)))
        assert {f"C{number}" for number in people} <= customers()
        if day == 1:
            command("erase", "--customer", "C7")
    assert len(customers()) == 64
    assert "C7" not in customers()
    command("verify")
