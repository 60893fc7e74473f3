"""What runs on Spark's workers: Arrow in, Arrow out, NumPy between."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from customer_segmentation.clustering.dbscan.kernel import clusters, nearest, places
from customer_segmentation.clustering.dbscan.space import Boxes, routed, shared_halo
from customer_segmentation.preparation.frames import MAX_MAGNITUDE

ID, RANK, WEIGHT, BOX, HOME, SHARED, CORE, COMPONENT, SEGMENT = (
    "_id",
    "_rank",
    "_weight",
    "_box",
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
    """The rank of each row by id, or by coordinates where there are no ids; where it is told, as it is told."""
    if RANK in table.column_names:
        return np.asarray(table.column(RANK))
    if ID in table.column_names:
        by = np.asarray(pa.compute.sort_indices(table.column(ID)))
    else:
        by = np.lexsort(coordinates(table, names).T[::-1])
    return places(by)


def routing(boxes: Boxes, names: list[str], eps: float) -> Callable[[Batches], Batches]:
    """Sends each point to its home and to the boxes whose halo it is in."""

    def route(batches: Batches) -> Batches:
        for batch in batches:
            rows, box, home, shared = routed(boxes, coordinates(batch, names), eps)
            sent = batch.take(pa.array(rows))
            told = [pa.array(box, pa.int32()), pa.array(home), pa.array(shared)]
            yield pa.RecordBatch.from_arrays([*told, *sent.columns], names=[BOX, HOME, SHARED, *sent.schema.names])

    return route


def clustering(names: list[str], eps: float, min_samples: int) -> Callable[[pa.Table], pa.Table]:
    """Clusters a box: its own points, and core points of its halo that other boxes see too."""

    def cluster(table: pa.Table) -> pa.Table:
        home = np.asarray(table.column(HOME))
        weights = np.asarray(table.column(WEIGHT))
        points = coordinates(table, names)
        found = clusters(points, weights=weights, order=order_of(table, names), eps=eps, min_samples=min_samples)
        box = int(table.column(BOX)[0].as_py())
        component = pa.array((np.int64(box) << 32) + found.labels, mask=found.labels < 0)
        told = table.drop_columns([BOX]).append_column(CORE, pa.array(found.core))
        told = told.append_column(COMPONENT, component)
        return told.filter(pa.array(home | (found.core & np.asarray(table.column(SHARED)))))

    return cluster


def neighbour_distances(queries: np.ndarray, names: list[str], k: int) -> Callable[[Batches], Batches]:
    """For each query the distances of its nearest points in a partition, until they weigh k, with their weights."""

    def measure(batches: Batches) -> Batches:
        table = [(coordinates(batch, names), np.asarray(batch.column(WEIGHT))) for batch in batches]
        if not sum(len(weights) for _, weights in table):
            return
        points, weights = (np.concatenate(parts) for parts in zip(*table, strict=True))
        most = min(k, len(points))
        distances, indices = cKDTree(points).query(queries, k=np.arange(1, most + 1))
        found = weights[indices]
        needed = np.cumsum(found, axis=1) - found < k
        query = np.broadcast_to(np.arange(len(queries))[:, None], needed.shape)
        told = [pa.array(query[needed], pa.int32()), pa.array(distances[needed]), pa.array(found[needed], pa.int64())]
        yield pa.RecordBatch.from_arrays(told, names=[QUERY, DISTANCE, WEIGHT])

    return measure


def assigning(
    points: np.ndarray, order: np.ndarray, segments: np.ndarray, eps: float
) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    """Gives points the segment of the nearest core point and a confidence, by a tree that a task makes once."""

    def assign(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        for batch in batches:
            queried = np.column_stack([values.to_numpy(zero_copy_only=False) for values in batch.flatten()])
            told = assigned(tree, points, order, segments, queried, eps)
            yield pa.StructArray.from_arrays([pa.array(values) for values in told], names=["segment", "confidence"])

    return assign


def assigning_in_box(names: list[str], eps: float) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """The same for the points at home in a box, by the core points within eps of the box."""

    def assign(rows: pa.Table, known: pa.Table) -> pa.Table:
        points = coordinates(known, names)
        segments = np.asarray(known.column(SEGMENT)) if len(known) else np.zeros(0, dtype=np.int32)
        tree = cKDTree(points.reshape(-1, len(names)), balanced_tree=False, compact_nodes=False)
        queried = coordinates(rows, names)
        segment, confidence = assigned(tree, points, order_of(known, names), segments, queried, eps)
        told = rows.select(names).append_column(SEGMENT, pa.array(segment, pa.int32()))
        return told.append_column("_confidence", pa.array(confidence))

    return assign


def routing_home(boxes: Boxes, names: list[str]) -> Callable[[Batches], Batches]:
    """Sends each point to its home."""

    def route(batches: Batches) -> Batches:
        for batch in batches:
            yield batch.append_column(BOX, pa.array(boxes.homes(coordinates(batch, names)), pa.int32()))

    return route


def routing_known(boxes: Boxes, names: list[str], eps: float) -> Callable[[Batches], Batches]:
    """Sends each core point to the boxes within eps of it."""

    def route(batches: Batches) -> Batches:
        for batch in batches:
            rows, box = boxes.reached(coordinates(batch, names), shared_halo(eps))
            yield batch.take(pa.array(rows)).append_column(BOX, pa.array(box, pa.int32()))

    return route


def assigned(
    tree: cKDTree, points: np.ndarray, order: np.ndarray, segments: np.ndarray, queried: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """The segment of each queried point, -1 where no core point is within eps, and the confidence."""
    finite = (np.abs(queried) <= MAX_MAGNITUDE).all(axis=1)
    segment, confidence = np.full(len(queried), -1, dtype=np.int32), np.zeros(len(queried))
    asked = queried[finite]
    found = nearest(tree, points, order, asked, eps) if len(points) else np.full(len(asked), -1)
    near = found >= 0
    at = np.nonzero(finite)[0][near]
    segment[at] = segments[found[near]]
    apart = np.sqrt(((asked[near] - points[found[near]]) ** 2).sum(axis=1))
    confidence[at] = np.clip(1 - apart / eps, 0.0, 1.0)
    return segment, confidence
