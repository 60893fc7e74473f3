"""A fitted segmentation by centres: plain, checked data that assigns customers by column arithmetic."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.clustering import sql
from customer_segmentation.clustering.preparation import Preparation
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError

SCHEMA_VERSION = 1
DRIVERS = 3


@dataclass(frozen=True)
class CentroidModel:
    """Segments around centres; a customer belongs to the nearest.

    preparation: how the features are prepared; distances are Euclidean in prepared units.
    segment_ids: ids in the order of the centres; ties in distance go to the smaller id.
    centers_: one row per segment, one column per prepared feature.
    radii_: root mean square distance of a segment's customers to its centre, at the fit.
    outlier_distance: a customer further than this many radii from its centre is an outlier.
    cost_: sum of squared distances at the fit.
    version, trained_as_of, names, stability, cut_points: what a registered model says of itself: its version, the
        as-of date of its training, the segments' names and bootstrap stability by id, the RFM cut points.
    """

    algorithm: str
    preparation: Preparation
    segment_ids: tuple[int, ...]
    centers_: np.ndarray
    radii_: tuple[float, ...]
    outlier_distance: float
    cost_: float
    version: str = ""
    trained_as_of: date = date.min
    names: Mapping[int, str] = field(default_factory=dict)
    stability: Mapping[int, float] = field(default_factory=dict)
    cut_points: Mapping[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        k, d = len(self.segment_ids), len(self.preparation.features)
        if self.centers_.shape != (k, d) or len(self.radii_) != k or not np.isfinite(self.centers_).all():
            raise ValueError(f"a model of {k} segments and {d} features needs {k} x {d} finite centres and {k} radii")
        if len(set(self.segment_ids)) != k:
            raise ValueError("segment ids must be distinct")

    @property
    def k(self) -> int:
        """Number of segments."""
        return len(self.segment_ids)

    def natural_centers(self) -> dict[int, dict[str, float]]:
        """The centres by segment id and feature, in natural units."""
        return {
            segment: self.preparation.natural(center)
            for segment, center in zip(self.segment_ids, self.centers_, strict=True)
        }

    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence, is_outlier and drivers. One pass, no shuffle.

        Args:
            features: any frame with the features' columns, in natural units.

        Raises:
            ConfigurationError: features of the model are not among the columns.
        """
        missing = [name for name in self.preparation.names if name not in features.columns]
        if missing:
            raise ConfigurationError(
                f"the model needs the features {', '.join(missing)}, which the frame has not; "
                f"it has {', '.join(features.columns)}"
            )
        second = min(1, self.k - 1)
        distance, further = "sqrt(_ranked[0].squared)", f"sqrt(_ranked[{second}].squared)"
        limit = f"{sql.double(self.outlier_distance)} * {sql.doubles(self.radii_)}[_ranked[0].index]"
        told = {
            c.SEGMENT_ID: f"{sql.integers(self.segment_ids)}[_ranked[0].index]",
            c.CONFIDENCE: f"coalesce(1D - try_divide({distance}, {further}), 0D)",
            c.IS_OUTLIER: f"{distance} > {limit}",
            c.DRIVERS: self._drivers("_ranked[0].index", f"_ranked[{second}].index"),
        }
        return self._ranked(features).withColumns({k: F.expr(v) for k, v in told.items()}).drop("_z", "_ranked")

    def nearest(self, features: DataFrame) -> DataFrame:
        """The position of each row's nearest centre (`index`) and its squared distance (`squared`)."""
        return self._ranked(features).selectExpr("_ranked[0].index AS index", "_ranked[0].squared AS squared")

    def _ranked(self, features: DataFrame) -> DataFrame:
        """The frame with its prepared values `_z` and all centres by distance, nearest first, `_ranked`."""
        prepared = ", ".join(feature.sql for feature in self.preparation.features)
        distances = ", ".join(
            f"named_struct('squared', {self._squared_distance(center)}, 'index', {i})"
            for i, center in enumerate(self.centers_)
        )
        return features.withColumn("_z", F.expr(f"array({prepared})")).withColumn(
            "_ranked", F.expr(f"sort_array(array({distances}))")
        )

    def _squared_distance(self, center: np.ndarray) -> str:
        return sql.total(sql.squared_difference(f"_z[{j}]", sql.double(x)) for j, x in enumerate(center))

    def _drivers(self, nearest: str, next_best: str) -> str:
        """Each feature's part in the difference of the two squared distances; the parts add up to it."""
        parts = {}
        for j, feature in enumerate(self.preparation.features):
            centers = sql.doubles(self.centers_[:, j])
            to_next = sql.squared_difference(f"_z[{j}]", f"{centers}[{next_best}]")
            to_nearest = sql.squared_difference(f"_z[{j}]", f"{centers}[{nearest}]")
            parts[feature.name] = f"({to_next} - {to_nearest})"
        whole = sql.total(parts.values())
        told = ", ".join(
            f"named_struct('effect', coalesce(try_divide({part}, {whole}), 0D), 'feature', {sql.text(name)}, "
            f"'value', CAST({sql.column(name)} AS DOUBLE))"
            for name, part in parts.items()
        )
        strongest = f"filter(slice(sort_array(array({told}), false), 1, {DRIVERS}), d -> d.effect > 0)"
        return f"transform({strongest}, d -> named_struct('feature', d.feature, 'value', d.value, 'effect', d.effect))"

    def to_json(self) -> str:
        """The model as JSON text, keys sorted: the same model is the same text."""
        data = {
            "schema_version": SCHEMA_VERSION,
            "algorithm": self.algorithm,
            "preparation": self.preparation.to_dict(),
            "segment_ids": list(self.segment_ids),
            "centers": [[float(value) for value in row] for row in self.centers_],
            "radii": list(self.radii_),
            "outlier_distance": self.outlier_distance,
            "cost": self.cost_,
            "version": self.version,
            "trained_as_of": self.trained_as_of.isoformat(),
            "names": {str(segment): name for segment, name in self.names.items()},
            "stability": {str(segment): index for segment, index in self.stability.items()},
            "cut_points": dict(self.cut_points),
        }
        return json.dumps(data, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "CentroidModel":
        """Read a model from JSON text, checking it.

        Raises:
            ConfigurationError: the text is not a model of this schema version.
        """
        try:
            data = json.loads(text)
            if data["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {data['schema_version']}, this library reads {SCHEMA_VERSION}")
            return cls(
                algorithm=str(data["algorithm"]),
                preparation=Preparation.from_dict(data["preparation"]),
                segment_ids=tuple(int(segment) for segment in data["segment_ids"]),
                centers_=np.array(data["centers"], dtype=float),
                radii_=tuple(float(radius) for radius in data["radii"]),
                outlier_distance=float(data["outlier_distance"]),
                cost_=float(data["cost"]),
                version=str(data["version"]),
                trained_as_of=date.fromisoformat(data["trained_as_of"]),
                names={int(segment): str(name) for segment, name in data["names"].items()},
                stability={int(segment): float(index) for segment, index in data["stability"].items()},
                cut_points={str(name): [float(cut) for cut in cuts] for name, cuts in data["cut_points"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"not a segmentation model: {error!r}") from None

    def save(self, spark: SparkSession, path: str) -> None:
        """Write the model to a path that Spark can write, as one JSON line; replaces what is there."""
        spark.createDataFrame([(self.to_json(),)], "value string").coalesce(1).write.mode("overwrite").text(path)

    @classmethod
    def load(cls, spark: SparkSession, path: str) -> "CentroidModel":
        """Read a model that `save` wrote.

        Raises:
            ConfigurationError: there is no model at the path.
        """
        row = spark.read.text(path).first()
        if row is None:
            raise ConfigurationError(f"{path} holds no model")
        return cls.from_json(row["value"])
