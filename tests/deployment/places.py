"""Runs the pipeline where users run it: a local process, spark-submit on a cluster, a Spark Connect server."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection
from pathlib import Path

from deltalake import DeltaTable

from tests.generated import ROOT
from tests.warehouse import contents, read

COMPARED = ["transactions", "customer_features", "customer_segments", "segment_profiles", "model_runs", "pipeline_runs"]
ARTEFACT = "dist/customer_segmentation.zip"


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that does not join the suite's own session, whose gateway is in it."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK_", "SPARK_"))} | more


def started(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end from the project's root, and show what it said where it failed."""
    return _ended(command, environment(**more))


def _ended(command: list[str], own: dict[str, str]) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=1800)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def settings(data: Path, root: Path) -> list[str]:
    """The arguments of a command on a small generated shop."""
    chosen = {
        "generate.path": data,
        "generate.lines": 6000,
        "generate.customers": 300,
        **{f"sources.{name}.path": data / name for name in ("transactions", "customers", "engagement")},
        "tables.root": root,
        "report.path": root / "report.html",
        "clustering.k_max": 6,
        "spark.master": "local[2]",
        "spark.driver_memory": "2g",
    }
    return ["--config", "conf/synthetic.yml", *(f"--set={key}={value}" for key, value in chosen.items())]


def without_the_library(folder: Path) -> Path:
    """A Python with the installed dependencies but not this library, which then comes from the packaged zip only."""
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # A path named in a .pth file is searched, but the .pth files in it, the editable install among them, are not.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "bin" / "python"
    told = subprocess.run([str(python), "-c", "import customer_segmentation"], capture_output=True, text=True)
    assert "ModuleNotFoundError" in told.stderr, "the library must not be installed here"
    return python


def of_spark(script: str) -> str:
    """One of Spark's own scripts."""
    return str(Path(sysconfig.get_path("scripts")) / script)


def submission(python: Path, master: str, script: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command that submits a script with the built artefact, and its environment.

    Args:
        python: of the driver and the workers.
        master: such as spark://127.0.0.1:7077.
    """
    jars = started([sys.executable, "-m", "customer_segmentation.spark.jars"]).stdout.strip()
    conf = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    }
    command = [
        of_spark("spark-submit"),
        *("--master", master, "--jars", jars, "--py-files", ARTEFACT),
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        script,
        *arguments,
    ]
    own = {"PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1"}
    return command, environment(**own)


def spark_submit(python: Path, master: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Submit a script with the built artefact, and show what it said where it failed."""
    return _ended(*submission(python, master, script, *arguments))


def assert_same_tables(one: Path, other: Path, *, without: Collection[str] = ()) -> None:
    """Two runs have left the same rows, whichever commands they were, under the same schemas with their comments.

    Args:
        without: columns that are not compared.
    """
    for name in COMPARED:
        left, right = (contents(root, name, without=["command", *without]) for root in (one, other))
        assert left == right, name
    assert len(read(one, "customer_segments")) > 250
    for name in COMPARED:
        assert DeltaTable(str(one / name)).schema().to_json() == DeltaTable(str(other / name)).schema().to_json()
