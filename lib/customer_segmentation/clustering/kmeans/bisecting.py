"""Bisecting k-means by Spark MLlib: k-means from the top down, each step dividing one segment in two."""

from dataclasses import KW_ONLY, dataclass
from typing import cast

from pyspark.ml import Pipeline
from pyspark.ml.clustering import BisectingKMeans as MLlibBisectingKMeans
from pyspark.ml.clustering import BisectingKMeansModel
from pyspark.ml.feature import VectorAssembler

from customer_segmentation.clustering.calibrating import BOOTSTRAPS, OUTLIER_SHARE
from customer_segmentation.clustering.estimator.base import SegmentationEstimator
from customer_segmentation.clustering.estimator.points import Points, in_order
from customer_segmentation.clustering.kmeans.centers import centroid_model
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.garbage import collect_garbage_after


@dataclass(repr=False, eq=False)
class BisectingKMeans(SegmentationEstimator[CentroidModel]):
    """Bisecting k-means clustering (Steinbach, Karypis, Kumar 2000).

    A customer belongs to the nearest of the k leaves' centres. MLlib's own prediction walks the tree of divisions
    from its root instead, and so can end at a leaf that is not the nearest; the nearest one has the lower cost, and
    the model is then one of centres like that of k-means. Segments are numbered from 1 in the order of their centres'
    coordinates; customers that can't be divided into k segments are rejected.

    Args:
        k: number of segments, at least 2.
        max_iterations: of each division; all of them are run, for every level of the tree.
        smallest_share: a segment with a smaller share of the customers is not divided further, 0 to 1.
        seed: of the divisions' initial centres.
        outlier_share: share of the customers that are to be outliers, 0 to 0.2.
        bootstraps: that the confidence is calibrated by, see `clustering.calibrating`; 0: none, the confidence is then
            1 - distance to the nearest centre / distance to the second nearest.

    Example:
        >>> from customer_segmentation.clustering import BisectingKMeans
        >>> features = spark.createDataFrame([(1.0,), (2.0,), (9.0,), (9.5,)], "orders double")
        >>> BisectingKMeans(k=2).fit(features, columns=["orders"]).centers_.tolist()
        [[1.5], [9.25]]
    """

    algorithm = "bisecting_kmeans"

    k: int = 8
    _: KW_ONLY
    max_iterations: int = 10
    smallest_share: float = 0.0
    seed: int = 42
    outlier_share: float = OUTLIER_SHARE
    bootstraps: int = BOOTSTRAPS

    def _validate(self) -> None:
        self._require_whole("k", minimum=2)
        self._require_whole("max_iterations", minimum=1)
        self._validate_calibration()
        if self.smallest_share != 0:
            self._require_above("smallest_share", 0, below=1)

    def _fit(self, points: Points) -> CentroidModel:
        points.require(self.k)
        assembler = VectorAssembler(inputCols=points.inputs, outputCol="_features")
        bisecting = MLlibBisectingKMeans(
            k=self.k,
            maxIter=self.max_iterations,
            minDivisibleClusterSize=self.smallest_share or 1.0,  # 1 and above is a number of customers
            seed=self.seed,
            featuresCol="_features",
            predictionCol="_cluster",
        )
        with points.in_fixed_layout() as fixed:
            with collect_garbage_after():
                fitted = Pipeline(stages=[assembler, bisecting]).fit(fixed.frame).stages[-1]
                centers = rounded(cast(BisectingKMeansModel, fitted).clusterCenters())
                del fitted
            centers = centers[in_order(centers)]
            return centroid_model(self.algorithm, fixed, centers, k=self.k)
