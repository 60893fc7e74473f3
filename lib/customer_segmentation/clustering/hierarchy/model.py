"""A fitted hierarchy: a tree over micro-clusters, cut into segments, and if asked into macro-segments above them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from scipy.spatial import cKDTree

from customer_segmentation.clustering.calibrating import calibrated
from customer_segmentation.clustering.estimator.points import in_order
from customer_segmentation.clustering.hierarchy.micro import LEAF_SIZE, MicroClusters
from customer_segmentation.clustering.hierarchy.ward import clusters_within, labels
from customer_segmentation.clustering.model.base import Scorer, SegmentationModel, finite
from customer_segmentation.clustering.model.scoring import with_scores
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import sql

CUT_SEED = 42
"""Of the bootstraps by which a cut is calibrated."""


@dataclass(frozen=True)
class HierarchyModel(SegmentationModel):
    """A cut of a Ward tree over micro-clusters; a customer belongs to the segment of the nearest prototype.

    segment_ids: in the order of the segments' centres by coordinates.
    micro: the micro-clusters.
    linkage_: the whole tree as SciPy's `linkage` gives it, over the micro-clusters in their order, with customers for
        observations: (micro-clusters - 1) x 4.
    outlier_distance: without a calibration, a customer is an outlier when it is further from its segment's centre than
        this many root mean square distances of the segment's customers.
    macro_k: number of macro-segments, a coarser cut of the same tree, at most k; or None.
    """

    micro: MicroClusters
    linkage_: np.ndarray
    outlier_distance: float
    macro_k: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        count, d = len(self.micro.prototypes), len(self.preparation.features_)
        finite("prototypes", self.micro.prototypes, (count, d))
        finite("means", self.micro.means, (count, d))
        finite("squares", self.micro.squares, (count,))
        if count < 2 or not (finite("weights", self.micro.weights, (count,)) > 0).all():
            raise ValueError("a tree needs two micro-clusters or more, each with customers")
        _check_tree(finite("linkage", self.linkage_, (count - 1, 4)))
        if self.k > count:
            raise ValueError(f"{count} micro-clusters can't make {self.k} segments")
        if self.macro_k is not None and not 1 <= self.macro_k <= self.k:
            raise ValueError(f"macro_k must be from 1 to {self.k}; found {self.macro_k}")

    @property
    def segment_centers(self) -> np.ndarray:
        """The means of the segments' customers."""
        return self.centers_

    @property
    def compression_loss_(self) -> float:
        """Share of the customers' variance within the micro-clusters, 0 to 1: what the tree can't use."""
        return self.micro.compression_loss

    @cached_property
    def labels_(self) -> np.ndarray:
        """The position of each micro-cluster's segment in `segment_ids`."""
        numbers = labels(self.linkage_, self.k)
        order = in_order(_centers(self.micro, numbers))
        position: np.ndarray = np.argsort(order)[numbers]
        return position

    @cached_property
    def centers_(self) -> np.ndarray:
        """The mean of each segment's customers, in prepared units."""
        return _centers(self.micro, self.labels_)

    @cached_property
    def squares_(self) -> np.ndarray:
        """Summed squared distances of each segment's customers to its centre, exact over all rows."""
        away = ((self.micro.means - self.centers_[self.labels_]) ** 2).sum(axis=1)
        return np.bincount(self.labels_, self.micro.squares + self.micro.weights * away, minlength=self.k)

    @property
    def cost_(self) -> float:
        """Sum of all customers' squared distances to their segment's centre."""
        return float(self.squares_.sum())

    @property
    def radii_(self) -> tuple[float, ...]:
        """Root mean square distance of each segment's customers to its centre."""
        return tuple(np.sqrt(self.squares_ / self.sizes_).tolist())

    @property
    def sizes_(self) -> np.ndarray:
        """Customers in each segment, at the fit."""
        return np.bincount(self.labels_, self.micro.weights, minlength=self.k)

    @cached_property
    def macro_segments_(self) -> dict[int, int]:
        """The macro-segment of each segment id, numbered from 1 by their centres; {} where there are none."""
        if self.macro_k is None:
            return {}
        macro = self._cut(self.macro_k).labels_
        return {segment: int(macro[self.labels_ == i][0]) + 1 for i, segment in enumerate(self.segment_ids)}

    def cut(
        self, k: int | None = None, *, distance: float | None = None, macro_k: int | None = None
    ) -> "HierarchyModel":
        """Another model of the same tree; the segments of a smaller k are unions of those of a larger one.

        Args:
            k: number of segments, from 1 to the number of micro-clusters.
            distance: instead of k: merge all that is no further apart than this, in the units of `linkage_`.
            macro_k: macro-segments above them.

        Returns:
            A model whose segments are numbered from 1 in the order of their centres' coordinates, without names;
            calibrated by the micro-clusters where this one is calibrated.

        Raises:
            ConfigurationError: neither or both of k and distance are given, or one out of range.
        """
        if (k is None) == (distance is None):
            raise ConfigurationError("cut needs either k or distance")
        if k is None:
            k = clusters_within(self.linkage_, float(distance or 0.0))
        limit = len(self.micro.prototypes)
        if not 1 <= k <= limit:
            raise ConfigurationError(f"cut: k must be from 1 to {limit}, the number of micro-clusters; found {k}")
        if macro_k is not None and not 1 <= macro_k <= k:
            raise ConfigurationError(f"cut: macro_k must be from 1 to k = {k}; found {macro_k}")
        cut = self._cut(k, macro_k)
        if self.calibration is None:
            return cut
        everybody = Coreset(self.micro.means, self.micro.weights, round(self.micro.weights.sum()))
        return calibrated(cut, everybody, seed=CUT_SEED, outlier_share=self.calibration.outlier_share)

    def _cut(self, k: int, macro_k: int | None = None) -> "HierarchyModel":
        ids = tuple(range(1, k + 1))
        return replace(self, segment_ids=ids, macro_k=macro_k, names={}, stability={}, version="", calibration=None)

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The position of each prepared point's segment in `segment_ids`."""
        position: np.ndarray = self.labels_[cKDTree(self.micro.prototypes, leafsize=LEAF_SIZE).query(points)[1]]
        return position

    @property
    def scorer(self) -> Scorer:
        """The segment of the nearest prototype; the margin is by the centres."""
        return nearest_prototype_scorer(self.micro.prototypes, self.labels_, self.centers_, by_centers=True)

    @property
    def former_limits(self) -> Sequence[float]:
        """`outlier_distance` radii."""
        return list(self.outlier_distance * np.array(self.radii_))

    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence, is_outlier, second_segment_id, drivers, and if asked macro_segment_id.

        segment_id: of the nearest prototype; ties go to the first.
        second_segment_id: the other segment with the nearest prototype; null with one segment.
        macro_segment_id: where the model has macro-segments.
        confidence, is_outlier, drivers: see `SegmentationModel`.

        Args:
            features: any frame with the features' columns, in original units.

        Raises:
            ConfigurationError: features of the model are not among the columns.
        """
        macro = {}
        if self.macro_k is not None:
            macro[c.MACRO_SEGMENT_ID] = f"{sql.integers(self.macro_segments_.values())}[{{best}}]"
        scorer = self.scorer
        if self.calibration is None:
            scorer = nearest_prototype_scorer(self.micro.prototypes, self.labels_, self.centers_, by_centers=False)
        return with_scores(features, self, scorer, more=macro)

    def to_dict(self) -> dict[str, Any]:
        """Micro-clusters, tree and cut."""
        return {
            "sites": self.micro.prototypes.tolist(),
            "means": self.micro.means.tolist(),
            "weights": self.micro.weights.tolist(),
            "squares": self.micro.squares.tolist(),
            "linkage": self.linkage_.tolist(),
            "outlier_distance": self.outlier_distance,
            "macro_k": self.macro_k,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments for data of `to_dict`."""
        numbers = (np.array(data[name], dtype=float) for name in ("sites", "means", "weights", "squares"))
        return {
            "micro": MicroClusters(*numbers),
            "linkage_": np.array(data["linkage"], dtype=float),
            "outlier_distance": float(data["outlier_distance"]),
            "macro_k": None if data["macro_k"] is None else int(data["macro_k"]),
        }


def _centers(micro: MicroClusters, segments: np.ndarray) -> np.ndarray:
    sums = [np.bincount(segments, micro.weights * x) for x in micro.means.T]
    centers: np.ndarray = np.stack(sums, axis=1) / np.bincount(segments, micro.weights)[:, None]
    return centers


def _check_tree(linkage: np.ndarray) -> None:
    """Reject with a ValueError what does not merge each cluster once, after it was made, in the order of distances."""
    points = len(linkage) + 1
    merged = linkage[:, :2]
    made = points + np.arange(len(linkage))
    if sorted(merged.ravel().tolist()) != list(range(2 * points - 2)) or (merged >= made[:, None]).any():
        raise ValueError("linkage must merge each cluster once, after it was made")
    if (linkage[:, 2] < 0).any() or (np.diff(linkage[:, 2]) < 0).any():
        raise ValueError("linkage must be in the order of the distances, from 0 up")


def nearest_prototype_scorer(
    prototypes: np.ndarray, labels: np.ndarray, centers: np.ndarray, *, by_centers: bool
) -> Scorer:
    """Scores by the segment of the nearest prototype.

    The margin is 1 - distance to the nearest prototype / distance to the nearest one of another segment, 0 with one
    segment; or the same by centres, its own and the nearest other one, which is below 0 where the other one is nearer.
    """
    leaf_size = LEAF_SIZE
    searches: dict[int, tuple[cKDTree, np.ndarray]] = {}

    def search(excluded: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances to the nearest prototypes that are not of this segment, and the segments of these."""
        if excluded not in searches:
            kept = np.flatnonzero(labels != excluded)
            searches[excluded] = cKDTree(prototypes[kept], leafsize=leaf_size), labels[kept]
        tree, segments = searches[excluded]
        distance, position = tree.query(rows)
        return distance, segments[position]

    def score(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        rows = np.ascontiguousarray(points.T)
        distance, best = search(-1, rows)
        second, further = np.zeros_like(best), np.zeros(len(rows))
        for segment in np.unique(best) if len(centers) > 1 else ():
            here = np.flatnonzero(best == segment)
            further[here], second[here] = search(segment, rows[here])
        to_centers = np.stack([np.sqrt(((rows - center) ** 2).sum(axis=1)) for center in centers])
        own = to_centers[best, np.arange(len(rows))]
        if by_centers and len(centers) > 1:
            to_centers[best, np.arange(len(rows))] = np.inf
            distance, further = own, to_centers.min(axis=0)
        apart = further > 0
        margin = np.where(apart, 1 - distance / np.where(apart, further, 1), 0.0)
        return best, second, margin, own

    return score
