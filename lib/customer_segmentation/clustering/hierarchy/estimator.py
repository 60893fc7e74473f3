"""Hierarchical clustering of any number of customers: Ward's method on micro-clusters."""

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.estimator.points import points_of
from customer_segmentation.clustering.hierarchy.micro import MicroClusters, micro_clusters
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.hierarchy.ward import clusters_within, ward
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.preparation import Preparation
from customer_segmentation.preparation import estimator as checking


class AgglomerativeClustering:
    """Hierarchical clustering by Ward's method.

    All customers are first grouped into micro-clusters, and the tree is built over these, each weighing as many
    customers as it has. With no more different customers than micro-clusters the tree is exactly Ward's; otherwise
    `lost_variance_` of the model says how much of the customers' variance lies within the micro-clusters.

    Args:
        k: number of segments, at least 2; not with distance_threshold.
        distance_threshold: instead of k, merge all that is no further apart, in the units of SciPy's Ward linkage.
        macro_k: number of macro-segments above the segments, from 2 to k; None for none.
        micro_clusters: the most micro-clusters, at least 2.
        seed: of the sample that tells where the micro-clusters are.
        outlier_distance: see `HierarchyModel`.
    """

    def __init__(
        self,
        k: int | None = None,
        *,
        distance_threshold: float | None = None,
        macro_k: int | None = None,
        micro_clusters: int = 2_000,
        seed: int = 42,
        outlier_distance: float = 3.0,
    ) -> None:
        self.k = k
        self.distance_threshold = distance_threshold
        self.macro_k = macro_k
        self.micro_clusters = micro_clusters
        self.seed = seed
        self.outlier_distance = outlier_distance

    def fit(
        self, features: DataFrame, *, columns: list[str] | None = None, preparation: Preparation | None = None
    ) -> HierarchyModel:
        """Build the tree and cut it.

        Args:
            features: a row per customer, with `customer_id` to sample by where there is one.
            columns: numeric columns to cluster on as they are; a missing value or NaN counts as 0.
            preparation: instead of columns, prepares the features first.

        Returns:
            The model; its segments are numbered from 1 in the order of their centres' coordinates. `cut` gives
            others of the same tree.

        Raises:
            ConfigurationError: a parameter is out of range, or neither or both of columns and preparation are given.
            DataRefusedError: fewer distinct customers than segments, no numbers.
        """
        self._validate()
        points = points_of(features, columns=columns, preparation=preparation, estimator="AgglomerativeClustering")
        least = max(self.k or 2, self.macro_k or 2)
        points.require(least)
        micro = micro_clusters(points, at_most=self.micro_clusters, seed=self.seed)
        linkage = ward(micro.means, micro.weights)
        k = self._segments(micro, linkage)
        return HierarchyModel(
            algorithm="agglomerative",
            preparation=points.preparation,
            segment_ids=tuple(range(1, k + 1)),
            micro=micro,
            linkage_=linkage,
            outlier_distance=self.outlier_distance,
            macro_k=self.macro_k,
        )

    def _segments(self, micro: MicroClusters, linkage: np.ndarray) -> int:
        most = len(micro.sites)
        k = self.k if self.distance_threshold is None else clusters_within(linkage, self.distance_threshold)
        assert k is not None, "either k or distance_threshold is given"
        if k > most:
            raise DataRefusedError(f"{most} micro-clusters can't make {k} segments; lower k")
        if self.macro_k is not None and self.macro_k > k:
            raise DataRefusedError(
                f"distance_threshold leaves {k} segments, which can't make {self.macro_k} macro-segments"
            )
        return k

    def _validate(self) -> None:
        name = "AgglomerativeClustering"
        if (self.k is None) == (self.distance_threshold is None):
            raise ConfigurationError(f"{name} needs either k or distance_threshold")
        checking.whole(name, "micro_clusters", self.micro_clusters, least=2)
        if self.k is not None:
            checking.whole(name, "k", self.k, least=2)
            if self.k > self.micro_clusters:
                raise ConfigurationError(
                    f"{name}: k must be at most micro_clusters = {self.micro_clusters}; found {self.k}"
                )
        else:
            checking.above(name, "distance_threshold", self.distance_threshold, limit=0)
        if self.macro_k is not None:
            checking.whole(name, "macro_k", self.macro_k, least=2)
            if self.k is not None and self.macro_k > self.k:
                raise ConfigurationError(f"{name}: macro_k must be at most k = {self.k}; found {self.macro_k}")
        checking.above(name, "outlier_distance", self.outlier_distance, limit=0)
