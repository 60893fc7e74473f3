"""Bisecting k-means by Spark MLlib: k-means from the top down, each step dividing one segment in two.

Where the session has no MLlib, a sample of the customers is divided on the driver.
"""

from dataclasses import KW_ONLY, dataclass
from typing import cast

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.clustering import BisectingKMeans as MLlibBisectingKMeans
from pyspark.ml.clustering import BisectingKMeansModel
from pyspark.ml.feature import VectorAssembler

from customer_segmentation.clustering.calibrating import BOOTSTRAPS, OUTLIER_SHARE, SAMPLE_SIZE
from customer_segmentation.clustering.estimator.base import SegmentationEstimator
from customer_segmentation.clustering.estimator.points import Points, in_order, sample_of
from customer_segmentation.clustering.kmeans.centers import centroid_model
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.garbage import collect_garbage_after
from customer_segmentation.spark.mllib import mllib_problem


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
        bootstraps: samples to calibrate confidence on, see `clustering.calibrating`; 0: none, the confidence is then
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
        with points.in_fixed_layout() as fixed:
            if mllib_problem(fixed.frame.sparkSession) is None:
                centers = self._centers_by_mllib(fixed)
            else:
                centers = self._centers_of_sample(fixed)
            centers = centers[in_order(centers)]
            return centroid_model(self.algorithm, fixed, centers, k=self.k)

    def _centers_by_mllib(self, points: Points) -> np.ndarray:
        assembler = VectorAssembler(inputCols=points.inputs, outputCol="_features")
        bisecting = MLlibBisectingKMeans(
            k=self.k,
            maxIter=self.max_iterations,
            minDivisibleClusterSize=self.smallest_share or 1.0,  # 1 and above is a number of customers
            seed=self.seed,
            featuresCol="_features",
            predictionCol="_cluster",
        )
        with collect_garbage_after():
            fitted = Pipeline(stages=[assembler, bisecting]).fit(points.frame).stages[-1]
            return rounded(cast(BisectingKMeansModel, fitted).clusterCenters())

    def _centers_of_sample(self, points: Points) -> np.ndarray:
        sample = sample_of(points, size=SAMPLE_SIZE, seed=self.seed).points
        with one_thread():
            parts = divided(
                sample,
                self.k,
                smallest=self.smallest_share * len(sample),
                max_iterations=self.max_iterations,
                seed=self.seed,
            )
        return rounded(np.stack([part.mean(axis=0) for part in parts]))


def divided(sample: np.ndarray, k: int, *, smallest: float, max_iterations: int, seed: int) -> list[np.ndarray]:
    """Points divided in two by k-means again and again: level by level, the largest parts first, as MLlib does.

    Args:
        sample: (n, d) points.
        k: parts to stop at.
        smallest: a part of fewer points is not divided further; one without two different points can't be.

    Returns:
        k parts, or fewer where no more can be divided.
    """
    from sklearn.cluster import KMeans

    parts = [sample]
    while len(parts) < k:
        large = [place for place, part in enumerate(parts) if len(part) >= smallest and (part != part[0]).any()]
        level = sorted(large, key=lambda place: -len(parts[place]))[: k - len(parts)]
        if not level:
            break
        for place in level:
            part = parts[place]
            labels = KMeans(2, n_init=1, max_iter=max_iterations, random_state=seed).fit_predict(part)
            parts[place] = part[labels == 0]
            parts.append(part[labels == 1])
    return parts
