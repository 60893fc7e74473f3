"""The customers that a fit sees: prepared, counted, checked, and told when they can't make the segments asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.layout import in_fixed_order
from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.clustering.preparation import Preparation, PreparedFeature, prepared_name
from customer_segmentation.clustering.rounding import rounded
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.spark.holding import held


@dataclass(frozen=True)
class Points:
    """Prepared customers.

    frame: the columns of `keys` and `inputs`.
    keys: columns that tell the rows apart as well as there are: customer_id, or else the features.
    count: rows, at least 1.
    distinct: about how many different rows of inputs there are.
    least, most: of each input.
    """

    frame: DataFrame
    preparation: Preparation
    keys: list[str]
    count: int
    distinct: int
    least: np.ndarray
    most: np.ndarray

    @property
    def inputs(self) -> list[str]:
        """The columns with the prepared values, in the order of the features."""
        return [prepared_name(name) for name in self.preparation.names]

    def require(self, k: int) -> None:
        """Refuse customers who are too few or too alike for k segments, with a DataRefusedError."""
        if self.count < k:
            raise DataRefusedError(f"{self.count} customers can't make {k} segments; lower clustering.k")
        if self.distinct >= 2 * k:  # an estimate: within a tenth, where few are distinct
            return
        distinct = self.frame.select(*self.inputs).distinct().count()
        if distinct < k:
            raise DataRefusedError(
                f"{self.count} customers can't make {k} segments: they have only {distinct} different values in "
                f"{', '.join(self.preparation.names)}; lower clustering.k or add features"
            )

    @contextmanager
    def in_place(self) -> Iterator["Points"]:
        """The same points in a fixed order and layout, kept for the block."""
        with held(in_fixed_order(self.frame, rows=self.count, by=self.keys)) as fixed:
            yield Points(fixed, self.preparation, self.keys, self.count, self.distinct, self.least, self.most)


def points_of(
    features: DataFrame, *, columns: list[str] | None, preparation: Preparation | None, estimator: str
) -> Points:
    """Prepare and count the customers. Runs one aggregation.

    Args:
        features: a row per customer, with `customer_id` to order the rows by where there is one.
        columns: numeric columns to take as they are.
        preparation: or how to prepare them.
        estimator: its name, for what is said.

    Raises:
        ConfigurationError: neither or both of columns and preparation are given, or no feature, or one that is not
            among the columns of the frame.
        DataRefusedError: there are no customers, or values that are not numbers.
    """
    if (columns is None) == (preparation is None):
        raise ConfigurationError(f"{estimator}.fit needs either columns or a preparation")
    prepared = preparation or as_they_are(columns or [])
    if not prepared.features or len(set(prepared.names)) < len(prepared.names):
        raise ConfigurationError(f"{estimator}.fit needs one or more features, each once; found {prepared.names}")
    found = features.columns
    missing = [name for name in prepared.inputs if name not in found]
    if missing:
        raise ConfigurationError(f"{estimator}.fit: {', '.join(missing)} not among the columns {', '.join(found)}")
    inputs = [prepared_name(name) for name in prepared.names]
    keys = [CUSTOMER_ID] if CUSTOMER_ID in found else inputs
    frame = prepared.transform(features).select(*dict.fromkeys([*keys, *inputs]))
    row = frame.agg(
        F.count(F.lit(1)).alias("count"),
        F.approx_count_distinct(F.xxhash64(*inputs)).alias("distinct"),
        F.array(*(F.min(name) for name in inputs)).alias("least"),
        F.array(*(F.max(name) for name in inputs)).alias("most"),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    if not row["count"]:
        raise DataRefusedError(f"{estimator}.fit: there are no customers")
    least, most = np.array(row["least"]), np.array(row["most"])
    odd = ~(np.isfinite(least) & np.isfinite(most))
    if odd.any():
        named = ", ".join(name for name, is_odd in zip(prepared.names, odd, strict=True) if is_odd)
        raise DataRefusedError(f"{estimator}.fit: {named} has values that are infinite or no number")
    return Points(frame, prepared, keys, row["count"], row["distinct"], least, most)


def centroid_model(
    algorithm: str, points: Points, centers: np.ndarray, *, k: int, outlier_distance: float
) -> CentroidModel:
    """The model of these centres, in the order of their coordinates, with the sizes and cost that assigning gives.

    Raises:
        DataRefusedError: there are fewer than k centres, or nobody is nearest to one of them.
    """
    if len(centers) < k:
        raise DataRefusedError(
            f"the {points.count} customers divide into {len(centers)} segments only; lower clustering.k from {k}"
        )
    sizes, squares = _sizes_and_squares(points, centers)
    if not sizes.all():
        raise DataRefusedError(f"{(sizes == 0).sum()} of {k} segments are left without customers; lower clustering.k")
    return CentroidModel(
        algorithm=algorithm,
        preparation=points.preparation,
        segment_ids=tuple(range(1, len(centers) + 1)),
        centers_=centers,
        radii_=tuple(rounded(np.sqrt(squares / sizes)).tolist()),
        outlier_distance=outlier_distance,
        cost_=float(rounded(squares.sum())),
    )


def in_order(centers: np.ndarray) -> np.ndarray:
    """The positions of the centres in the order of their coordinates."""
    order: np.ndarray = np.lexsort(centers.T[::-1])
    return order


def as_they_are(columns: list[str]) -> Preparation:
    """The preparation that changes nothing but counts a missing value as 0."""
    return Preparation(tuple(PreparedFeature(name, False, 0.0, 1.0, 1.0) for name in columns), {})


def _sizes_and_squares(points: Points, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Customers nearest to each centre and their summed squared distances."""
    schema = "position int, size long, squares double"
    batches = points.frame.select(*points.inputs).mapInArrow(_counting(centers), schema)
    rows = batches.groupBy("position").agg(F.sum("size"), F.sum("squares")).collect()
    sizes, squares = np.zeros(len(centers)), np.zeros(len(centers))
    for position, size, square in rows:
        sizes[position], squares[position] = size, square
    return sizes, squares


def _counting(centers: np.ndarray) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
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
