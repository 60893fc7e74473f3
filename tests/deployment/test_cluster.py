"""Every job, submitted to a standalone cluster whose workers have nothing of the project but the built artefact."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyspark
import pytest

from tests.csv_lines import seeded
from tests.deployment.connect_server import free_port
from tests.deployment.places import assert_same_tables, environment, of_spark, settings, spark_submit, submission
from tests.generated import ROOT
from tests.warehouse import read

pytestmark = [pytest.mark.slow, pytest.mark.long]

WORKERS = 2


@dataclass(frozen=True)
class Cluster:
    """The address of a master, and the processes of its workers."""

    master: str
    workers: list[int]

    def executors(self) -> list[int]:
        """The processes of the executors that work now."""
        parents = ",".join(map(str, self.workers))
        listed = subprocess.run(["pgrep", "--parent", parents], capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master with two workers, in processes of their own that work in a folder of their own."""
    folder, port = tmp_path_factory.mktemp("standalone"), free_port()
    address = f"spark://127.0.0.1:{port}"
    of_workers = ("--cores", "1", "--memory", "1g", "--webui-port", "0", address)
    roles = [("master.Master", ["--port", str(port), "--webui-port", "0"])]
    roles += [("worker.Worker", ["--work-dir", str(folder / f"w{i}"), *of_workers]) for i in range(WORKERS)]
    processes = []
    with ExitStack() as stack:
        for role, arguments in roles:
            process = subprocess.Popen(
                [of_spark("spark-class"), f"org.apache.spark.deploy.{role}", "--host", "127.0.0.1", *arguments],
                cwd=folder,
                env=environment(SPARK_LOCAL_IP="127.0.0.1", SPARK_HOME=str(Path(pyspark.__file__).parent)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            processes.append(process.pid)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield Cluster(address, processes[1:])


def test_every_job_leaves_the_tables_of_a_local_run(
    data: Path, local: Path, bare_python: Path, cluster: Cluster
) -> None:
    root = data.parent / "standalone"
    arguments = settings(data, root)

    for job in ("ingest_transactions", "build_features", "train_segments", "assign_segments", "report_segments"):
        spark_submit(bare_python, cluster.master, f"jobs/{job}.py", *arguments)

    assert_same_tables(local, root)
    assert (root / "report.html").stat().st_size > 100_000
    spark_submit(bare_python, cluster.master, "jobs/backtest_segments.py", *arguments)
    assert len(read(root, "backtests"))
    gone = read(root, "customer_segments").customer_id.min()
    (root / "gone.txt").write_text(gone + "\n")
    spark_submit(
        bare_python, cluster.master, "jobs/erase_customers.py", *arguments, "--customers-file", str(root / "gone.txt")
    )
    assert gone not in set(read(root, "customer_segments").customer_id)


def test_a_run_whose_executors_are_killed_leaves_the_same_tables(
    data: Path, local: Path, bare_python: Path, cluster: Cluster
) -> None:
    draw, killed = seeded(), list[str]()
    root = data.parent / "killed"
    command, own = submission(bare_python, cluster.master, "jobs/run_pipeline.py", *settings(data, root))

    # What Python says on either, Spark says on standard output.
    with subprocess.Popen(
        command, cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            stage = next((name for name in ("features", "train", "insight") if f"INFO {name}: " in line), None)
            if stage is not None and "done" not in line and _killed_one(cluster, draw):
                killed.append(stage)

    assert process.returncode == 0
    assert len(killed) >= 2, killed
    assert_same_tables(local, root)


def _killed_one(cluster: Cluster, draw: random.Random) -> bool:
    running = cluster.executors()
    if running:
        os.kill(draw.choice(running), signal.SIGKILL)
    return bool(running)
