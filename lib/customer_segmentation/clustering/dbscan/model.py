"""A fitted DBSCAN: its core points, by which new customers are assigned as the old ones were."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from customer_segmentation.clustering import sql
from customer_segmentation.clustering.base import require_features
from customer_segmentation.clustering.dbscan.boxes import Boxes
from customer_segmentation.clustering.dbscan.workers import (
    BOX,
    ID,
    SEGMENT,
    assigning,
    assigning_in_box,
    coordinates,
    order_of,
    routing_home,
    routing_known,
)
from customer_segmentation.clustering.preparation import Preparation
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError

SCHEMA_VERSION = 1
BYTES_TO_EACH_TASK = 64 << 20
"""Core points up to this size go to every task; with more, customers go to the boxes that have their core points."""


@dataclass(frozen=True)
class DBSCANModel:
    """Segments of core points; a customer within eps of one belongs to the nearest one's segment, else it is noise.

    preparation: how the features are prepared; distances are Euclidean in prepared units.
    eps_: distance within which customers are neighbours.
    min_samples: customers that made a place dense at the fit.
    sizes_: core customers by segment at the fit; segments are numbered from 1.
    boxes_: the parts of space that are worked on apart.
    fingerprint_: of the core points: how many there are, and a checksum.
    core_points_: a row per distinct core point: its prepared features `_x0`, `_x1` and so on, `_id` (the smallest
        customer_id there, by which ties are broken; not where the fit had no ids), `_segment`.
    """

    algorithm: str
    preparation: Preparation
    eps_: float
    min_samples: int
    sizes_: tuple[int, ...]
    boxes_: Boxes
    fingerprint_: tuple[int, int]
    core_points_: DataFrame

    def __post_init__(self) -> None:
        if not (np.isfinite(self.eps_) and self.eps_ > 0 and self.min_samples >= 1):
            raise ValueError("eps must be finite and above 0, min_samples at least 1")
        if any(size < 1 for size in self.sizes_) or not self.preparation.features:
            raise ValueError("a model needs features, and core customers in each segment")
        if any(not 0 <= axis < len(self.preparation.features) for axis in self.boxes_.axis):
            raise ValueError("the boxes are cut along features that the model has not")

    @property
    def segment_ids(self) -> tuple[int, ...]:
        """The segments, without noise."""
        return tuple(range(1, len(self.sizes_) + 1))

    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence and is_outlier. Customers of the fit get what the fit found.

        segment_id: the segment of the nearest core point within eps, in a tie that of the smallest id; -1 for noise.
        confidence: 1 - distance / eps to that core point: 1 where it is, towards 0 at eps, 0 for noise.
        is_outlier: whether the customer is noise.

        With few core points the first call collects them, and the result is one pass without a shuffle. With many,
        the different points of the frame are sent to boxes and joined back.

        Args:
            features: any frame with the features' columns, in natural units. A value that is not finite makes noise.

        Raises:
            ConfigurationError: features of the model are not among the columns.
        """
        require_features(features, self.preparation)
        prepared = with_coordinates(features, self.preparation)
        small = self.fingerprint_[0] * 8 * (len(self._names) + 2) <= BYTES_TO_EACH_TASK
        found = self._assigned_by_task(prepared) if small else self._assigned_by_box(prepared)
        told = {
            c.SEGMENT_ID: F.col("_found.segment"),
            c.CONFIDENCE: F.col("_found.confidence"),
            c.IS_OUTLIER: F.col("_found.segment") < 0,
        }
        return found.withColumns(told).select(*(sql.column(name) for name in features.columns), *told)

    @property
    def _names(self) -> list[str]:
        return coordinate_names(self.preparation)

    def _assigned_by_task(self, prepared: DataFrame) -> DataFrame:
        points, order, segments = self._collected
        by_task: Any = pandas_udf  # its stubs know no iterators of frames
        assign = by_task(assigning(points, order, segments, self.eps_), "segment int, confidence double")
        return prepared.withColumn("_found", assign(F.struct(*self._names)))

    @cached_property
    def _collected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The core points in a fixed order: their coordinates, order of ids and segments."""
        table: pa.Table = self.core_points_.toArrow()
        points = coordinates(table, self._names)
        by = np.lexsort(points.T[::-1])
        return points[by], order_of(table, self._names)[by], np.asarray(table.column(SEGMENT))[by]

    def _assigned_by_box(self, prepared: DataFrame) -> DataFrame:
        names, boxes = self._names, self.boxes_
        point = ", ".join(f"`{name}` double" for name in names)
        core = self.core_points_
        columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in core.schema.fields)
        asked = prepared.select(*names).distinct().mapInArrow(routing_home(boxes, names), f"{point}, {BOX} int")
        known = core.mapInArrow(routing_known(boxes, names, self.eps_), f"{columns}, {BOX} int")
        parts = boxes.count
        together = asked.repartition(parts, BOX).groupBy(BOX).cogroup(known.repartition(parts, BOX).groupBy(BOX))
        found = together.applyInArrow(
            assigning_in_box(names, self.eps_), f"{point}, {SEGMENT} int, _confidence double"
        ).select(
            *names, F.struct(F.col(SEGMENT).alias("segment"), F.col("_confidence").alias("confidence")).alias("_found")
        )
        return prepared.join(found, names, "left")

    def to_json(self) -> str:
        """The model without its core points as JSON text, keys sorted."""
        data = {
            "schema_version": SCHEMA_VERSION,
            "algorithm": self.algorithm,
            "preparation": self.preparation.to_dict(),
            "eps": self.eps_,
            "min_samples": self.min_samples,
            "sizes": list(self.sizes_),
            "boxes": self.boxes_.to_dict(),
            "fingerprint": list(self.fingerprint_),
        }
        return json.dumps(data, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, core_points: DataFrame) -> "DBSCANModel":
        """Read a model from JSON text and its core points, checking both. Runs one aggregation.

        Raises:
            ConfigurationError: the text is not a model of this schema version, or the core points are not its own.
        """
        try:
            data = json.loads(text)
            if data["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {data['schema_version']}, this library reads {SCHEMA_VERSION}")
            if data["algorithm"] != "dbscan":
                raise ValueError(f"algorithm {data['algorithm']!r}, not 'dbscan'")
            points, checksum = data["fingerprint"]
            model = cls(
                algorithm="dbscan",
                preparation=Preparation.from_dict(data["preparation"]),
                eps_=float(data["eps"]),
                min_samples=int(data["min_samples"]),
                sizes_=tuple(int(size) for size in data["sizes"]),
                boxes_=Boxes.from_dict(data["boxes"]),
                fingerprint_=(int(points), int(checksum)),
                core_points_=core_points,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"not a DBSCAN model: {error!r}") from None
        types: dict[str, Any] = dict(core_points.dtypes)
        expected = {**dict.fromkeys(model._names, "double"), SEGMENT: "int"}
        differs = {name: types.get(name, "nothing") for name, type_ in expected.items() if types.get(name) != type_}
        if differs or set(types) - set(expected) - {ID}:
            raise ConfigurationError(f"core points need the columns {expected}; found {types}")
        found = fingerprint(core_points)
        if found != model.fingerprint_:
            raise ConfigurationError(
                f"the core points are not the model's: count and checksum {found}, expected {model.fingerprint_}"
            )
        return model

    def save(self, spark: SparkSession, path: str) -> None:
        """Write the model to a path that Spark can write; replaces what is there.

        Under the path: `core_points`, Parquet; then `model`, one JSON line. A model can't be saved where it was loaded
        from.
        """
        self.core_points_.write.mode("overwrite").parquet(f"{path}/core_points")
        line = spark.createDataFrame([(self.to_json(),)], "value string").coalesce(1)
        line.write.mode("overwrite").text(f"{path}/model")

    @classmethod
    def load(cls, spark: SparkSession, path: str) -> "DBSCANModel":
        """Read a model that `save` wrote.

        Raises:
            ConfigurationError: there is no such model at the path, or its parts don't belong together.
        """
        try:
            line = spark.read.text(f"{path}/model").first()
            text = line["value"] if line is not None else ""
            return cls.from_json(text, spark.read.parquet(f"{path}/core_points"))
        except AnalysisException as error:
            raise ConfigurationError(f"{path} holds no DBSCAN model: {error}") from None


def coordinate_names(preparation: Preparation) -> list[str]:
    """The columns that hold the prepared features."""
    return [f"_x{j}" for j in range(len(preparation.features))]


def with_coordinates(frame: DataFrame, preparation: Preparation) -> DataFrame:
    """The frame with its prepared features as columns."""
    names = coordinate_names(preparation)
    return frame.selectExpr("*", *(f"{f.sql} AS {name}" for name, f in zip(names, preparation.features, strict=True)))


def fingerprint(core_points: DataFrame) -> tuple[int, int]:
    """How many core points there are, and a checksum that does not depend on their order."""
    names = sorted(core_points.columns)
    row = core_points.agg(F.count(F.lit(1)), F.coalesce(F.bit_xor(F.xxhash64(*names)), F.lit(0))).first()
    assert row is not None, "an aggregation without grouping has one row"
    return int(row[0]), int(row[1])
