"""What machines are told: the result document of every command, and JSON log lines."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pyspark.sql import SparkSession

from customer_segmentation import result
from customer_segmentation.cli import COMMANDS, main
from tests.csv_lines import COLUMNS, SHEET, orders_of_two_kinds
from tests.generated import ROOT

SCHEMA = json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The configuration of a small shop with two kinds of customers."""
    lines = [*orders_of_two_kinds(range(40)), SHEET.line(who="", no="O", price="1")]
    SHEET.written(tmp_path / "in" / "1.csv", lines)
    config = {
        "as_of": "2024-03-10",
        "sources": {"transactions": {"format": "csv", "path": str(tmp_path / "in"), "columns": COLUMNS}},
        "clustering": {"k": 2, "features": ["recency_days", "frequency", "monetary"]},
        "tables": {"root": str(tmp_path / "tables")},
    }
    file = tmp_path / "shop.yml"
    file.write_text(yaml.safe_dump(config))
    return file


def document(file: Path) -> dict[str, Any]:
    """A result document, valid by the schema; nothing is left beside it."""
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(f".{file.name}")] == []
    assert data["started_at"] <= (data["finished_at"] or "9")
    return data


def test_the_schema_is_one_and_the_document_that_the_docs_show_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    text = (ROOT / "docs" / "result.md").read_text(encoding="utf-8")
    shown = json.loads(text.split("```json\n")[1].split("```")[0])

    assert [error.message for error in VALIDATOR.iter_errors(shown)] == []
    counts = shown["counts"]
    assert counts["rows_in"] == counts["rows_accepted"] + counts["rows_rejected"] + counts["rows_filtered_out"]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_tells_of_a_configuration_that_is_not_valid(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = tmp_path / "c.yml", tmp_path / "result.json"
    config.write_text("seed: -1\n")

    assert main([command, "--config", str(config), "--result", str(file)]) == 2

    told = document(file)
    assert (told["command"], told["status"], told["exit_code"]) == (command, "invalid", 2)
    assert told["error"]["type"] == "ConfigurationError"
    assert told["error"]["message"] in capsys.readouterr().err
    assert (told["run_id"], told["tables"], told["stages"]) == (None, {}, [])


def test_a_result_that_can_t_be_written_is_told_before_anything_is_done(
    tmp_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "no" / "such" / "result.json"

    assert main(["run", "--config", str(shop), "--result", str(where)]) == 2

    assert f"--result {where}: can't be written: No such file or directory" in capsys.readouterr().err
    assert not (tmp_path / "tables").exists()


def test_a_command_that_runs_has_replaced_the_result_of_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text('{"status": "done"}')

    result.CommandResult("run", file).begin()

    assert document(file)["status"] == "running"


def test_a_reader_never_sees_half_a_result(tmp_path: Path) -> None:
    file, seen, done = tmp_path / "result.json", set(), threading.Event()
    told = result.CommandResult("run", file)
    told.begin()

    def read() -> None:
        while not done.is_set():
            seen.add(json.loads(file.read_text(encoding="utf-8"))["status"])

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        told.begin()
        told.end(1, ValueError("x" * 100_000), "x" * 100_000)
    done.set()
    reader.join()

    assert seen <= {"running", "failed"}


@pytest.mark.slow
def test_a_run_tells_what_it_did_and_a_second_one_that_nothing_changed(
    spark: SparkSession,
    tmp_path: Path,
    shop: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = logging.getLogger("customer_segmentation")  # which the command has write to standard error
    monkeypatch.setattr(own, "propagate", own.propagate)
    monkeypatch.setattr(own, "handlers", own.handlers)
    file = tmp_path / "result.json"
    run = ["run", "--config", str(shop), "--result", str(file)]

    assert main(run) == 0

    told = document(file)
    assert (told["status"], told["exit_code"], told["error"]) == ("done", 0, None)
    assert told["as_of_date"] == "2024-03-10"
    assert told["run_id"] == told["published_run_id"]
    assert told["run_id"].startswith("20240310-")
    assert told["model_version"].startswith("kmeans-20240310-")
    assert (told["outcome"], told["alerts"]) == ("ok", [])
    assert told["counts"] == {"rows_in": 161, "rows_accepted": 160, "rows_rejected": 1, "rows_filtered_out": 0}
    rows = {stage["name"]: stage["rows"] for stage in told["stages"]}
    assert list(rows) == ["ingest", "returns", "features", "train", "assign", "insight", "publish", "report"]
    assert (rows["ingest"], rows["features"], rows["train"], rows["publish"]) == (161, 40, 40, 40)
    assert all(Path(path).is_dir() for path in told["tables"].values())
    assert "customer_segments" in told["tables"]
    assert Path(told["report"]).is_file()
    assert "C1" not in file.read_text().replace("COLUMNS", "")

    assert main([*run, "--set", "checks.max_rejected_share=0.001", "--set", "ingest.reload=true"]) == 3

    told_again = document(file)
    assert (told_again["status"], told_again["exit_code"]) == ("rejected", 3)
    assert told_again["published_run_id"] == told["run_id"]
    assert told_again["stages"][-1]["status"] == "failed"

    assert main([*run, "--set", "alerts.min_customers.stop=100", "--as-of", "2024-03-11"]) == 3

    stopped = document(file)
    assert (stopped["status"], stopped["outcome"]) == ("stopped", "stop")
    assert stopped["run_id"] != stopped["published_run_id"] == told["run_id"]
    assert [alert["name"] for alert in stopped["alerts"]] == ["min_customers"]
    assert "40 customers" in stopped["error"]["message"]
    assert "despite_alerts" in capsys.readouterr().err


@pytest.mark.slow
def test_all_that_comes_on_standard_error_is_json_where_it_is_asked_for(tmp_path: Path, shop: Path) -> None:
    arguments = ["ingest", "--config", str(shop), "--log", "json", "--set", "spark.driver_memory=1g"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}

    ended = subprocess.run(
        [sys.executable, "-m", "customer_segmentation", *arguments], capture_output=True, text=True, env=environment
    )
    failed = subprocess.run(
        [sys.executable, "-m", "customer_segmentation", *arguments, "--set", "seed=-1"],
        capture_output=True,
        text=True,
        env=environment,
    )

    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert all({"ts", "level", "command", "message"} <= set(line) for line in lines)
    assert {line["command"] for line in lines} == {"ingest"}
    stages = [(line["stage"], line["event"], line["rows"]) for line in lines if "stage" in line]
    assert stages[:2] == [("ingest", "start", None), ("ingest", "end", 161)]
    assert all((line["seconds"] is None) == (line["event"] == "start") for line in lines if "stage" in line)
    (line,) = map(json.loads, failed.stderr.splitlines())
    assert (line["level"], failed.returncode) == ("ERROR", 2)
    assert "seed: must be" in line["message"]
