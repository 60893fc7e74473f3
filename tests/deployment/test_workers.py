"""What is sent to Spark's workers runs where the library is not installed, as on those of a Connect server."""

import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.serializers import CloudPickleSerializer

from customer_segmentation.clustering.dbscan import workers
from customer_segmentation.clustering.dbscan.space import SpacePartition
from customer_segmentation.ingest import returns

RUN = """
import pickle, sys
function, argument, is_generator = pickle.load(sys.stdin.buffer)
result = function(iter(argument)) if is_generator else function(argument)
pickle.dump(list(result) if is_generator else result, sys.stdout.buffer)
assert "customer_segmentation" not in sys.modules
"""
NAMES = ["_x0", "_x1"]


def points() -> pa.Table:
    draw = np.random.default_rng(5)
    columns = {name: draw.normal(size=60) for name in NAMES}
    return pa.table({**columns, workers.WEIGHT: np.ones(60, np.int64)})


def regions() -> SpacePartition:
    sample = np.column_stack([points()[name] for name in NAMES])
    return SpacePartition.cut_evenly(sample, halo=0.3, max_points=20)


def returned_lines() -> list[pa.RecordBatch]:
    lines = [
        returns.Line("ann", "tea", 1, False, 11, "O1", 2000, 500),
        returns.Line("ann", "tea", 2, True, 12, "O2", -1000, -250),
    ]
    return pa.Table.from_pylist([line._asdict() for line in lines]).to_batches()


def in_a_region() -> pa.Table:
    table = points()
    added = {
        workers.REGION: np.zeros(60, np.int32),
        workers.HOME: np.ones(60, bool),
        workers.SHARED: np.zeros(60, bool),
    }
    for name, values in added.items():
        table = table.append_column(name, pa.array(values))
    return table


SENT: dict[str, tuple[Callable[..., Any], Any, bool]] = {
    "returns": (returns._matched, returned_lines(), True),
    "regions of points": (workers.routing(regions(), NAMES, 0.3), points().to_batches(), True),
    "clusters of a region": (workers.clustering(NAMES, 0.5, 4), in_a_region(), False),
    "distances to neighbours": (
        workers.neighbour_distances(np.zeros((1, 2)), NAMES, 5),
        points().to_batches(),
        True,
    ),
    "nearest core points": (
        workers.assigning(np.zeros((1, 2)), np.zeros(1, np.int64), np.ones(1, np.int32), 0.5),
        [pa.array([{"x": 0.1, "y": 0.2}, {"x": 5.0, "y": 5.0}])],
        True,
    ),
}


@pytest.mark.parametrize("name", SENT)
def test_a_worker_needs_no_library(bare_python: Path, name: str) -> None:
    function, argument, is_generator = SENT[name]
    sent = CloudPickleSerializer().dumps((function, argument, is_generator))

    done = subprocess.run([str(bare_python), "-c", RUN], input=sent, capture_output=True, check=False)

    assert done.stderr.decode() == ""
    here = list(function(iter(argument))) if is_generator else function(argument)
    assert pickle.loads(done.stdout) == here
