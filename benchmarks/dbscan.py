"""DBSCAN against scikit-learn's: the kernel in memory, a Delta table to labels in one, and two executors against one.

`python -m benchmarks.dbscan WAY MASTER FOLDER` is one of the runs from table to table, in a process of its own so that
its memory can be told; it prints a line of JSON. The way is `ours`, `scikit-learn`, or `tasks`: ours without the driver
clustering by itself, done before it is measured, since each executor has its own virtual machine to warm up.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.measuring import Comparison, compared, timed
from customer_segmentation.clustering.dbscan import DBSCAN
from customer_segmentation.clustering.dbscan.eps import knee
from customer_segmentation.clustering.dbscan.kernel import clusters
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session

MIN_SAMPLES = 10
LINES_PER_CUSTOMER = 10
IN_MEMORY = 5
"""The table has this many times the points that the kernel is measured with."""

WARMING = 2
COLUMNS = ["x0", "x1", "x2"]
DRIVER = "local[2]"
ONE, TWO = "local-cluster[1,1,1500]", "local-cluster[2,1,1500]"
ROOT = Path(__file__).parents[1]


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """The kernel with lines / 50 points, tables with lines / 10."""
    customers = lines // LINES_PER_CUSTOMER
    points = customers // IN_MEMORY
    return [
        _kernel("3 columns", blobs(points, 3), limit=1 / 3, runs=runs),
        _kernel("5 columns", blobs(points, 5), limit=1 / 3, runs=runs),
        _kernel("recency, frequency, spend", rfm(points), limit=1 / 8, runs=runs),
        *_tables(customers, runs),
    ]


def blobs(n: int, d: int) -> np.ndarray:
    """Twenty normal clusters of spread 1, and a twentieth of the points anywhere."""
    g = np.random.default_rng(0)
    centers = g.uniform(-20, 20, (20, d))
    points = centers[g.integers(20, size=n)] + g.normal(size=(n, d))
    points[: n // 20] = g.uniform(-25, 25, (n // 20, d))
    return points


def rfm(n: int) -> np.ndarray:
    """Recency in days, purchases and spend of customers, shaped and scaled; half of the rows are copies of others."""
    g = np.random.default_rng(0)
    n_first = n - n // 2
    recency = np.minimum(g.exponential(90, n_first).astype(int), 730)
    frequency = 1 + g.negative_binomial(1, 0.35, n_first)
    spend = np.round(np.exp(g.normal(3, 0.6, n_first)) * frequency, 2)
    first = np.stack([recency / 90, np.log1p(frequency), np.log1p(spend)], axis=1)
    return np.concatenate([first, first[g.integers(n_first, size=n // 2)]])


def collapsed(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each point its position among the distinct ones; of these the first place and how many they are."""
    position = pd.DataFrame(points).groupby(list(range(points.shape[1])), sort=False).ngroup().to_numpy()
    return position, np.unique(position, return_index=True)[1], np.bincount(position)


def eps_of(points: np.ndarray) -> float:
    """The knee of the distances to the neighbour that makes a point core, as `eps="auto"` takes it."""
    from scipy.spatial import cKDTree

    distinct = points[collapsed(points)[1]]
    queries = np.random.default_rng(1).choice(len(distinct), min(2000, len(distinct)), replace=False)
    distances = np.sort(cKDTree(points).query(distinct[queries], k=[MIN_SAMPLES])[0][:, 0])
    return knee(distances[distances > 0])


def _kernel(name: str, points: np.ndarray, *, limit: float, runs: int) -> Comparison:
    eps = eps_of(points)

    def ours() -> None:
        position, first, weights = collapsed(points)
        found = clusters(points[first], weights=weights, order=first, eps=eps, min_samples=MIN_SAMPLES, workers=-1)
        found.core[position], found.labels[position]

    what = f"DBSCAN of {len(points):,} points in memory, {name}"
    peer = ("scikit-learn, all cores", lambda: _scikit_learn(points, eps))
    return compared(what, ours, peer=peer, items=len(points), limit=limit, runs=runs)


def _scikit_learn(points: np.ndarray, eps: float) -> np.ndarray:
    from sklearn import cluster

    labels: np.ndarray = cluster.DBSCAN(eps=eps, min_samples=MIN_SAMPLES, n_jobs=-1).fit(points).labels_
    return labels


def _tables(customers: int, runs: int) -> list[Comparison]:
    with tempfile.TemporaryDirectory(prefix="bench-dbscan-") as folder:
        points = blobs(customers, 3)
        (Path(folder) / "eps.json").write_text(json.dumps(eps_of(points)))
        _run("write", DRIVER, folder, customers)
        turns = [
            {
                way: _run(*way, folder)
                for way in (("scikit-learn", DRIVER), ("ours", DRIVER), ("tasks", ONE), ("tasks", TWO))
            }
            for _ in range(runs)
        ]

    def seconds(*way: str) -> list[float]:
        return [turn[way]["seconds"] for turn in turns]

    def peak(*way: str) -> str:
        return f"{max(turn[way]['peak'] for turn in turns) / 2**30:.1f} GB"

    ours, theirs = ("ours", DRIVER), ("scikit-learn", DRIVER)
    one, two = ("tasks", ONE), ("tasks", TWO)
    what = f"DBSCAN of {customers:,} x 3, Delta to Delta"
    peer = f"collect, scikit-learn, {peak(*theirs)}"
    return [
        Comparison(f"{what}, {peak(*ours)}", peer, customers, 1.0, seconds(*ours), seconds(*theirs)),
        Comparison(
            f"{what} by tasks, warm, two executors", "one executor", customers, 1.0, seconds(*two), seconds(*one)
        ),
    ]


def _run(way: str, master: str, folder: str, customers: int = 0) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.dbscan", way, master, folder, str(customers)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{way} on {master} failed:\n{ended.stderr[-3000:]}")
    told: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    Console(stderr=True).print(way, master, told)
    return told


def _session(master: str) -> SparkSession:
    path = os.pathsep.join([str(ROOT / "lib"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    cluster = {"spark.executorEnv.PYTHONPATH": path, "spark.executor.memory": "1200m"} if "cluster" in master else {}
    return get_session(Spark(master=master, driver_memory="2g", shuffle_partitions=2, conf=cluster))


def _one(way: str, master: str, folder: Path, customers: int) -> None:
    spark = _session(master)
    source, target = str(folder / "features"), str(folder / f"labels-{way}")
    if way == "write":
        table = pd.DataFrame(blobs(customers, 3), columns=COLUMNS)
        table.insert(0, "customer_id", [f"C{i:08d}" for i in range(customers)])
        spark.createDataFrame(table).write.format("delta").save(source)
        print(json.dumps({}))
        return
    eps = json.loads((folder / "eps.json").read_text())

    def work() -> None:
        features = spark.read.format("delta").load(source)
        if way == "scikit-learn":
            table = features.toPandas()
            table["segment_id"] = _scikit_learn(table[COLUMNS].to_numpy(), eps)
            labels = spark.createDataFrame(table[["customer_id", "segment_id"]])
        else:
            estimator = DBSCAN(eps, MIN_SAMPLES, max_driver_points=0) if way == "tasks" else DBSCAN(eps, MIN_SAMPLES)
            labels = estimator.fit(features, columns=COLUMNS).assign(features).select("customer_id", "segment_id")
        labels.write.format("delta").mode("overwrite").save(target)

    for _ in range(WARMING if way == "tasks" else 0):
        work()
    with _peak_memory() as peak:
        seconds = timed(work)[0]
    print(json.dumps({"seconds": seconds, "peak": peak()}))


@contextmanager
def _peak_memory() -> Iterator[Callable[[], int]]:
    """Bytes that this process and those it started held at most, Java and Python together, by samples."""
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.25):
            most = max(most, _resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: most
    finally:
        ended.set()
        watcher.join()


def _resident() -> int:
    """Resident bytes of this process and all below it, shared pages once per process; Linux only, else 0."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (process / "stat").read_text().rsplit(")", 1)[1].split()
            parents[int(process.name)], pages[int(process.name)] = int(after_name[1]), int(after_name[21])
        except (OSError, IndexError):
            continue
    ours = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(pages.get(one, 0) for one in ours) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    _one(arguments[0], arguments[1], Path(arguments[2]), int(arguments[3]))
