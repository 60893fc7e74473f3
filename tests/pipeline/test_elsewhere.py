"""A command whose tables are in a file system that is not this machine's, under a path without a scheme."""

from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from customer_segmentation.cli import main
from tests.csv_lines import COLUMNS, SHEET
from tests.file_systems import default_file_system


@pytest.mark.slow
@pytest.mark.classic("sets the session's file system")
def test_a_page_goes_to_where_the_command_was_started_and_nothing_to_the_path_of_the_tables(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, files, here = tmp_path / "shop", tmp_path / "files-of-explore", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "40000")  # as `spark-submit` sets it
    lines = [SHEET.line(no=f"O{number}", who=f"C{number % 7}") for number in range(30)]
    source = SHEET.written(tmp_path / "in.csv", lines)
    settings = {
        "as_of": "2024-04-01",
        "sources": {"transactions": {"format": "csv", "path": source.as_uri(), "columns": COLUMNS}},
        "tables": {"root": str(root)},
    }
    config = tmp_path / "shop.yml"
    config.write_text(yaml.safe_dump(settings))

    with default_file_system(spark, path=root, files=files):
        assert main(["explore", "--config", str(config)]) == 0
        assert not root.exists()
        root.mkdir()  # by accident: no tables are in it
        assert main(["explore", "--config", str(config)]) == 0

    assert [path.name for path in here.iterdir()] == ["explore.html"]
    assert (files / "data_profile" / "_delta_log").is_dir()
    assert (files / "warehouse_claim" / "_delta_log").is_dir(), "no lock of this machine claims them"
    assert not list(root.iterdir())
