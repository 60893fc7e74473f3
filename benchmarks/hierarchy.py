"""Hierarchical clustering against scikit-learn's Birch on the same rows, and against SciPy's Ward on few."""

import tempfile
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import Birch

from benchmarks.measuring import Comparison, timed
from customer_segmentation.clustering import AgglomerativeClustering
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session

LIMIT = 0.1
COST_LIMIT = 1.02
SEGMENTS = 8
FEATURES = 8
SMALL = 20_000
COLUMNS = [f"x{j}" for j in range(FEATURES)]


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """A tenth as many customers as lines: time against Birch, once, and the sums of squares of 8 segments."""
    customers = lines // 10
    spark = get_session(Spark())
    with tempfile.TemporaryDirectory(prefix="bench-hierarchy-") as folder:
        source = str(Path(folder) / "customers")
        customers_of(spark, customers).write.parquet(source)
        frame = spark.read.parquet(source)
        points = frame.orderBy("customer_id").select(*COLUMNS).toPandas().to_numpy()
        estimator = AgglomerativeClustering(SEGMENTS)

        ours = [timed(lambda: estimator.fit(frame, columns=COLUMNS)) for _ in range(runs + 1)][1:]
        seconds, birch = timed(lambda: Birch(n_clusters=SEGMENTS).fit(points))
        fitted = ours[0][1].cost_
        cost = f"sum of squares {fitted / squares(points, birch.labels_):.4f} of Birch's"
        whole = Comparison(
            f"hierarchy of {customers:,} customers: {cost}",
            "Birch",
            customers,
            LIMIT,
            [one for one, _ in ours],
            [seconds] * runs,
        )
        return [whole, _against_ward(frame, points[:SMALL])]


def _against_ward(frame: DataFrame, points: np.ndarray) -> Comparison:
    few = frame.orderBy("customer_id").limit(len(points))
    ours, model = timed(lambda: AgglomerativeClustering(SEGMENTS).fit(few, columns=COLUMNS))
    theirs, tree = timed(lambda: linkage(points, "ward"))
    ratio = model.cost_ / squares(points, fcluster(tree, SEGMENTS, "maxclust"))
    Console().print(f"sum of squares: {ratio:.4f} of full Ward's on {len(points):,} (at most {COST_LIMIT})")
    what = f"hierarchy of {len(points):,} customers: sum of squares {ratio:.4f} of Ward's"
    return Comparison(what, "SciPy's Ward", len(points), 1.0, [ours], [theirs])


def squares(points: np.ndarray, labels: np.ndarray) -> float:
    """Sum of squared distances of the points to the mean of their cluster."""
    _, position = np.unique(labels, return_inverse=True)
    sizes = np.bincount(position)
    return float(
        sum((x**2).sum() - ((np.bincount(position, x) ** 2) / sizes).sum() for x in (points - points.mean(axis=0)).T)
    )


def customers_of(spark: SparkSession, customers: int) -> DataFrame:
    """Customers around 12 centres of different size and width, the same at each call.

    The widths are such that Birch, which merges within 0.5 by default, is left with thousands of subclusters: with
    wider ones it would have to link tens of thousands, for which memory does not suffice.
    """
    generator = np.random.default_rng(7)
    centers, widths = generator.normal(size=(12, FEATURES)) * 2, generator.uniform(0.15, 0.35, size=12)
    at = "CAST(12 * pow(pmod(xxhash64(id, -1), 1000003) / 1000003D, 1.5) AS INT)"
    normal = [
        f"sqrt(-2 * ln((pmod(xxhash64(id, {2 * j}), 1000003) + 1) / 1000004D)) "
        f"* cos(2 * pi() * pmod(xxhash64(id, {2 * j + 1}), 1000003) / 1000003D)"
        for j in range(FEATURES)
    ]
    features = [
        F.expr(
            f"array({', '.join(f'{x!r}D' for x in centers[:, j].tolist())})[{at}] + "
            f"array({', '.join(f'{x!r}D' for x in widths.tolist())})[{at}] * {normal[j]}"
        ).alias(f"x{j}")
        for j in range(FEATURES)
    ]
    return spark.range(customers).select(F.format_string("C%09d", "id").alias("customer_id"), *features)
