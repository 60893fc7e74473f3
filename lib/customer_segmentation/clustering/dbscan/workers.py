"""What runs on Spark's workers: Arrow in, Arrow out, NumPy between.

It is sent there by its value, this package with it, so the library need not be installed there.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark import cloudpickle
from scipy.spatial import cKDTree

from customer_segmentation.clustering.dbscan.kernel import clusters, inverse_permutation, nearest
from customer_segmentation.clustering.dbscan.space import SpacePartition, routed, shared_halo
from customer_segmentation.preparation.frames import MAX_MAGNITUDE

cloudpickle.register_pickle_by_value(sys.modules[__package__])  # type: ignore[no-untyped-call]

ID, RANK, WEIGHT, REGION, HOME, SHARED, CORE, COMPONENT, SEGMENT = (
    "_id",
    "_rank",
    "_weight",
    "_region",
    "_home",
    "_shared",
    "_core",
    "_component",
    "_segment",
)
QUERY, DISTANCE = "_query", "_distance"

Batches = Iterator[pa.RecordBatch]


def coordinates(table: pa.Table | pa.RecordBatch, names: list[str]) -> np.ndarray:
    """The columns as n x d doubles."""
    points = np.empty((table.num_rows, len(names)))
    for j, name in enumerate(names):
        points[:, j] = np.asarray(table.column(name))
    return points


def order_of(table: pa.Table, names: list[str]) -> np.ndarray:
    """The rank of each row by id, or by coordinates where there are no ids; a rank column where there is one."""
    if RANK in table.column_names:
        return np.asarray(table.column(RANK))
    if ID in table.column_names:
        order = np.asarray(pa.compute.sort_indices(table.column(ID)))
    else:
        order = np.lexsort(coordinates(table, names).T[::-1])
    return inverse_permutation(order)


def routing(regions: SpacePartition, names: list[str], eps: float) -> Callable[[Batches], Batches]:
    """Sends each point to its own region and to the regions whose halo it is in."""

    def route(batches: Batches) -> Batches:
        for batch in batches:
            rows, region, home, shared = routed(regions, coordinates(batch, names), eps)
            sent = batch.take(pa.array(rows))
            added = [pa.array(region, pa.int32()), pa.array(home), pa.array(shared)]
            yield pa.RecordBatch.from_arrays([*added, *sent.columns], names=[REGION, HOME, SHARED, *sent.schema.names])

    return route


def clustering(names: list[str], eps: float, min_samples: int) -> Callable[[pa.Table], pa.Table]:
    """Clusters a region: its own points, and core points of its halo that other regions share."""

    def cluster(table: pa.Table) -> pa.Table:
        home = np.asarray(table.column(HOME))
        weights = np.asarray(table.column(WEIGHT))
        points = coordinates(table, names)
        fitted = clusters(points, weights=weights, order=order_of(table, names), eps=eps, min_samples=min_samples)
        region = int(table.column(REGION)[0].as_py())
        component = pa.array((np.int64(region) << 32) + fitted.labels, mask=fitted.labels < 0)
        labelled = table.drop_columns([REGION]).append_column(CORE, pa.array(fitted.core))
        labelled = labelled.append_column(COMPONENT, component)
        return labelled.filter(pa.array(home | (fitted.core & np.asarray(table.column(SHARED)))))

    return cluster


def neighbour_distances(queries: np.ndarray, names: list[str], k: int) -> Callable[[Batches], Batches]:
    """For each query the distances of its nearest points in a partition, until they weigh k, with their weights."""

    def measure(batches: Batches) -> Batches:
        table = [(coordinates(batch, names), np.asarray(batch.column(WEIGHT))) for batch in batches]
        if not sum(len(weights) for _, weights in table):
            return
        points, weights = (np.concatenate(parts) for parts in zip(*table, strict=True))
        distances, indices = cKDTree(points).query(queries, k=np.arange(1, min(k, len(points)) + 1))
        near = weights[indices]
        needed = np.cumsum(near, axis=1) - near < k
        query = np.broadcast_to(np.arange(len(queries))[:, None], needed.shape)
        columns = [pa.array(query[needed], pa.int32()), pa.array(distances[needed]), pa.array(near[needed], pa.int64())]
        yield pa.RecordBatch.from_arrays(columns, names=[QUERY, DISTANCE, WEIGHT])

    return measure


def assigning(
    points: np.ndarray, order: np.ndarray, segments: np.ndarray, eps: float
) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    """Gives points the segment of the nearest core point and a confidence, by a tree that a task makes once."""

    def assign(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        for batch in batches:
            queried = np.column_stack([values.to_numpy(zero_copy_only=False) for values in batch.flatten()])
            columns = assigned(tree, points, order, segments, queried, eps)
            yield pa.StructArray.from_arrays([pa.array(values) for values in columns], names=["segment", "confidence"])

    return assign


def assigning_in_region(names: list[str], eps: float) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Gives the points of a region segments and confidences, by the core points within eps of the region."""

    def assign(rows: pa.Table, known: pa.Table) -> pa.Table:
        points = coordinates(known, names)
        segments = np.asarray(known.column(SEGMENT)) if len(known) else np.zeros(0, dtype=np.int32)
        tree = cKDTree(points.reshape(-1, len(names)), balanced_tree=False, compact_nodes=False)
        queried = coordinates(rows, names)
        segment, confidence = assigned(tree, points, order_of(known, names), segments, queried, eps)
        points_with_segment = rows.select(names).append_column(SEGMENT, pa.array(segment, pa.int32()))
        return points_with_segment.append_column("_confidence", pa.array(confidence))

    return assign


def routing_home(regions: SpacePartition, names: list[str]) -> Callable[[Batches], Batches]:
    """Sends each point to its own region."""

    def route(batches: Batches) -> Batches:
        for batch in batches:
            yield batch.append_column(REGION, pa.array(regions.region_of(coordinates(batch, names)), pa.int32()))

    return route


def routing_known(regions: SpacePartition, names: list[str], eps: float) -> Callable[[Batches], Batches]:
    """Sends each core point to the regions within eps of it."""

    def route(batches: Batches) -> Batches:
        for batch in batches:
            rows, region = regions.regions_within(coordinates(batch, names), shared_halo(eps))
            yield batch.take(pa.array(rows)).append_column(REGION, pa.array(region, pa.int32()))

    return route


def assigned(
    tree: cKDTree, points: np.ndarray, order: np.ndarray, segments: np.ndarray, queried: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """The segment of each queried point, -1 where no core point is within eps, and the confidence."""
    finite = (np.abs(queried) <= MAX_MAGNITUDE).all(axis=1)
    segment, confidence = np.full(len(queried), -1, dtype=np.int32), np.zeros(len(queried))
    measurable = queried[finite]
    position = nearest(tree, points, order, measurable, eps) if len(points) else np.full(len(measurable), -1)
    near = position >= 0
    at = np.nonzero(finite)[0][near]
    segment[at] = segments[position[near]]
    apart = np.sqrt(((measurable[near] - points[position[near]]) ** 2).sum(axis=1))
    confidence[at] = np.clip(1 - apart / eps, 0.0, 1.0)
    return segment, confidence
