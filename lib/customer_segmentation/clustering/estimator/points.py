"""The customers that a fit sees: prepared, counted, checked, and told when they can't make the segments asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.estimator.layout import in_fixed_order
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.preparation import (
    Preparation,
    PreparedFeature,
    coordinate_names,
    measured_sql,
    sql,
)
from customer_segmentation.preparation.frames import (
    EXACT_ROWS,
    MAX_MAGNITUDE,
    MIN_RANGE,
    id_figures,
    require_a_row_per_customer,
    require_columns,
    require_ids,
    require_ids_given,
    require_measurable,
    require_names,
    require_unique_ids,
    too_large,
)
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.holding import held

OFFSET = 1e4
"""Columns whose values are further from 0 than so many times their range are counted from their smallest value."""


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
        """The columns with the prepared values, in the order of the features; their names are not the features'."""
        return coordinate_names(self.preparation)

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
            if self.keys == [CUSTOMER_ID] and self.count > EXACT_ROWS:
                require_unique_ids("fit", fixed)  # equal ids lie together here, so nothing is shuffled
            yield replace(self, frame=fixed)


def points_of(
    features: DataFrame, *, columns: list[str] | None, preparation: Preparation | None, estimator: str
) -> Points:
    """Prepare, count and validate the customers. Runs one aggregation, and a small job that looks for repeated ids.

    Args:
        features: a row per customer, with `customer_id` to order the rows by where there is one.
        columns: numeric columns to take as they are. Those whose values lie far from 0 for their range, such as
            times, are counted from their smallest value, so that their differences keep their digits.
        preparation: or how to prepare them.
        estimator: its name, for what is said.

    Raises:
        ConfigurationError: neither or both of columns and preparation are given, or no feature, or one that is not
            among the columns of the frame.
        DataRefusedError: there are no customers, or customers with several rows or without an id; columns that are no
            numbers, or have values that can't be measured.
    """
    caller = f"{estimator}.fit"
    if (columns is None) == (preparation is None):
        raise ConfigurationError(f"{caller} needs either columns or a preparation")
    if preparation is None:
        require_names(caller, columns or [])
    prepared = preparation or as_they_are(columns or [])
    if not prepared.features:
        raise _nothing_to_cluster_on(caller, prepared)
    require_names(caller, prepared.inputs)
    if len({name.lower() for name in prepared.names}) < len(prepared.names):
        raise ConfigurationError(f"{caller} needs features of different names, each once; found {prepared.names}")
    require_columns(caller, features, numbers=prepared.numbers, others=prepared.inputs)
    require_ids(caller, features)
    keys = [CUSTOMER_ID] if CUSTOMER_ID in features.columns else []
    points = _counted(caller, features, prepared, keys)
    if preparation is not None:
        return points
    centered = _from_the_smallest(points)
    if centered is prepared:
        return points
    return _counted(caller, features, centered, keys)


def _coordinates(features: DataFrame, preparation: Preparation, keys: Sequence[str]) -> DataFrame:
    """The keys, and the prepared features under their working names."""
    named = zip(preparation.features, coordinate_names(preparation), strict=True)
    return features.selectExpr(*map(sql.column, keys), *(f"{measured_sql(one)} AS {name}" for one, name in named))


def _counted(caller: str, features: DataFrame, preparation: Preparation, keys: list[str]) -> Points:
    """The points of customers, whose values and ids are validated."""
    inputs, frame = coordinate_names(preparation), _coordinates(features, preparation, keys)
    row = frame.agg(
        F.count(F.lit(1)).alias("count"),
        F.approx_count_distinct(F.xxhash64(*inputs)).alias("distinct"),
        F.array(*(F.min(name) for name in inputs)).alias("least"),
        F.array(*(F.max(name) for name in inputs)).alias("most"),
        F.array(*(F.count_if(~(F.abs(name) <= MAX_MAGNITUDE)) for name in inputs)).alias("too_large"),
        *id_figures(frame),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    if not row["count"]:
        raise DataRefusedError(f"{caller}: there are no customers")
    if any(row["too_large"]):
        require_measurable(caller, _too_large(features, preparation))
        prepared = zip(preparation.names, row["too_large"], strict=True)
        require_measurable(f"{caller}, once prepared", dict(prepared))
    least, most = np.array(row["least"]), np.array(row["most"])
    small = [
        feature.name for feature, width in zip(preparation.features, most - least, strict=True) if 0 < width < MIN_RANGE
    ]
    if small:
        raise DataRefusedError(
            f"{caller}: {', '.join(small)} has values that differ by less than {MIN_RANGE:g}, which distances can't "
            "tell; take a smaller unit, or leave it out"
        )
    require_ids_given(caller, row["without_id"])
    require_a_row_per_customer(caller, frame, rows=row["count"], ids=row["ids"])
    return Points(frame, preparation, keys or inputs, row["count"], row["distinct"], least, most)


def _too_large(features: DataFrame, preparation: Preparation) -> dict[str, int]:
    """By column how many values can't be measured: components spread those of one column over all coordinates."""
    counts = (F.count_if(F.expr(too_large(sql.number(name)))) for name in preparation.numbers)
    row = features.agg(F.array(*counts).alias("counts")).first()
    assert row is not None, "an aggregation without grouping has one row"
    return dict(zip(preparation.numbers, row["counts"], strict=True))


def _from_the_smallest(points: Points) -> Preparation:
    """The preparation with columns that lie far from 0 counted from their smallest value; the same where none do."""
    width = points.most - points.least
    far = (np.maximum(abs(points.least), abs(points.most)) > OFFSET * width) & (width > 0)
    if not far.any():
        return points.preparation
    features = [
        replace(feature, center=lowest, missing=-lowest) if is_far and isinstance(feature, PreparedFeature) else feature
        for feature, lowest, is_far in zip(points.preparation.features, points.least.tolist(), far, strict=True)
    ]
    return replace(points.preparation, features=tuple(features))


def _nothing_to_cluster_on(caller: str, preparation: Preparation) -> ConfigurationError | DataRefusedError:
    if not preparation.dropped:
        return ConfigurationError(f"{caller} needs at least one feature; found none")
    why = "; ".join(f"{name} {reason}" for name, reason in preparation.dropped.items())
    return DataRefusedError(f"{caller}: no feature tells the customers apart: {why}")


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
