"""The command line: exit codes, messages, help."""

import errno
import os
import runpy
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from customer_segmentation.cli import COMMANDS, main
from tests.generated import ROOT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--config", "conf/nowhere.yml"], "conf/nowhere.yml"),
        (["run", "--config", "conf/base.yml"], "sources.transactions"),
        (["check", "--config", "conf/demo.yml", "--set", "clustering.k=1"], "clustering.k"),
        pytest.param(
            ["check", "--config", "conf/demo.yml", "--set", "sources.customers.path=/nowhere/x.parquet"],
            "/nowhere/x",
            marks=pytest.mark.classic("a server has files of its own"),
        ),
        (["check", "--config", "conf/demo.yml", "--as-of", "tomorrow"], "--as-of"),
        (
            ["run", "--config", "conf/demo.yml", "--set", "sources.customers.path=package://no_such_package/x"],
            "no_such",
        ),
        (["generate", "--config", "conf/base.yml"], "generate.path: is missing"),
    ],
)
def test_a_wrong_configuration_ends_with_2_and_one_clear_message(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)

    assert main(arguments) == 2

    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("log", ["text", "json"])
def test_the_story_of_an_error_changes_no_exit_code(log: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", "conf/nowhere.yml", "--debug", "--log", log]) == 2

    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dance"], ["run"], ["run", "--config"], ["run", "--konfig", "x"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.classic("with a server tables are claimed by a row in any case")
@pytest.mark.parametrize(("has_locks", "claimed"), [(True, []), (False, ["maintain"])])
def test_tables_are_claimed_by_a_row_where_the_file_system_knows_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool, claimed: list[str]
) -> None:
    commands = []

    def without_locks(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def claimed_tables(warehouse: object, owner: str, command: str) -> AbstractContextManager[None]:
        commands.append(command)
        return nullcontext()

    if not has_locks:
        monkeypatch.setattr("fcntl.flock", without_locks)
    monkeypatch.setattr("customer_segmentation.cli.commands.claimed_tables", claimed_tables)
    monkeypatch.setattr("customer_segmentation.cli.commands.get_session", lambda *_, **__: None)
    monkeypatch.setattr("customer_segmentation.cli.work.begin", lambda *_: SimpleNamespace(warehouse=None, claim="a"))
    monkeypatch.setattr("customer_segmentation.cli.work.write", lambda *_: None)

    assert main(["maintain", "--config", str(ROOT / "conf" / "demo.yml"), "--set", f"tables.root={tmp_path}"]) == 0

    assert commands == claimed


@pytest.mark.parametrize(
    ("job", "command"),
    {
        "run_pipeline": "run",
        "ingest_transactions": "ingest",
        "build_features": "features",
        "train_segments": "train",
        "assign_segments": "assign",
        "backtest_segments": "backtest",
        "report_segments": "report",
        "export_audience": "export",
        "roll_back_run": "rollback",
        "maintain_tables": "maintain",
        "erase_customers": "erase",
        "verify_tables": "verify",
    }.items(),
)
def test_every_job_is_a_command(job: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr("customer_segmentation.cli.entry_point", given.append)
    monkeypatch.setattr("sys.argv", [f"{job}.py", "--config", "shop.yml"])

    runpy.run_path(str(ROOT / "jobs" / f"{job}.py"), run_name="__main__")

    assert command in COMMANDS
    assert given == [[command, "--config", "shop.yml"]]
    assert f"| `{command}` | `jobs/{job}.py` |" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_job() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in (ROOT / "jobs").glob("*.py") if f"`jobs/{path.name}`" not in text] == []


def test_a_broken_configuration_is_told_without_spark() -> None:
    code = (
        "import sys\n"
        "from customer_segmentation.cli import main\n"
        "code = main(['check', '--config', 'conf/demo.yml', '--set', 'sedd=1'])\n"
        "sys.exit(99 if 'pyspark.sql.session' in sys.modules else code)"
    )

    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert ended.returncode == 2, ended.stderr
    assert "did you mean seed?" in ended.stderr


def test_a_spark_that_is_too_old_is_told_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyspark.__version__", "3.5.7")

    code = main(["run", "--config", str(ROOT / "conf" / "demo.yml")])

    assert code == 1
    assert "Spark 4.0 or newer is needed; this is Spark 3.5.7" in capsys.readouterr().err


def test_a_machine_without_java_is_told_in_one_line(tmp_path: Path) -> None:
    script = ROOT / "lib" / "customer_segmentation" / "spark" / "prerequisites.py"

    without = subprocess.run([sys.executable, str(script)], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    too_old = subprocess.run(
        [sys.executable, str(script)],
        env={"JAVA_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )

    for ended, said in ((without, "there is none on the PATH"), (too_old, "is Java 11")):
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1
        assert said in ended.stderr
        assert "Java 17 or newer is needed" in ended.stderr
