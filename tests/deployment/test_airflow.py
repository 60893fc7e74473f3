"""The example for Airflow: what a real Airflow makes of it, without a scheduler and without Spark.

Airflow's many dependencies don't go together with this project's, so it has an interpreter of its own, which the
environment variable AIRFLOW_PYTHON names; `make test-airflow` makes one.
"""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from customer_segmentation.cli.options import parser
from tests.generated import ROOT

pytestmark = pytest.mark.slow

DAGS = ROOT / "deploy" / "airflow"
DAILY, MONTHLY = "customer_segmentation_daily", "customer_segmentation_monthly"

STAND_IN = """\
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(int(os.environ["EXIT_CODE"]))
"""


class StandInOperator:
    """Takes any settings, and is followed by other tasks."""

    def __init__(self, **settings: Any) -> None:
        pass

    def __rshift__(self, other: Any) -> Any:
        return other


EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")


@pytest.mark.parametrize(("home", "absent"), [EXCEPTIONS, EXCEPTIONS[::-1]])
def test_the_dags_find_the_exceptions_where_each_airflow_3_has_them(
    home: str, absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exceptions = SimpleNamespace(AirflowFailException=type("Fail", (Exception,), {}), AirflowSkipException=KeyError)
    operators = "airflow.providers.standard.operators"
    packages = ("airflow", "airflow.sdk", "airflow.providers", "airflow.providers.standard", operators, "pendulum")
    for name in packages:
        monkeypatch.setitem(sys.modules, name, MagicMock())
    monkeypatch.setitem(sys.modules, f"{operators}.bash", SimpleNamespace(BashOperator=StandInOperator))
    monkeypatch.setitem(sys.modules, home, exceptions)
    monkeypatch.setitem(sys.modules, absent, None)

    names = runpy.run_path(str(DAGS / "customer_segmentation_dags.py"))

    assert names["AirflowFailException"] is exceptions.AirflowFailException
    assert names["AirflowSkipException"] is exceptions.AirflowSkipException


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow makes of the DAGs, see airflow_report.py; `calls` has what their tasks started."""
    python = os.environ.get("AIRFLOW_PYTHON")
    if not python:
        pytest.skip("AIRFLOW_PYTHON names no interpreter that has Airflow; `make test-airflow` makes one")
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "stand_in.py").write_text(STAND_IN)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CALLS": str(folder / "calls"),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_VAR_CUSTOMER_SEGMENTATION_CONFIG": "/etc/a shop/shop.yml",
        "AIRFLOW_VAR_CUSTOMER_SEGMENTATION_RESULTS": "/var/results",
    }
    command = f"{sys.executable} {folder / 'stand_in.py'}"
    for arguments in (
        ["-m", "airflow", "db", "migrate"],
        [str(Path(__file__).with_name("airflow_report.py")), str(DAGS), command],
    ):
        ended = subprocess.run(
            [python, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=900
        )
        assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]
    line = next(line for line in ended.stdout.splitlines() if line.startswith("REPORT "))
    calls = [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
    return {**json.loads(line.removeprefix("REPORT ")), "calls": calls}


def test_airflow_imports_both_dags(airflow: dict[str, Any]) -> None:
    assert airflow["import_errors"] == {}
    assert set(airflow["dags"]) == {DAILY, MONTHLY}


def test_a_dag_runs_once_at_a_time_and_makes_up_for_no_past_day(airflow: dict[str, Any]) -> None:
    for dag in airflow["dags"].values():
        assert (dag["max_active_runs"], dag["catchup"], dag["timezone"]) == (1, False, "UTC")
    assert [airflow["dags"][name]["schedule"] for name in (DAILY, MONTHLY)] == ["0 4 * * *", "0 12 1 * *"]


def test_tasks_follow_one_another(airflow: dict[str, Any]) -> None:
    order = {name: [task["name"] for task in dag["tasks"]] for name, dag in airflow["dags"].items()}

    assert order == {DAILY: ["run", "maintain"], MONTHLY: ["features", "train", "backtest"]}
    for dag in airflow["dags"].values():
        names = [task["name"] for task in dag["tasks"]]
        assert [task["downstream"] for task in dag["tasks"]] == [*([name] for name in names[1:]), []]


def test_what_the_tasks_start_is_accepted_by_the_command_line(airflow: dict[str, Any]) -> None:
    commands = [parser().parse_args(call) for call in airflow["calls"][-5:]]

    assert [command.command for command in commands] == ["run", "maintain", "features", "train", "backtest"]
    for command in commands:
        assert command.config == ["/etc/a shop/shop.yml"]
        assert command.as_of == (None if command.command == "maintain" else "2026-03-01")
        assert command.result == Path(f"/var/results/{command.command}-2026-03-01.json")


def test_all_tasks_of_a_run_are_done_where_their_commands_are(airflow: dict[str, Any]) -> None:
    assert {state for states in airflow["done"].values() for state in states.values()} == {"success"}


def test_rejected_data_fails_a_run_at_once(airflow: dict[str, Any]) -> None:
    assert airflow["rejected"] == {
        DAILY: {"run": "failed", "maintain": "upstream_failed"},
        MONTHLY: {"features": "failed", "train": "upstream_failed", "backtest": "upstream_failed"},
    }


def test_only_what_may_end_otherwise_is_retried(airflow: dict[str, Any]) -> None:
    for endings in airflow["endings"].values():
        assert endings == {
            "0": "done",
            "1": "failed, to be retried",
            "2": "failed for good",
            "3": "failed for good",
            "4": "failed, to be retried",
        }


def test_retries_wait_longer_each_time_and_every_task_has_a_limit(airflow: dict[str, Any]) -> None:
    for task in [task for dag in airflow["dags"].values() for task in dag["tasks"]]:
        assert (task["retries"], task["first_delay"], task["grows"], task["longest_delay"]) == (5, 600, True, 3_600)
        assert 3_600 <= task["timeout"] <= 8 * 3_600


def test_the_as_of_date_is_the_shops_at_the_end_of_the_interval_or_when_triggered(airflow: dict[str, Any]) -> None:
    assert airflow["as_of_dates"] == {
        "UTC": ["2026-03-01"] * 2,
        "Asia/Tokyo": ["2026-03-02"] * 2,
        "America/New_York": ["2026-03-01"] * 2,
    }
