"""Micro-clusters: all customers as a few thousand weighted points, in one pass over the rows.

Where the customers differ in no more ways than there may be micro-clusters, each different customer is one. Otherwise
a sample on the driver says where micro-clusters are, their prototypes, and every row counts for the nearest.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.spatial import cKDTree

from customer_segmentation.clustering.estimator.layout import hashed_share
from customer_segmentation.clustering.estimator.points import Points
from customer_segmentation.preparation import sql
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.arrow_functions import arrow_function

SAMPLED_PER_CLUSTER = 20
"""Sampled customers for each micro-cluster."""

ITERATIONS = 3
"""How often the prototypes move to the mean of the sampled customers around them."""

LEAF_SIZE = 32
"""Points in a leaf of the search tree: more is faster up to here in 4 to 8 dimensions."""

_STEPS = 1 << 36
"""Steps of the grid on which values are added: a batch of 2**16 rows stays below 2**53, where doubles are exact."""

_BATCH = 1 << 16


@dataclass(frozen=True)
class MicroClusters:
    """Groups of near customers, as a tree of clusters is built on.

    prototypes: a customer belongs to the nearest. In the order of their coordinates.
    means: of the customers of each prototype.
    weights: customers of each prototype, above 0.
    squares: summed squared distances of these customers to their mean.
    """

    prototypes: np.ndarray
    means: np.ndarray
    weights: np.ndarray
    squares: np.ndarray

    @property
    def compression_loss(self) -> float:
        """Share of the customers' variance that lies within the micro-clusters, 0 to 1: no tree over them sees it."""
        mean = np.average(self.means, axis=0, weights=self.weights)
        between = float(self.weights @ ((self.means - mean) ** 2).sum(axis=1))
        within = float(self.squares.sum())
        return within / (within + between) if within else 0.0


def micro_clusters(points: Points, *, max_count: int, seed: int) -> MicroClusters:
    """Group the customers.

    The result does not depend on the rows' order or partitions: the sample is by hash, and what is summed are whole
    steps of a grid, 2**-36 of each feature's range.

    Args:
        max_count: most micro-clusters, at least 2.
        seed: of the sample.
    """
    if points.distinct < 2 * max_count:  # an estimate: within a tenth or so
        rows = points.frame.groupBy(*points.inputs).count().limit(max_count + 1).toPandas()
        if len(rows) <= max_count:
            return _one_per_point(rows.to_numpy(dtype=float))
    prototypes = place_prototypes(_sample(points, size=SAMPLED_PER_CLUSTER * max_count, seed=seed), max_count)
    return _counted(points, np.unique(rounded(prototypes), axis=0))


def with_nearest_prototype(
    points: DataFrame, columns: Sequence[str], prototypes: np.ndarray, *, name: str
) -> DataFrame:
    """The frame with the position of each row's nearest prototype, ties going to the first, under this name."""
    leaf_size = LEAF_SIZE
    trees: list[cKDTree] = []  # a task's own: made at its first batch

    def nearest(*batch: pa.Array) -> pa.Array:
        if not trees:
            trees.append(cKDTree(prototypes, leafsize=leaf_size))
        points = np.column_stack([values.to_numpy(zero_copy_only=False) for values in batch])
        return pa.array(trees[0].query(points)[1].astype(np.int32))

    position = arrow_function(nearest, "int")
    return points.withColumn(name, position(*(F.col(sql.column(column)) for column in columns)))


def place_prototypes(sample: np.ndarray, count: int) -> np.ndarray:
    """Place prototypes where the points of a sample are: first by division, then as in k-means.

    Groups are halved at their mean, across their widest feature, always the one with the largest sum of squares.

    Args:
        sample: a row per customer, in any order.
        count: the most prototypes.

    Returns:
        The prototypes in the order of their coordinates, all different; as many as asked, or fewer where the sample has
        fewer different points.
    """
    distinct, weights = np.unique(sample, axis=0, return_counts=True)
    if len(distinct) <= count:
        return distinct
    prototypes = _divided(distinct, weights.astype(float), count)
    for _ in range(ITERATIONS):
        nearest = cKDTree(prototypes, leafsize=LEAF_SIZE).query(distinct)[1]
        sizes = np.bincount(nearest, weights, minlength=len(prototypes))
        sums = np.stack([np.bincount(nearest, weights * x, minlength=len(prototypes)) for x in distinct.T], axis=1)
        prototypes = np.unique(sums[sizes > 0] / sizes[sizes > 0, None], axis=0)
    return prototypes


def _divided(points: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    def entry(rows: np.ndarray) -> tuple[float, int, np.ndarray, int, np.ndarray]:
        here, weight = points[rows], weights[rows]
        mean = weight @ here / weight.sum()
        squares = weight @ (here - mean) ** 2
        return -float(squares.sum()), int(rows[0]), rows, int(squares.argmax()), mean

    heap = [entry(np.arange(len(points)))]
    while len(heap) < count:
        _, _, rows, widest, mean = heapq.heappop(heap)
        above = points[rows, widest] > mean[widest]
        if above.all() or not above.any():  # nothing left to divide that doubles can distinguish
            above = np.arange(len(rows)) > 0
        heapq.heappush(heap, entry(rows[above]))
        heapq.heappush(heap, entry(rows[~above]))
    return np.unique([mean for *_, mean in heap], axis=0)


def _sample(points: Points, *, size: int, seed: int) -> np.ndarray:
    frame, count = points.frame, points.count
    if points.keys == points.inputs:  # equal rows can't be told apart: a share of them is one of their values
        frame, count = frame.distinct(), points.distinct
    share = min(1.0, size / count)
    chosen = frame if share == 1 else hashed_share(frame, share=share, seed=seed, by=points.keys)
    return chosen.select(*points.inputs).toPandas().to_numpy(dtype=float)


def _one_per_point(rows: np.ndarray) -> MicroClusters:
    rows = rows[np.lexsort(rows[:, :-1].T[::-1])]
    values = rows[:, :-1] + 0.0  # no negative zero
    return MicroClusters(values, values, rows[:, -1], np.zeros(len(rows)))


def _counted(points: Points, prototypes: np.ndarray) -> MicroClusters:
    """One pass over all rows: who is nearest to which prototype; those that nobody is nearest to are left out."""
    ranges = points.maximum - points.minimum
    steps = np.where(ranges > 0, ranges, 1.0) / _STEPS
    squared_step = float((ranges**2).sum() or 1.0) / _STEPS
    d = prototypes.shape[1]
    sums = [f"s{j}" for j in range(d)]
    schema = "prototype int, n long, q long, " + ", ".join(f"{name} long" for name in sums)
    counter = _nearest_counter(prototypes, steps, squared_step)
    total = [F.sum(F.col(name).cast("decimal(38,0)")).alias(name) for name in ("n", "q", *sums)]
    batches = points.frame.select(*points.inputs).mapInArrow(counter, schema)
    table = batches.groupBy("prototype").agg(*total).toPandas().sort_values("prototype").astype(float)
    used = prototypes[table["prototype"].to_numpy().astype(int)]
    weights = table["n"].to_numpy()
    offset = table[sums].to_numpy() * steps / weights[:, None]
    squares = table["q"].to_numpy() * squared_step - weights * (offset**2).sum(axis=1)
    return MicroClusters(used, used + offset, weights, np.maximum(squares, 0.0))


def _nearest_counter(
    prototypes: np.ndarray, steps: np.ndarray, squared_step: float
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Sums by nearest prototype of a partition's rows: count, squared distance to it, and offset from it.

    The function goes to the workers by its value and asks nothing of them but NumPy, SciPy and PyArrow.
    """
    leaf_size, batch_rows = LEAF_SIZE, _BATCH

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        count, d = prototypes.shape
        tree = cKDTree(prototypes, leafsize=leaf_size)
        sums = np.zeros((d + 2, count), dtype=np.int64)
        for batch in batches:
            for start in range(0, batch.num_rows, batch_rows):
                part = batch.slice(start, batch_rows)
                rows = np.stack([column.to_numpy(zero_copy_only=False) for column in part.columns], axis=1)
                nearest = tree.query(rows)[1]
                offsets = rows - prototypes[nearest]
                squared = np.rint((offsets**2).sum(axis=1) / squared_step)
                whole = [None, squared, *np.rint(offsets / steps).T]
                sums += np.stack([np.bincount(nearest, w, minlength=count) for w in whole]).astype(np.int64)
        used = np.flatnonzero(sums[0])
        columns = [pa.array(used.astype(np.int32)), *(pa.array(row[used]) for row in sums)]
        names = ["prototype", "n", "q", *(f"s{j}" for j in range(d))]
        yield pa.RecordBatch.from_arrays(columns, names=names)

    return counted
