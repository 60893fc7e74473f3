"""Makes a model of centres: counts who is nearest to each, and how far away."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from customer_segmentation.clustering.estimator.points import Points
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.preparation.rounding import rounded

OUTLIER_DISTANCE = 3.0
"""In radii, where a model has no calibration."""


def centroid_model(
    algorithm: str, points: Points, centers: np.ndarray, *, k: int, outlier_distance: float = OUTLIER_DISTANCE
) -> CentroidModel:
    """The model of these centres, in the order of their coordinates, with the sizes and cost that assigning gives.

    Raises:
        DataRejectedError: there are fewer than k centres, or nobody is nearest to one of them.
    """
    if len(centers) < k:
        raise DataRejectedError(
            f"the {points.count} customers divide into {len(centers)} segments only; lower clustering.k from {k}"
        )
    sizes, squares = _sizes_and_squares(points, centers)
    if not sizes.all():
        raise DataRejectedError(f"{(sizes == 0).sum()} of {k} segments are left without customers; lower clustering.k")
    return CentroidModel(
        algorithm=algorithm,
        preparation=points.preparation,
        segment_ids=tuple(range(1, len(centers) + 1)),
        centers_=centers,
        radii_=tuple(rounded(np.sqrt(squares / sizes)).tolist()),
        outlier_distance=outlier_distance,
        cost_=float(rounded(squares.sum())),
    )


def _sizes_and_squares(points: Points, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Customers nearest to each centre and their summed squared distances."""
    schema = "position int, size long, squares double"
    batches = points.frame.select(*points.inputs).mapInArrow(_nearest_counter(centers), schema)
    rows = batches.groupBy("position").agg(F.sum("size"), F.sum("squares")).collect()
    sizes, squares = np.zeros(len(centers)), np.zeros(len(centers))
    for position, size, square in rows:
        sizes[position], squares[position] = size, square
    return sizes, squares


def _nearest_counter(centers: np.ndarray) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Rows and summed squared distances by nearest centre, batch by batch; sent to the workers by its value."""
    k = len(centers)

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            squared = np.zeros((k, batch.num_rows))
            for j in range(centers.shape[1]):
                squared += (batch.column(j).to_numpy(zero_copy_only=False) - centers[:, j, None]) ** 2
            nearest = squared.argmin(axis=0)
            sizes = np.bincount(nearest, minlength=k)
            squares = np.bincount(nearest, squared.min(axis=0), minlength=k)
            columns = [np.arange(k, dtype=np.int32), sizes, squares]
            yield pa.RecordBatch.from_arrays([pa.array(x) for x in columns], names=["position", "size", "squares"])

    return counted
