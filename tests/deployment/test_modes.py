"""The same run in three places: local mode, executors in other processes, Spark Connect."""

import sys
from pathlib import Path

import pytest

from tests.deployment.places import assert_same_tables, settings, spark_submit, started

pytestmark = [pytest.mark.slow, pytest.mark.long]

CLUSTER = "local-cluster[2,1,1024]"
NAMES_OF_FILES = ["run_id", "batch_id", "made_from", "model_version", "lines", "model"]
"""What names the files that were read: other files are another run and model. Its centres are in the profiles."""


def test_executors_in_other_processes_give_the_same_assignments(data: Path, local: Path, bare_python: Path) -> None:
    root = data.parent / "cluster"

    spark_submit(bare_python, CLUSTER, "jobs/run_pipeline.py", *settings(data, root))

    assert_same_tables(local, root)


def test_spark_connect_gives_the_same_assignments(data: Path, local: Path) -> None:
    root = data.parent / "connect"

    started([sys.executable, "-m", "customer_segmentation", "run", *settings(data, root)], SPARK_REMOTE="local[2]")

    assert_same_tables(local, root)


@pytest.mark.parametrize("partitions", [1, 8])
def test_other_partitions_and_files_in_another_order_give_the_same_tables(
    data: Path, local: Path, partitions: int
) -> None:
    root = data.parent / f"partitions{partitions}"
    shuffled = data.parent / f"shuffled{partitions}"
    started([sys.executable, "-c", SHUFFLE, str(data), str(shuffled), str(partitions)])
    own = ["--set", f"spark.shuffle_partitions={partitions}", "--set", f"sources.transactions.path={shuffled}"]

    started([sys.executable, "-m", "customer_segmentation", "run", *settings(data, root), *own])

    assert_same_tables(local, root, without=NAMES_OF_FILES)


SHUFFLE = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
given, to, parts = Path(sys.argv[1]) / "transactions", Path(sys.argv[2]), int(sys.argv[3])
to.mkdir()
table = pq.read_table(given)
table = table.take(pa.array(np.random.default_rng(parts).permutation(len(table))))
size = -(-len(table) // (parts + 1))
for place in range(parts + 1):
    pq.write_table(table.slice(place * size, size), to / f"{place}.parquet")
"""


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

    said = spark_submit(bare_python, CLUSTER, str(script)).stdout

    found = [line for line in said.splitlines() if line.startswith("FOUND")]
    assert found
    assert all("customer_segmentation.zip" in line for line in found), said
