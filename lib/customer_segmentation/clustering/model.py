"""A fitted segmentation by centres: plain, checked data that assigns customers by column arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering import ranking, sql
from customer_segmentation.clustering.base import SegmentationModel, finite
from customer_segmentation.clustering.ranking import NEAREST, NEAREST_VALUE, SECOND, SECOND_VALUE
from customer_segmentation.contract import columns as c


@dataclass(frozen=True)
class CentroidModel(SegmentationModel):
    """Segments around centres; a customer belongs to the nearest, ties in distance go to the first.

    The distance is Euclidean in prepared units. Models of `KMeans` and `BisectingKMeans` are of this class.

    centers_: one row per segment, one column per prepared feature.
    radii_: root mean square distance of a segment's customers to its centre, at the fit.
    outlier_distance: a customer further than this many radii from its centre is an outlier.
    cost_: sum of squared distances at the fit.
    """

    ALGORITHMS = ("kmeans", "bisecting_kmeans")

    centers_: np.ndarray
    radii_: tuple[float, ...]
    outlier_distance: float
    cost_: float

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("centers", self.centers_, (self.k, len(self.preparation.features)))
        finite("radii", self.radii_, (self.k,))

    @property
    def segment_centers(self) -> np.ndarray:
        """The centres."""
        return self.centers_

    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence, is_outlier, second_segment_id and drivers. One pass, no shuffle.

        confidence: 1 - distance to the nearest centre / distance to the second nearest, 0 to 1; 0 with one segment.
        second_segment_id: the second nearest; null with one segment.
        drivers: see `ranking.with_drivers`.

        Args:
            features: any frame with the features' columns, in natural units.

        Raises:
            ConfigurationError: features of the model are not among the columns.
        """
        self.require_features(features)
        ranked = ranking.with_drivers(self._ranked(features), self.preparation, self.centers_)
        ids = sql.integers(self.segment_ids)
        limits = sql.doubles((self.outlier_distance * radius) ** 2 for radius in self.radii_)
        told = {
            c.SEGMENT_ID: f"{ids}[{NEAREST}]",
            c.CONFIDENCE: ranking.relative_distance(f"sqrt({NEAREST_VALUE})", f"sqrt({SECOND_VALUE})"),
            c.IS_OUTLIER: f"{NEAREST_VALUE} > {limits}[{NEAREST}]",
            c.SECOND_SEGMENT_ID: f"{ids}[{SECOND}]",
        }
        return ranking.told(features, ranked, told | {c.DRIVERS: c.DRIVERS})

    def nearest(self, features: DataFrame) -> DataFrame:
        """The position of each row's nearest centre (`index`) and its squared distance (`squared`)."""
        return self._ranked(features).selectExpr(f"{NEAREST} AS index", f"{NEAREST_VALUE} AS squared")

    def _ranked(self, features: DataFrame) -> DataFrame:
        prepared = ranking.with_point(features, self.preparation)
        distances = {f"_squared{i}": ranking.squared_distance(center) for i, center in enumerate(self.centers_)}
        return ranking.with_two_smallest(prepared, distances, terms=len(self.preparation.features))

    def to_dict(self) -> dict[str, Any]:
        """Centres, radii, the distance of outliers and the cost."""
        return {
            "centers": [[float(value) for value in row] for row in self.centers_],
            "radii": list(self.radii_),
            "outlier_distance": self.outlier_distance,
            "cost": self.cost_,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that `to_dict` told."""
        return {
            "centers_": np.array(data["centers"], dtype=float),
            "radii_": tuple(float(radius) for radius in data["radii"]),
            "outlier_distance": float(data["outlier_distance"]),
            "cost_": float(data["cost"]),
        }
