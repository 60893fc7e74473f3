"""The notebook runs from top to bottom, on small data."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.generated import ROOT

NOTEBOOK = ROOT / "notebooks" / "customer_segmentation.ipynb"


@pytest.mark.slow
def test_every_cell_runs(spark: SparkSession, generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    data = generated / "data"
    names = {
        "CONFIG": ["../conf/synthetic.yml"],
        "SETTINGS": [
            *(f"sources.{name}.path={data}/{name}" for name in ("transactions", "customers", "engagement")),
            f"tables.root={generated}/notebook",
        ],
    }
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)

    assert (generated / "notebook" / "report.html").exists()


def test_no_output_is_kept_in_it() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]

    assert all(not cell.get("outputs") for cell in cells)
