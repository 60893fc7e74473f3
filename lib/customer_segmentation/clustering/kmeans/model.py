"""A fitted segmentation by centres: plain, checked data that assigns customers to the nearest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.model.base import Scorer, SegmentationModel, finite
from customer_segmentation.clustering.model.scoring import nearest_center_scorer, with_scores
from customer_segmentation.clustering.selection.metrics import Partition


@dataclass(frozen=True)
class CentroidModel(SegmentationModel):
    """Segments around centres; a customer belongs to the nearest, ties in distance go to the first.

    The distance is Euclidean in prepared units. Models of `KMeans` and `BisectingKMeans` are of this class.

    centers_: one row per segment, one column per prepared feature.
    radii_: root mean square distance of a segment's customers to its centre, at the fit.
    outlier_distance: without a calibration, a customer further than this many radii from its centre is an outlier.
    cost_: sum of squared distances at the fit.
    """

    centers_: np.ndarray
    radii_: tuple[float, ...]
    outlier_distance: float
    cost_: float

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("centers", self.centers_, (self.k, len(self.preparation.features_)))
        finite("radii", self.radii_, (self.k,))

    @property
    def segment_centers(self) -> np.ndarray:
        """The centres."""
        return self.centers_

    @property
    def partition(self) -> Partition:
        """The segments as a partition of any point, in the order of the segment ids."""
        return Partition(self.centers_)

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The position of each prepared point's segment in `segment_ids`."""
        return self.partition.labels(points)

    @property
    def scorer(self) -> Scorer:
        """The nearest centre; the margin is 1 - distance to it / distance to the second nearest, 0 with one segment."""
        return nearest_center_scorer(self.centers_)

    @property
    def former_limits(self) -> Sequence[float]:
        """`outlier_distance` radii."""
        return list(self.outlier_distance * np.array(self.radii_))

    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence, is_outlier, second_segment_id and drivers; see `SegmentationModel`.

        second_segment_id: the second nearest; null with one segment.

        Args:
            features: any frame with the features' columns, in original units.

        Raises:
            ConfigurationError: features of the model are not among the columns.
        """
        return with_scores(features, self, self.scorer)

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
        """The constructor's arguments for data of `to_dict`."""
        return {
            "centers_": np.array(data["centers"], dtype=float),
            "radii_": tuple(float(radius) for radius in data["radii"]),
            "outlier_distance": float(data["outlier_distance"]),
            "cost_": float(data["cost"]),
        }
