"""The same run in three places: local mode, executors in other processes, Spark Connect."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.generated import ROOT
from tests.warehouse import contents, read

pytestmark = pytest.mark.slow

COMPARED = ["transactions", "customer_features", "customer_segments", "segment_profiles", "model_runs", "pipeline_runs"]
CLUSTER = "local-cluster[2,1,1024]"


def started(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end from the project's root, and show what it said where it failed."""
    # The suite's own session leaves its gateway in the environment: a process that inherits it would join it.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK_", "SPARK_"))}
    ended = subprocess.run(command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modes") / "data"
    started([sys.executable, "-m", "customer_segmentation", "generate", *settings(folder, folder)])
    return folder


def settings(data: Path, root: Path) -> list[str]:
    chosen = {
        "generate.path": data,
        "generate.lines": 6000,
        "generate.customers": 300,
        **{f"sources.{name}.path": data / name for name in ("transactions", "customers", "engagement")},
        "tables.root": root,
        "clustering.k_max": 6,
        "spark.master": "local[2]",
        "spark.driver_memory": "2g",
    }
    return ["--config", "conf/synthetic.yml", *(f"--set={key}={value}" for key, value in chosen.items())]


@pytest.fixture(scope="module")
def local(data: Path) -> Path:
    root = data.parent / "local"
    started([sys.executable, "-m", "customer_segmentation", "run", *settings(data, root)])
    return root


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


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return without_the_library(tmp_path_factory.mktemp("bare") / "venv")


def spark_submit(python: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    jars = started([sys.executable, "-m", "customer_segmentation.spark.jars"]).stdout.strip()
    submit = Path(sysconfig.get_path("scripts")) / "spark-submit"
    conf = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    }
    return started(
        [
            str(submit),
            *("--master", CLUSTER, "--jars", jars, "--py-files", "dist/customer_segmentation.zip"),
            *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
            script,
            *arguments,
        ],
        PYSPARK_PYTHON=str(python),
        PYSPARK_DRIVER_PYTHON=str(python),
        SPARK_LOCAL_IP="127.0.0.1",
    )


def same(one: Path, other: Path) -> None:
    for name in COMPARED:
        assert contents(one, name) == contents(other, name), name
    assert len(read(one, "customer_segments")) > 250
    # the tables' schemas, comments included
    for name in COMPARED:
        assert DeltaTable(str(one / name)).schema().to_json() == DeltaTable(str(other / name)).schema().to_json()


@pytest.mark.long
def test_executors_in_other_processes_give_the_same_assignments(data: Path, local: Path, bare_python: Path) -> None:
    root = data.parent / "cluster"

    spark_submit(bare_python, "jobs/run_pipeline.py", *settings(data, root))

    same(local, root)


@pytest.mark.long
def test_spark_connect_gives_the_same_assignments(data: Path, local: Path) -> None:
    root = data.parent / "connect"

    started([sys.executable, "-m", "customer_segmentation", "run", *settings(data, root)], SPARK_REMOTE="local[2]")

    same(local, root)


@pytest.mark.long
def test_workers_import_the_library_from_the_packaged_zip(tmp_path: Path, bare_python: Path) -> None:
    script = tmp_path / "where.py"
    script.write_text(
        "from pyspark.sql import SparkSession, functions as F\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "@F.udf('string')\n"
        "def where(_):\n"
        "    import os, customer_segmentation, customer_segmentation.features.rfm_scores\n"
        "    return f'{os.getpid()} {customer_segmentation.__version__} {customer_segmentation.__file__}'\n"
        "for row in spark.range(4).repartition(4).select(where('id')).distinct().collect():\n"
        "    print('FOUND', row[0])\n"
    )

    said = spark_submit(bare_python, str(script)).stdout

    found = [line for line in said.splitlines() if line.startswith("FOUND")]
    assert found
    assert all("customer_segmentation.zip" in line for line in found), said
