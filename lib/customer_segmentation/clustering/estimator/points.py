"""The customers that a fit sees: prepared, counted, validated, and rejected when they can't make the segments."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.estimator.layout import hashed_share, in_fixed_order
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.preparation import (
    PreparationModel,
    PreparedFeature,
    coordinate_names,
    identity_preparation,
    sql,
)
from customer_segmentation.preparation.columns import measurable_sql
from customer_segmentation.preparation.frames import (
    EXACT_ROWS,
    MAX_MAGNITUDE,
    MIN_RANGE,
    id_aggregates,
    require_a_row_per_customer,
    require_columns,
    require_ids,
    require_ids_given,
    require_measurable,
    require_names,
    require_unique_ids,
    too_large,
)
from customer_segmentation.spark.persistence import by_name, persisted

MAX_OFFSET = 1e4
"""Columns whose values are further from 0 than so many times their range are counted from their smallest value."""


@dataclass(frozen=True)
class Points:
    """Prepared customers.

    frame: the columns of `keys` and `inputs`.
    keys: columns that distinguish the rows as well as there are: customer_id, or else the features.
    count: rows, at least 1.
    distinct: about how many different rows of inputs there are.
    minimum, maximum: of each input.
    """

    frame: DataFrame
    preparation: PreparationModel
    keys: list[str]
    count: int
    distinct: int
    minimum: np.ndarray
    maximum: np.ndarray

    @property
    def inputs(self) -> list[str]:
        """The columns with the prepared values, in the order of the features; their names are not the features'."""
        return coordinate_names(self.preparation)

    def require(self, k: int) -> None:
        """Reject customers who are too few or too similar for k segments, with a DataRejectedError."""
        if self.count < k:
            raise DataRejectedError(f"{self.count} customers can't make {k} segments; lower clustering.k")
        if self.distinct >= 2 * k:  # an estimate: within a tenth, where few are distinct
            return
        distinct = self.frame.select(*self.inputs).distinct().count()
        if distinct < k:
            raise DataRejectedError(
                f"{self.count} customers can't make {k} segments: they have only {distinct} different values in "
                f"{', '.join(self.preparation.names)}; lower clustering.k or add features"
            )

    @contextmanager
    def in_fixed_layout(self) -> Iterator["Points"]:
        """The same points in a fixed order and layout, kept for the block."""
        with persisted(in_fixed_order(self.frame, rows=self.count, by=self.keys)) as kept, by_name(kept) as fixed:
            if self.keys == [CUSTOMER_ID] and self.count > EXACT_ROWS:
                require_unique_ids("fit", fixed)  # equal ids lie together here, so nothing is shuffled
            yield replace(self, frame=fixed)


def points_of(
    features: DataFrame, *, columns: list[str] | None, preparation: PreparationModel | None, caller: str
) -> Points:
    """Prepare, count and validate the customers. Runs one aggregation, and a small job to detect repeated ids.

    Args:
        features: a row per customer, with `customer_id` to order the rows by where there is one.
        columns: numeric columns to take as they are. Those whose values lie far from 0 for their range, such as
            times, are counted from their smallest value, so that their differences keep their digits.
        preparation: or how to prepare them.
        caller: such as KMeans.fit, for messages.

    Raises:
        ConfigurationError: neither or both of columns and preparation are given, or no feature, or one that is not
            among the columns of the frame.
        DataRejectedError: there are no customers, or customers with several rows or without an id; columns that are no
            numbers, or have values that can't be measured.
    """
    if (columns is None) == (preparation is None):
        raise ConfigurationError(f"{caller} needs either columns or a preparation")
    if preparation is None:
        require_names(caller, columns or [])
    prepared = preparation or identity_preparation(columns or [])
    if not prepared.features_:
        raise nothing_to_cluster_on(caller, prepared)
    require_names(caller, prepared.inputs)
    if len({name.lower() for name in prepared.names}) < len(prepared.names):
        raise ConfigurationError(f"{caller} needs features of different names, each once; found {prepared.names}")
    require_columns(caller, features, numbers=prepared.numbers, others=prepared.inputs)
    require_ids(caller, features)
    keys = [CUSTOMER_ID] if CUSTOMER_ID in features.columns else []
    points = _counted(caller, features, prepared, keys)
    if preparation is not None:
        return points
    centered = _offset_by_minimum(points)
    if centered is prepared:
        return points
    return _counted(caller, features, centered, keys)


def _coordinates(features: DataFrame, preparation: PreparationModel, keys: Sequence[str]) -> DataFrame:
    """The keys, and the prepared features under their working names."""
    named = zip(preparation.features_, coordinate_names(preparation), strict=True)
    return features.selectExpr(
        *map(sql.column, keys), *(f"{measurable_sql(feature)} AS {name}" for feature, name in named)
    )


def _counted(caller: str, features: DataFrame, preparation: PreparationModel, keys: list[str]) -> Points:
    """The points of customers, whose values and ids are validated."""
    inputs, frame = coordinate_names(preparation), _coordinates(features, preparation, keys)
    row = frame.agg(
        F.count(F.lit(1)).alias("count"),
        F.approx_count_distinct(F.xxhash64(*inputs)).alias("distinct"),
        F.array(*(F.min(name) for name in inputs)).alias("minimum"),
        F.array(*(F.max(name) for name in inputs)).alias("maximum"),
        F.array(*(F.count_if(~(F.abs(name) <= MAX_MAGNITUDE)) for name in inputs)).alias("too_large"),
        *id_aggregates(frame),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    if not row["count"]:
        raise DataRejectedError(f"{caller}: there are no customers")
    if any(row["too_large"]):
        require_measurable(caller, _too_large(features, preparation))
        prepared = zip(preparation.names, row["too_large"], strict=True)
        require_measurable(f"{caller}, once prepared", dict(prepared))
    minimum, maximum = np.array(row["minimum"]), np.array(row["maximum"])
    widths = zip(preparation.names, maximum - minimum, strict=True)
    small = [name for name, width in widths if 0 < width < MIN_RANGE]
    if small:
        raise DataRejectedError(
            f"{caller}: {', '.join(small)} has values that differ by less than {MIN_RANGE:g}, which distances can't "
            "distinguish; take a smaller unit, or leave it out"
        )
    require_ids_given(caller, row["without_id"])
    require_a_row_per_customer(caller, frame, rows=row["count"], ids=row["ids"])
    return Points(frame, preparation, keys or inputs, row["count"], row["distinct"], minimum, maximum)


def _too_large(features: DataFrame, preparation: PreparationModel) -> dict[str, int]:
    """By column how many values can't be measured: components spread those of one column over all coordinates."""
    counts = (F.count_if(F.expr(too_large(sql.number(name)))) for name in preparation.numbers)
    row = features.agg(F.array(*counts).alias("counts")).first()
    assert row is not None, "an aggregation without grouping has one row"
    return dict(zip(preparation.numbers, row["counts"], strict=True))


def _offset_by_minimum(points: Points) -> PreparationModel:
    """The preparation with columns that lie far from 0 counted from their smallest value; the same where none do."""
    width = points.maximum - points.minimum
    far = (np.maximum(abs(points.minimum), abs(points.maximum)) > MAX_OFFSET * width) & (width > 0)
    if not far.any():
        return points.preparation
    features = [
        replace(feature, center=lowest, missing=-lowest) if is_far and isinstance(feature, PreparedFeature) else feature
        for feature, lowest, is_far in zip(points.preparation.features_, points.minimum.tolist(), far, strict=True)
    ]
    return replace(points.preparation, features_=tuple(features))


def nothing_to_cluster_on(caller: str, preparation: PreparationModel) -> ConfigurationError | DataRejectedError:
    """The error of a preparation without features, with why each was left out."""
    if not preparation.dropped_:
        return ConfigurationError(f"{caller} needs at least one feature; found none")
    why = "; ".join(f"{name} {reason}" for name, reason in preparation.dropped_.items())
    return DataRejectedError(f"{caller}: no feature tells the customers apart: {why}")


def sample_of(points: Points, *, size: int, seed: int) -> Coreset:
    """About this many of the customers, drawn by a hash of their keys, all of them where there are no more.

    Returns:
        The sample in the order of its coordinates, each customer weighing the same.
    """
    share = min(1.0, size / points.count)
    drawn = points.frame if share == 1 else hashed_share(points.frame, share=share, seed=seed, by=points.keys)
    rows = drawn.select(*points.inputs).toPandas().to_numpy(dtype=float)
    if not len(rows):  # a few different rows that all fell outside the share
        return sample_of(points, size=points.count, seed=seed)
    return Coreset(rows[in_order(rows)], np.full(len(rows), points.count / len(rows)), points.count)


def in_order(centers: np.ndarray) -> np.ndarray:
    """The positions of the centres in the order of their coordinates."""
    order: np.ndarray = np.lexsort(centers.T[::-1])
    return order
