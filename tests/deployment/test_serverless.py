"""The pipeline where what serverless compute refuses is refused: nothing is persisted, no MLlib, few settings."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.csv_lines import COLUMNS, SHEET, seeded
from tests.deployment.connect_server import connect_server, serverless
from tests.generated import ROOT
from tests.pipeline.test_run_kills import delivery
from tests.pipeline.test_runs import AS_OF
from tests.warehouse import contents, read

pytestmark = [pytest.mark.slow, pytest.mark.long]

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
def server() -> Iterator[str]:
    with connect_server(conf={"spark.sql.shuffle.partitions": "2"}) as url:
        yield url


def ended(command: list[str], url: str) -> str:
    """What a program said that ran to its end on a server."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK_", "SPARK_"))}
    run = subprocess.run(
        command, cwd=ROOT, env=inherited | {"SPARK_REMOTE": url}, capture_output=True, text=True, timeout=1800
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_a_run_and_its_next_day_leave_the_tables_that_they_leave_elsewhere(server: str, tmp_path: Path) -> None:
    draw, refused = seeded(), list[str]()
    for day in range(2):
        SHEET.written(tmp_path / "in" / f"{day}.csv", delivery(draw, day + 1, first=day == 0))
        paths = {}
        for root in ("anywhere", "serverless"):
            settings = {
                "as_of": AS_OF.isoformat(),
                "sources": {"transactions": {"format": "csv", "path": str(tmp_path / "in"), "columns": COLUMNS}},
                "checks": {"max_rejected_share": 1.0},
                "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
                "tables": {"root": str(tmp_path / root)},
            }
            paths[root] = tmp_path / f"{root}-{day}.yml"
            paths[root].write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "customer_segmentation", "run", "--config"]
        ended([*command, str(paths["anywhere"])], server)
        with serverless(server, refused) as url:
            said = ended([*command, str(paths["serverless"])], url)

        assert ("without MLlib" in said) == (day == 0), said
        for name in SAME:
            assert contents(tmp_path / "serverless", name) == contents(tmp_path / "anywhere", name), name
        one, other = (read(tmp_path / root, "customer_segments") for root in ("serverless", "anywhere"))
        shared = one.merge(other, on="customer_id", suffixes=("_one", "_other"))
        assert len(shared) == len(one) == len(other)
        assert (shared.rfm_segment_one == shared.rfm_segment_other).all()
        # Another start of the same algorithm: nearly all customers are in the same segments, numbered by value.
        assert (shared.segment_id_one == shared.segment_id_other).mean() > 0.9
        assert not list((tmp_path / "serverless").glob("customer_segmentation_scratch*"))

    assert {"PERSIST TABLE", "CHECKPOINT", "MLLIB"} <= set(refused), Counter(refused)


def test_without_mllib_its_algorithms_find_segments_as_good(server: str) -> None:
    command = [sys.executable, "-c", FITS]
    with serverless(server) as url:
        own, mllib = (json.loads(ended(command, place).split("TOLD ")[1].splitlines()[0]) for place in (url, server))

    assert mllib.pop("problem") is None
    assert "NOT_SUPPORTED_WITH_SERVERLESS" in own.pop("problem")
    assert list(own) == list(mllib) == ["kmeans", "bisecting_kmeans", "gaussian_mixture"]
    for name in own:
        assert own[name]["cost"] <= mllib[name]["cost"] + 0.01 * abs(mllib[name]["cost"]), name
    for name in ("kmeans", "gaussian_mixture"):
        assert np.mean(np.array(own[name]["segments"]) == mllib[name]["segments"]) > 0.99, name
