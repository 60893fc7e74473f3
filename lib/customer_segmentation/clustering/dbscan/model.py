"""A fitted DBSCAN: its core points, by which new customers are assigned as the old ones were."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.spatial import cKDTree

from customer_segmentation.clustering.dbscan.space import SpacePartition
from customer_segmentation.clustering.dbscan.workers import (
    RANK,
    REGION,
    SEGMENT,
    assigned,
    assigning,
    assigning_in_region,
    coordinates,
    order_of,
    routing_home,
    routing_known,
)
from customer_segmentation.clustering.model.base import (
    Scorer,
    SegmentationModel,
    finite,
    literal_path,
    require_features,
)
from customer_segmentation.clustering.model.scoring import with_reasons
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import coordinate_names, sql
from customer_segmentation.preparation.frames import free_name
from customer_segmentation.spark.arrow_functions import arrow_function

BROADCAST_LIMIT_BYTES = 64 << 20
"""Core points up to this size go to every task; with more, customers go to the regions that have their core points."""


@dataclass(frozen=True)
class DBSCANModel(SegmentationModel):
    """Segments of core points; a customer within eps of one belongs to the nearest one's segment, else it is noise.

    segment_ids: from the segment with the most core customers at the fit to the one with the fewest; none where all
        customers were noise.
    eps_: distance within which customers are neighbours, Euclidean in prepared units.
    min_samples: customers that made a place dense at the fit.
    sizes_: core customers of each segment at the fit.
    centers_: the means of each segment's core customers.
    regions_: the parts of space that are worked on apart.
    fingerprint_: of the core points: how many there are, and a checksum.
    core_points_: a row per distinct core point: its prepared features `_x0`, `_x1` and so on; `_rank`, its place in the
        order of the smallest customer_id there (of the coordinates where the fit had no ids), by which ties are
        broken; `_segment`, the place of its segment in segment_ids, from 1. Holds no customer_id. None where it is not
        at hand: such a model describes its segments, but can't assign.
    """

    MIN_SEGMENTS = 0
    IS_CALIBRATED_BY_SAMPLES = False  # which are less dense

    eps_: float
    min_samples: int
    sizes_: tuple[int, ...]
    centers_: np.ndarray
    regions_: SpacePartition
    fingerprint_: tuple[int, int]
    core_points_: DataFrame | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.eps_) and self.eps_ > 0 and self.min_samples >= 1):
            raise ValueError("eps must be finite and above 0, min_samples at least 1")
        if len(self.sizes_) != self.k or any(size < 1 for size in self.sizes_):
            raise ValueError("each segment needs core customers")
        finite("centers", self.centers_, (self.k, len(self.preparation.features_)))
        if any(not 0 <= axis < len(self.preparation.features_) for axis in self.regions_.axis):
            raise ValueError("the regions are cut along features that the model has not")

    @property
    def segment_centers(self) -> np.ndarray:
        """The means of the segments' core customers."""
        return self.centers_

    @property
    def scorer(self) -> Scorer:
        """The nearest core point within eps; the margin is 1 - distance / eps. For few core points: it collects them.

        Segments need not be round, so no distance from a centre is unusual: all are 0. There is no second best.
        """
        core, order, segments = self._collected
        tree, eps = cKDTree(core.reshape(-1, len(self._names))), self.eps_

        def score(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
            segment, margin = assigned(tree, core, order, segments, points.T, eps)
            best = np.where(segment < 0, -1, segment - 1)
            return best, np.full(len(best), -1), margin, np.zeros(len(best))

        return score

    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence, is_outlier, second_segment_id and drivers.

        Customers of the fit get their segment of the fit.

        segment_id: the segment of the nearest core point within eps, in a tie that of the lowest rank; -1 for noise.
        confidence: the share of bootstraps of the fit's customers that put such a customer into this segment, as
            calibrated from 1 - distance / eps to that core point, which it is where the fit had too many customers to
            be calibrated; 0 for noise.
        is_outlier: whether the customer is noise.
        second_segment_id: the other segment with the nearest centre, for noise the one with the nearest centre at
            all; null where there is none. Segments need not be round, so it need not be the one next to the customer.
        drivers: between the centres of the two segments, see `scoring.with_reasons`; none for noise.

        With few core points the first call collects them, and the result is one pass without a shuffle. With many,
        the different points of the frame are sent to regions and joined back.

        Args:
            features: any frame with the features' columns, in original units. A customer with a value that is
                infinite, or beyond 1e100, is noise.

        Raises:
            ConfigurationError: features of the model are not among the columns, or the model has no core points.
            DataRejectedError: a feature is no number, or a name stands for several columns.
        """
        require_features(features, self.preparation)
        added = (c.SEGMENT_ID, c.CONFIDENCE, c.IS_OUTLIER, c.SECOND_SEGMENT_ID, c.DRIVERS)
        present = features.columns
        own = [sql.column(name) for name in present if name.lower() not in added]
        point, match = free_name("_point", present), free_name("_match", present)
        named = zip(self.preparation.measurable(features), self._names, strict=True)
        coordinates = F.struct(*(F.expr(value).alias(name) for value, name in named))
        prepared = features.withColumn(point, coordinates)
        small = self.fingerprint_[0] * 8 * (len(self._names) + 2) <= BROADCAST_LIMIT_BYTES
        by = self._assigned_by_task if small else self._assigned_by_region
        ids = sql.integers(self.segment_ids) if self.k else "CAST(array() AS ARRAY<INT>)"
        values = {
            c.SEGMENT_ID: f"coalesce(get({ids}, {match}.segment - 1), {c.NOISE_ID})",
            c.IS_OUTLIER: f"{match}.segment < 0",
        }
        position = f"if({match}.segment < 0, -1, {match}.segment - 1)"
        explained = with_reasons(by(prepared, point, match), self, position=position, margin=f"{match}.confidence")
        return explained.select(
            *own, *(F.expr(values[name]).alias(name) if name in values else F.col(name) for name in added)
        )

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The position of each prepared point's segment, -1 for noise. For few core points: it collects them."""
        return self.scorer(np.ascontiguousarray(points.T))[0]

    def with_core_points(self, core_points: DataFrame) -> "DBSCANModel":
        """The model with its core points, checked. Runs one aggregation.

        Raises:
            ConfigurationError: the core points are not the model's own.
        """
        types: dict[str, Any] = dict(core_points.dtypes)
        expected = {**dict.fromkeys(self._names, "double"), RANK: "bigint", SEGMENT: "int"}
        if types != expected:
            raise ConfigurationError(f"core points need the columns {expected}; found {types}")
        given = fingerprint(core_points)
        if given != self.fingerprint_:
            raise ConfigurationError(
                f"the core points are not the model's: count and checksum {given}, expected {self.fingerprint_}"
            )
        return replace(self, core_points_=core_points)

    @property
    def core_points(self) -> DataFrame:
        """The core points; a ConfigurationError where they are not at hand."""
        if self.core_points_ is None:
            raise ConfigurationError("a DBSCAN model assigns by its core points, which are not at hand")
        return self.core_points_

    @property
    def _names(self) -> list[str]:
        return coordinate_names(self.preparation)

    def _assigned_by_task(self, prepared: DataFrame, point: str, match: str) -> DataFrame:
        points, order, segments = self._collected
        assign = arrow_function(assigning(points, order, segments, self.eps_), "segment int, confidence double")
        return prepared.withColumn(match, assign(F.col(point)))

    @cached_property
    def _collected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The core points in a fixed order: their coordinates, ranks and segments."""
        table: pa.Table = self.core_points.toArrow()
        points = coordinates(table, self._names)
        order = np.lexsort(points.T[::-1])
        return points[order], order_of(table, self._names)[order], np.asarray(table.column(SEGMENT))[order]

    def _assigned_by_region(self, prepared: DataFrame, point: str, match: str) -> DataFrame:
        names, regions = self._names, self.regions_
        types = ", ".join(f"`{name}` double" for name in names)
        core = self.core_points
        columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in core.schema.fields)
        distinct = prepared.select(f"{point}.*").distinct()
        queried = distinct.mapInArrow(routing_home(regions, names), f"{types}, {REGION} int")
        known = core.mapInArrow(routing_known(regions, names, self.eps_), f"{columns}, {REGION} int")
        parts = regions.count
        together = (
            queried.repartition(parts, REGION).groupBy(REGION).cogroup(known.repartition(parts, REGION).groupBy(REGION))
        )
        assigned = together.applyInArrow(
            assigning_in_region(names, self.eps_), f"{types}, {SEGMENT} int, _confidence double"
        ).select(
            F.struct(*names).alias(point),
            F.struct(F.col(SEGMENT).alias("segment"), F.col("_confidence").alias("confidence")).alias(match),
        )
        return prepared.join(assigned, point, "left")

    def to_dict(self) -> dict[str, Any]:
        """All but the core points."""
        return {
            "eps": self.eps_,
            "min_samples": self.min_samples,
            "sizes": list(self.sizes_),
            "centers": self.centers_.tolist(),
            "boxes": self.regions_.to_dict(),
            "fingerprint": list(self.fingerprint_),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments for data of `to_dict`."""
        points, checksum = data["fingerprint"]
        sizes = tuple(int(size) for size in data["sizes"])
        return {
            "eps_": float(data["eps"]),
            "min_samples": int(data["min_samples"]),
            "sizes_": sizes,
            "centers_": np.array(data["centers"], dtype=float).reshape(
                len(sizes), len(data["preparation"]["features"])
            ),
            "regions_": SpacePartition.from_dict(data["boxes"]),
            "fingerprint_": (int(points), int(checksum)),
        }

    def save(self, spark: SparkSession, path: str) -> None:
        """Write the model to a path that Spark can write; replaces what is there.

        Under the path: `core_points`, Parquet; then `model`, one JSON line. A model can't be saved where it was loaded
        from.
        """
        self.core_points.write.mode("overwrite").parquet(f"{path}/core_points")
        super().save(spark, path)

    def _with_parts(self, spark: SparkSession, path: str) -> "DBSCANModel":
        try:
            core_points = spark.read.parquet(literal_path(f"{path}/core_points"))
        except AnalysisException as error:
            raise ConfigurationError(f"{path} holds no core points of a DBSCAN model: {error}") from None
        return self.with_core_points(core_points)


def fingerprint(core_points: DataFrame) -> tuple[int, int]:
    """How many core points there are, and a checksum that does not depend on their order."""
    names = sorted(core_points.columns)
    row = core_points.agg(F.count(F.lit(1)), F.coalesce(F.bit_xor(F.xxhash64(*names)), F.lit(0))).first()
    assert row is not None, "an aggregation without grouping has one row"
    return int(row[0]), int(row[1])
