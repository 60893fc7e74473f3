"""Hierarchical clustering of any number of customers: Ward's method on micro-clusters."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from customer_segmentation.clustering.calibrating import BOOTSTRAPS, OUTLIER_SHARE
from customer_segmentation.clustering.estimator.base import SegmentationEstimator
from customer_segmentation.clustering.estimator.points import Points
from customer_segmentation.clustering.hierarchy.micro import MicroClusters, micro_clusters
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.hierarchy.ward import clusters_within, ward
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError

OUTLIER_DISTANCE = 3.0
"""See `HierarchyModel`."""


@dataclass(repr=False, eq=False)
class AgglomerativeClustering(SegmentationEstimator[HierarchyModel]):
    """Hierarchical clustering by Ward's method (Ward 1963).

    All customers are first grouped into micro-clusters, and the tree is built over these, each weighing as many
    customers as it has. With no more different customers than micro-clusters the tree is exactly Ward's; otherwise
    `compression_loss_` of the model says how much of the customers' variance lies within the micro-clusters. Segments
    are numbered from 1 in the order of their centres' coordinates; the model's `cut` gives other cuts of the same tree.

    Args:
        k: number of segments, at least 2; not with distance_threshold.
        distance_threshold: instead of k, merge all that is no further apart, in the units of SciPy's Ward linkage.
        macro_k: number of macro-segments above the segments, from 2 to k; None for none.
        micro_clusters: the most micro-clusters, at least 2.
        seed: of the sample by which the micro-clusters are placed.
        outlier_share: share of the customers that are to be outliers, 0 to 0.2.
        bootstraps: samples to calibrate confidence on, see `clustering.calibrating`; 0: none, the confidence is then
            1 - distance to the nearest micro-cluster / distance to the nearest one of another segment.

    Example:
        >>> from customer_segmentation.clustering import AgglomerativeClustering
        >>> features = spark.createDataFrame([(1.0,), (2.0,), (8.0,), (9.5,)], "orders double")
        >>> model = AgglomerativeClustering(k=2).fit(features, columns=["orders"])
        >>> model.centers_.tolist(), model.sizes_.tolist()
        ([[1.5], [8.75]], [2.0, 2.0])
        >>> model.cut(3).centers_.tolist()
        [[1.5], [8.0], [9.5]]
    """

    algorithm = "agglomerative"

    k: int | None = None
    _: KW_ONLY
    distance_threshold: float | None = None
    macro_k: int | None = None
    micro_clusters: int = 2_000
    seed: int = 42
    outlier_share: float = OUTLIER_SHARE
    bootstraps: int = BOOTSTRAPS

    def _validate(self) -> None:
        if (self.k is None) == (self.distance_threshold is None):
            raise ConfigurationError(f"{type(self).__name__} needs either k or distance_threshold")
        self._require_whole("micro_clusters", minimum=2)
        if self.k is None:
            self._require_above("distance_threshold", 0)
        else:
            self._require_whole("k", minimum=2)
            if self.k > self.micro_clusters:
                raise self._error("k", f"at most micro_clusters = {self.micro_clusters}", self.k)
        if self.macro_k is not None:
            self._require_whole("macro_k", minimum=2)
            if self.k is not None and self.macro_k > self.k:
                raise self._error("macro_k", f"at most k = {self.k}", self.macro_k)
        self._validate_calibration()

    def _fit(self, points: Points) -> HierarchyModel:
        points.require(max(self.k or 2, self.macro_k or 2))
        micro = micro_clusters(points, max_count=self.micro_clusters, seed=self.seed)
        linkage = ward(micro.means, micro.weights)
        return HierarchyModel(
            algorithm=self.algorithm,
            preparation=points.preparation,
            segment_ids=tuple(range(1, self._segments(micro, linkage) + 1)),
            micro=micro,
            linkage_=linkage,
            outlier_distance=OUTLIER_DISTANCE,
            macro_k=self.macro_k,
        )

    def _segments(self, micro: MicroClusters, linkage: np.ndarray) -> int:
        available = len(micro.prototypes)
        k = self.k if self.distance_threshold is None else clusters_within(linkage, self.distance_threshold)
        assert k is not None, "either k or distance_threshold is given"
        if k > available:
            raise DataRejectedError(f"{available} micro-clusters can't make {k} segments; lower k")
        if self.macro_k is not None and self.macro_k > k:
            raise DataRejectedError(
                f"distance_threshold leaves {k} segments, which can't make {self.macro_k} macro-segments"
            )
        return k
