"""What choosing the number of segments costs, exact on all rows: against a fit and an evaluator for each."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyspark.ml.clustering import KMeans as MLlibKMeans
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession

from benchmarks.measuring import Comparison
from customer_segmentation.clustering.fitting import TrainingData
from customer_segmentation.clustering.kmeans.refinement import refit
from customer_segmentation.clustering.selection.choice import Choice, choose
from customer_segmentation.clustering.selection.coreset import coreset
from customer_segmentation.config.schema import Clustering, Spark
from customer_segmentation.preparation import identity_preparation
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.spark.session import get_session

DIMENSIONS = 8
KS = range(2, 17)
SEED = 42
CHOOSING = 1 / 25
WITH_REFIT = 1 / 8
COST = 1.01


@dataclass
class Loop:
    """The usual loop: seconds by k, and the cost of each fit."""

    seconds: dict[int, float]
    costs: dict[int, float]


def measure(*, lines: int, runs: int, ks: range = KS) -> list[Comparison]:
    """Choosing from k = 2..16 for a customer per ten lines, then choosing with the refit, then the cost that is left.

    The loop takes many minutes: it is gone through once, after one unmeasured fit; ours `runs` times.
    """
    customers = max(1000, lines // 10)
    spark = get_session(Spark(driver_memory="6g"))
    with tempfile.TemporaryDirectory(prefix="bench-choice-") as folder:
        _write(spark, Path(folder), customers)
        frame = spark.read.parquet(folder)
        names = [f"x{j}" for j in range(DIMENSIONS)]
        preparation = identity_preparation(names)
        inputs = preparation.outputs
        points = preparation.transform(frame).select("customer_id", *inputs)
        with persisted(points) as kept:
            kept.count()
            settings = Clustering(k_min=ks[0], k_max=ks[-1])
            choosing, refitting, costs = [], [], []
            for run in range(runs + 1):  # the first is not measured
                started = time.perf_counter()
                drawn = coreset(kept, inputs, size=settings.sample_size, seed=SEED, by="customer_id")
                data = TrainingData(frame, kept, preparation, drawn)
                choice = _choose(data, settings)
                chosen = time.perf_counter()
                model = refit(data, choice, settings, SEED)
                if run:
                    choosing.append(chosen - started)
                    refitting.append(time.perf_counter() - started)
                    costs.append(model.cost_)
                    print(f"k={choice.candidate.k}: {choosing[-1]:.1f} s, with refit {refitting[-1]:.1f} s", flush=True)
            loop = _loop(kept, inputs, ks)
    whole = sum(loop.seconds.values())
    k = choice.candidate.k
    what = f"{customers:,} customers x {DIMENSIONS}, k = {ks[0]}..{ks[-1]}"
    peer = "MLlib and evaluator"
    return [
        Comparison(f"choose of {what}", peer, customers, CHOOSING, choosing, [whole] * runs),
        Comparison(f"choose and refit of {what}", peer, customers, WITH_REFIT, refitting, [whole] * runs),
        Comparison(f"cost at k = {k}, not seconds", "MLlib", customers, COST, costs, [loop.costs[k]] * runs),
    ]


def _choose(data: TrainingData, settings: Clustering) -> Choice:
    choice = choose(
        data.points,
        data.inputs,
        data.coreset,
        ks=range(settings.k_min, settings.k_max + 1),
        algorithms=["kmeans"],
        smallest_share=settings.smallest_share,
        seed=SEED,
    )
    assert choice is not None
    return choice


def _loop(points: DataFrame, inputs: list[str], ks: range) -> Loop:
    """MLlib as its guide shows it: default iterations and tolerance, on persisted vectors."""
    assembled = VectorAssembler(inputCols=inputs, outputCol="features").transform(points).select("features")
    loop = Loop({}, {})
    with persisted(assembled) as vectors:
        vectors.count()
        MLlibKMeans(k=2, seed=SEED, maxIter=1).fit(vectors)
        for k in ks:
            started = time.perf_counter()
            model = MLlibKMeans(k=k, seed=SEED).fit(vectors)
            ClusteringEvaluator().evaluate(model.transform(vectors))
            loop.seconds[k] = time.perf_counter() - started
            loop.costs[k] = model.summary.trainingCost
            print(f"loop k={k}: {loop.seconds[k]:.1f} s", flush=True)
    return loop


def _write(spark: SparkSession, folder: Path, customers: int) -> None:
    """Ten overlapping segments, written once; rows of NumPy, so that they are the same everywhere."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(SEED)
    centers = generator.normal(size=(10, DIMENSIONS)) * 2
    per_file = -(-customers // 8)
    for part, start in enumerate(range(0, customers, per_file)):
        rows = min(per_file, customers - start)
        points = centers[generator.integers(10, size=rows)] + generator.normal(size=(rows, DIMENSIONS))
        ids = pa.array([f"C{i:09d}" for i in range(start, start + rows)])
        table = pa.table({"customer_id": ids} | {f"x{j}": points[:, j] for j in range(DIMENSIONS)})
        pq.write_table(table, folder / f"part-{part}.parquet")
