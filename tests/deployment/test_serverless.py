"""The pipeline where what serverless compute refuses is refused: nothing is persisted, no MLlib, few settings."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

from customer_segmentation.scratch import NAME
from tests.csv_lines import COLUMNS, SHEET, seeded
from tests.deployment.connect_server import connect_server, serverless
from tests.deployment.places import started
from tests.pipeline.test_run_kills import delivery
from tests.pipeline.test_runs import AS_OF
from tests.warehouse import contents, read

pytestmark = [pytest.mark.slow, pytest.mark.long]

IN_MEMORY = {"spark.databricks.delta.catalog.update.enabled": "false"}
"""A catalog in memory can't take a new schema of a table that is partitioned by another column than its last."""
SAME = ["transactions", "rejected_transactions", "returns", "customer_days", "customer_history"]
FITS = """
import json, sys
import numpy as np
from pyspark.sql import SparkSession
import customer_segmentation as cs
from customer_segmentation.spark.mllib import mllib_problem
spark = SparkSession.builder.getOrCreate()
draw = np.random.default_rng(7)
centers = [(0, 0), (6, 1), (2, 7), (9, 9)]
sizes = (150, 300, 450, 600)
points = np.concatenate([draw.normal(center, (1.0, 0.6), (size, 2)) for center, size in zip(centers, sizes)])
rows = [(f"C{place:05}", *map(float, point)) for place, point in enumerate(points)]
frame = spark.createDataFrame(rows, "customer_id string, a double, b double")
told = {"problem": mllib_problem(spark)}
for estimator_class in (cs.KMeans, cs.BisectingKMeans, cs.GaussianMixture):
    estimator = estimator_class(k=4, bootstraps=0)
    model = estimator.fit(frame, columns=["a", "b"])
    assigned = model.assign(frame).select("customer_id", "segment_id").orderBy("customer_id").toPandas()
    cost = -model.log_likelihood_ if hasattr(model, "log_likelihood_") else model.cost_
    told[model.algorithm] = {"cost": cost, "segments": assigned.segment_id.tolist()}
print("TOLD", json.dumps(told))
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server has the tables that have a name."""
    return tmp_path_factory.mktemp("named")


@pytest.fixture(scope="module")
def server(warehouse: Path) -> Iterator[str]:
    conf = {"spark.sql.shuffle.partitions": "2", "spark.sql.warehouse.dir": str(warehouse), **IN_MEMORY}
    with connect_server(conf=conf) as url:
        yield url


def said_by(command: list[str], url: str) -> str:
    """What a program said that ran to its end on a server."""
    run = started(command, SPARK_REMOTE=url)
    return run.stdout + run.stderr


class Watch:
    """Sees which scratch tables come and go in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: set[str] = set()

    def now(self) -> set[str]:
        return {path.name for path in self._folder.glob(f"{NAME}*")}

    @contextmanager
    def watching(self) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                self.seen |= self.now()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def people(count: int) -> str:
    return "who,a town\n" + "".join(f"C{number},Town {number % 7}\n" for number in range(count))


def test_a_run_and_its_next_day_leave_the_tables_that_they_leave_elsewhere(
    server: str, warehouse: Path, tmp_path: Path
) -> None:
    draw, refused = seeded(11), list[str]()
    watch = Watch(warehouse / "shop.db")
    (tmp_path / "people.csv").write_text(people(60))
    for day in range(2):
        SHEET.written(tmp_path / "in" / f"{day}.csv", delivery(draw, day + 1, first=day == 0))
        text = (tmp_path / "in" / f"{day}.csv").read_text()
        (tmp_path / "in" / f"{day}.csv").write_text(text.replace("who,", "Customer ID,", 1))
        paths = {}
        for place, tables in (("elsewhere", {"root": str(tmp_path / "tables")}), ("serverless", {"schema": "shop"})):
            settings = {
                "as_of": AS_OF.isoformat(),
                "sources": {
                    "transactions": {
                        "format": "csv",
                        "path": str(tmp_path / "in"),
                        "columns": COLUMNS | {"customer_id": "`Customer ID`"},
                    },
                    "customers": {
                        "format": "csv",
                        "path": str(tmp_path / "people.csv"),
                        "columns": {"customer_id": "who", "town": "`a town`"},
                    },
                },
                "checks": {"max_rejected_share": 1.0},
                "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
                "report": {"path": str(tmp_path / f"{place}.html")},
                "tables": {"root": None, **tables},
            }
            paths[place] = tmp_path / f"{place}-{day}.yml"
            paths[place].write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "customer_segmentation", "run", "--config"]
        said_by([*command, str(paths["elsewhere"])], server)
        with serverless(server, refused) as url, watch.watching():
            said = said_by([*command, str(paths["serverless"])], url)

        assert ("without MLlib" in said) == (day == 0), said
        own, other = warehouse / "shop.db", tmp_path / "tables"
        for name in SAME:
            assert contents(own, name) == contents(other, name), name
        one, two = (read(root, "customer_segments") for root in (own, other))
        shared = one.merge(two, on="customer_id", suffixes=("_one", "_two"))
        assert len(shared) == len(one) == len(two)
        assert (shared.rfm_segment_one == shared.rfm_segment_two).all()
        # Another start of the same algorithm, on three kinds of customers that are far apart.
        assert (shared.segment_id_one == shared.segment_id_two).mean() > 0.9
        assert watch.seen
        assert not watch.now()

    assert {"PERSIST TABLE", "CHECKPOINT", "MLLIB"} <= set(refused), Counter(refused)


def test_without_mllib_its_algorithms_find_segments_as_good(server: str) -> None:
    command = [sys.executable, "-c", FITS]
    with serverless(server) as url:
        own, mllib = (json.loads(said_by(command, place).split("TOLD ")[1].splitlines()[0]) for place in (url, server))

    assert mllib.pop("problem") is None
    assert "NOT_SUPPORTED_WITH_SERVERLESS" in own.pop("problem")
    assert list(own) == list(mllib) == ["kmeans", "bisecting_kmeans", "gaussian_mixture"]
    for name in own:
        assert own[name]["cost"] <= mllib[name]["cost"] + 0.01 * abs(mllib[name]["cost"]), name
    for name in ("kmeans", "gaussian_mixture"):
        assert np.mean(np.array(own[name]["segments"]) == mllib[name]["segments"]) > 0.99, name
