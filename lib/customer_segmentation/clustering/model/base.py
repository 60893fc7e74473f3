"""What every fitted segmentation has in common: its description, plain JSON, and a check of the features."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Self

import numpy as np
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.clustering.model.calibration import Calibration
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import PreparationModel
from customer_segmentation.preparation.frames import require_columns
from customer_segmentation.spark.distinct_columns import require_distinct_columns

SCHEMA_VERSION = 1

Scorer = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
"""From features x n points, none beyond 1e100, for each point: the positions of the best and the second best segment
among the model's (with one segment, both 0; -1 for none), how clear the case is, and the distance from the best one's
centre. A function within a function, so that it is sent to workers by its value."""


@dataclass(frozen=True)
class SegmentationModel(ABC):
    """A fitted segmentation: plain, checked data that assigns customers to segments.

    algorithm: a registered one, whose models are of this class.
    preparation: how the features are prepared; distances are in prepared units.
    segment_ids: distinct ids, in the model's own order of its segments.
    version, trained_as_of, names, stability, cut_points: of a registered model: its version, the as-of date of its
        training, the segments' names and bootstrap stability by id, the RFM cut points.
    highest_id: the highest segment id that this model or one before it has used: a new segment gets a higher one. 0
        where the model was not trained by `train`.
    actions, activities, purchase_rates: likewise: what is suggested for the segments and how active they were at the
        training, by id, and what the latter rests on, as JSON-able data; empty in models of earlier releases.
    value: likewise: the value model of the training, see `customer_segmentation.value`.
    feature_means: likewise: the mean of each prepared feature at the training, in original units.
    calibration: what the fit learnt of how sure an assignment is and how far away is unusual. None, as in models of
        release 0.1.0: the confidence is the model's own margin, and outliers are by a fixed distance.

    Example:
        >>> from customer_segmentation.clustering import KMeans
        >>> features = spark.createDataFrame([("a", 1.0), ("b", 2.0), ("c", 9.0)], "customer_id string, orders double")
        >>> model = KMeans(k=2).fit(features, columns=["orders"])
        >>> model.centers_in_original_units()
        {1: {'orders': 1.5}, 2: {'orders': 9.0}}
        >>> new = spark.createDataFrame([("d", 2.0)], "customer_id string, orders double")
        >>> model.assign(new).select("segment_id", "second_segment_id", "is_outlier").first()
        Row(segment_id=1, second_segment_id=2, is_outlier=False)
    """

    MIN_SEGMENTS: ClassVar[int] = 1
    IS_CALIBRATED_BY_SAMPLES: ClassVar[bool] = True
    """Whether a sample of the customers says how sure an assignment of all of them is."""

    HAS_LIKELIHOOD: ClassVar[bool] = False
    """Whether the cost of its metrics is minus twice a log-likelihood."""

    algorithm: str
    preparation: PreparationModel
    segment_ids: tuple[int, ...]
    version: str = field(default="", kw_only=True)
    trained_as_of: date = field(default=date.min, kw_only=True)
    names: Mapping[int, str] = field(default_factory=dict, kw_only=True)
    stability: Mapping[int, float] = field(default_factory=dict, kw_only=True)
    cut_points: Mapping[str, list[float]] = field(default_factory=dict, kw_only=True)
    highest_id: int = field(default=0, kw_only=True)
    actions: Mapping[int, str] = field(default_factory=dict, kw_only=True)
    activities: Mapping[int, str] = field(default_factory=dict, kw_only=True)
    purchase_rates: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    value: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    feature_means: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    calibration: Calibration | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if len(set(self.segment_ids)) != self.k or self.k < self.MIN_SEGMENTS:
            raise ValueError(f"segment ids must be distinct, at least {self.MIN_SEGMENTS}")
        if not self.preparation.features_:
            raise ValueError("a model needs a feature at least")
        if self.calibration is not None and len(self.calibration.limits) != self.k:
            raise ValueError(f"a calibration of {self.k} segments is needed; found {len(self.calibration.limits)}")

    @property
    def k(self) -> int:
        """Number of segments."""
        return len(self.segment_ids)

    @property
    @abstractmethod
    def segment_centers(self) -> np.ndarray:
        """The segments' centres in prepared units, a row for each of `segment_ids`."""

    @property
    @abstractmethod
    def scorer(self) -> Scorer:
        """Puts prepared points into segments."""

    @property
    def former_limits(self) -> Sequence[float]:
        """Without a calibration, the distance of each segment beyond which customers are outliers."""
        return [np.inf] * self.k

    def unseen_distances(self, segments: np.ndarray, distances: np.ndarray, rows: int) -> np.ndarray:
        """The distances that customers of the fit would have in a fit without them.

        Args:
            segments: (n,) positions of their segments.
            distances: (n,) of the scorer.
            rows: customers of the fit.
        """
        return distances

    @abstractmethod
    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence, is_outlier, second_segment_id and drivers.

        confidence: the share of bootstraps of the fit's customers that put such a customer into this segment, 0 to 1,
            as calibrated from the margin; see `clustering.calibrating`.
        is_outlier: whether the customer is further from the segment's centre than all but a share of the fit's.
        drivers: why this segment and not the second best, see `scoring`.

        Args:
            features: any frame with the features' columns, in original units. A missing value, NaN among them,
                counts as in the preparation, and is no driver; a customer with an infinite value, or one beyond
                1e100, is an outlier with confidence 0.

        Raises:
            ConfigurationError: features of the model are not among the columns.
            DataRejectedError: a feature is no number, or a name stands for several columns.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What was fitted, as JSON-able data, without what all models have."""

    @classmethod
    @abstractmethod
    def from_dict(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments for data of `to_dict`; KeyError, TypeError or ValueError where it is none."""

    def transform(self, features: DataFrame) -> DataFrame:
        """The same as `assign`, by the name that Spark ML and scikit-learn have for it."""
        return self.assign(features)

    def centers_in_original_units(self) -> dict[int, dict[str, float]]:
        """The centres by segment id and feature, in original units."""
        return {
            segment: self.preparation.inverse_transform(center)
            for segment, center in zip(self.segment_ids, self.segment_centers, strict=True)
        }

    def centers_in(self, preparation: PreparationModel) -> np.ndarray:
        """The centres by way of original units in the units of another preparation, of the same features."""
        return self.carried_over(self.segment_centers, preparation)

    def carried_over(self, points: np.ndarray, preparation: PreparationModel) -> np.ndarray:
        """Prepared points (n, d) of this model's in another preparation of the same features; the same in the same."""
        if preparation.features_ == self.preparation.features_:
            return points
        original = map(self.preparation.inverse_transform, points)
        return np.stack([preparation.transform_point(values) for values in original])

    def to_json(self) -> str:
        """The model as JSON text, keys sorted: the same model is the same text."""
        data = {
            "schema_version": SCHEMA_VERSION,
            "algorithm": self.algorithm,
            "preparation": self.preparation.to_dict(),
            "segment_ids": list(self.segment_ids),
            "version": self.version,
            "trained_as_of": self.trained_as_of.isoformat(),
            "names": {str(segment): name for segment, name in self.names.items()},
            "stability": {str(segment): index for segment, index in self.stability.items()},
            "cut_points": dict(self.cut_points),
            **self.to_dict(),
        }
        since_0_1 = {
            "highest_id": self.highest_id,
            "actions": {str(segment): action for segment, action in self.actions.items()},
            "activities": {str(segment): activity for segment, activity in self.activities.items()},
            "purchase_rates": dict(self.purchase_rates),
            "value": dict(self.value),
            "feature_means": dict(self.feature_means),
            "calibration": self.calibration.to_dict() if self.calibration else None,
        }
        # What a model has not is left out, so that one of 0.1.0 is written as it was.
        data |= {name: value for name, value in since_0_1.items() if value}
        return json.dumps(data, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a model of this class, or of one below it, from JSON text, checking it.

        Raises:
            ConfigurationError: the text is no such model, of an algorithm that is not registered, or of another schema
                version.
        """
        try:
            data = json.loads(text)
            if data["algorithm"] not in ALGORITHMS:
                raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}; found {data['algorithm']!r}")
            model = ALGORITHMS[data["algorithm"]].model
            if not issubclass(model, cls):
                raise ValueError(f"a model of {data['algorithm']} is no {cls.__name__}")
            if data["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {data['schema_version']}, this library reads {SCHEMA_VERSION}")
            return model(
                algorithm=str(data["algorithm"]),
                preparation=PreparationModel.from_dict(data["preparation"]),
                segment_ids=tuple(int(segment) for segment in data["segment_ids"]),
                version=str(data["version"]),
                trained_as_of=date.fromisoformat(data["trained_as_of"]),
                names={int(segment): str(name) for segment, name in data["names"].items()},
                stability={int(segment): float(index) for segment, index in data["stability"].items()},
                highest_id=int(data.get("highest_id", 0)),
                cut_points={str(name): [float(cut) for cut in cuts] for name, cuts in data["cut_points"].items()},
                actions={int(segment): str(action) for segment, action in data.get("actions", {}).items()},
                activities={int(segment): str(activity) for segment, activity in data.get("activities", {}).items()},
                purchase_rates=dict(data.get("purchase_rates", {})),
                value=dict(data.get("value", {})),
                feature_means={str(name): float(mean) for name, mean in data.get("feature_means", {}).items()},
                calibration=Calibration.from_dict(data["calibration"]) if "calibration" in data else None,
                **model.from_dict(data),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigurationError(f"not a segmentation model: {error!r}") from None

    def save(self, spark: SparkSession, path: str) -> None:
        """Write the model to a path that Spark can write; replaces what is there.

        Under the path: `model`, one JSON line.
        """
        line = spark.createDataFrame([(self.to_json(),)], "value string").coalesce(1)
        line.write.mode("overwrite").text(f"{path}/model")

    @classmethod
    def load(cls, spark: SparkSession, path: str) -> Self:
        """Read a model that `save` wrote.

        Raises:
            ConfigurationError: there is no model of this class at the path, or its parts don't belong together.
        """
        return cls.from_json(_saved_text(spark, path))._with_parts(spark, path)

    def _with_parts(self, spark: SparkSession, path: str) -> Self:
        """The model with what `save` wrote of it besides the JSON text."""
        return self


def require_features(features: DataFrame, preparation: PreparationModel) -> None:
    """Reject a frame that lacks what a model's preparation reads, or has something else of that name.

    Raises:
        ConfigurationError: a feature of the model is not there.
        DataRejectedError: a feature is no number; a name stands for several columns.
    """
    lead = "the model needs the features "
    require_columns("assign", features, numbers=preparation.numbers, others=preparation.inputs, lead=lead)
    require_distinct_columns("assign", features)


def _saved_text(spark: SparkSession, path: str) -> str:
    """The JSON text that `save` wrote; a ConfigurationError where there is none."""
    try:
        row = spark.read.text(literal_path(f"{path}/model")).first()
    except AnalysisException as error:
        raise ConfigurationError(f"{path} holds no model: {error}") from None
    if row is None:
        raise ConfigurationError(f"{path} holds no model")
    return str(row["value"])


def literal_path(path: str) -> str:
    """The path as Spark's readers take it, which would look for a pattern where it has signs of one."""
    return re.sub(r"([][{}*?\\])", r"\\\1", path)


def finite(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The values as an array of this shape; a ValueError where they are not numbers, not finite or not that many."""
    array = np.array(values, dtype=float)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name} must be {' x '.join(map(str, shape))} finite numbers; found shape {array.shape}")
    return array
