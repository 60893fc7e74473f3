"""K-means by Spark MLlib, or without it where there is none, with a result that does not depend on how the rows lie."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import cast

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.clustering import KMeans as MLlibKMeans
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import VectorAssembler

from customer_segmentation.clustering.calibrating import BOOTSTRAPS, OUTLIER_SHARE, SAMPLE_SIZE
from customer_segmentation.clustering.estimator.base import SegmentationEstimator, restart_seeds
from customer_segmentation.clustering.estimator.points import Points, in_order, sample_of
from customer_segmentation.clustering.kmeans.centers import centroid_model
from customer_segmentation.clustering.kmeans.lloyd import refine_centers
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.kmeans.rapids import rapids_centers, rapids_problem
from customer_segmentation.clustering.selection import coreset_fits
from customer_segmentation.clustering.selection.metrics import Partition, summed
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.garbage import collect_garbage_after
from customer_segmentation.spark.mllib import mllib_problem


@dataclass(repr=False, eq=False)
class KMeans(SegmentationEstimator[CentroidModel]):
    """K-means clustering (Lloyd 1982), started by k-means|| (Bahmani et al. 2012).

    Segments are numbered from 1 in the order of their centres' coordinates. Where the session has no MLlib, each
    restart is k-means++ (Arthur & Vassilvitskii 2007) on a sample of the customers, and the same passes over all.

    Args:
        k: number of segments, at least 2.
        max_iterations: of each restart.
        n_init: restarts; the best by cost is kept.
        seed: of the first restart.
        outlier_share: share of the customers that are to be outliers, 0 to 0.2.
        bootstraps: samples to calibrate confidence on, see `clustering.calibrating`; 0: none, the confidence is then
            1 - distance to the nearest centre / distance to the second nearest.
        gpu: fit by Spark RAPIDS ML on graphics processors, where it can be used, see `kmeans.rapids`; its sums are not
            repeatable to the last digit.

    Example:
        >>> from customer_segmentation.clustering import KMeans
        >>> features = spark.createDataFrame([("a", 1.0), ("b", 2.0), ("c", 9.0)], "customer_id string, orders double")
        >>> model = KMeans(k=2).fit(features, columns=["orders"])
        >>> model.centers_.tolist(), model.cost_
        ([[1.5], [9.0]], 0.5)
        >>> [row.segment_id for row in model.assign(features).orderBy("customer_id").collect()]
        [1, 1, 2]
    """

    algorithm = "kmeans"

    k: int = 8
    _: KW_ONLY
    max_iterations: int = 50
    n_init: int = 3
    seed: int = 42
    outlier_share: float = OUTLIER_SHARE
    bootstraps: int = BOOTSTRAPS
    gpu: bool = False

    def _validate(self) -> None:
        self._require_whole("k", minimum=2)
        self._require_whole("max_iterations", minimum=1)
        self._require_whole("n_init", minimum=1)
        self._validate_calibration()

    def _fit(self, points: Points) -> CentroidModel:
        points.require(self.k)
        seeds = restart_seeds(self.seed, self.n_init)
        with points.in_fixed_layout() as fixed:
            with collect_garbage_after():
                fitted = best_restart(fixed, k=self.k, max_iterations=self.max_iterations, seeds=seeds, gpu=self.gpu)
            _, _, centers = fitted
            return centroid_model(self.algorithm, fixed, centers, k=self.k)


def best_restart(
    points: Points, *, k: int, max_iterations: int, seeds: Iterable[int], gpu: bool = False
) -> tuple[int, float, np.ndarray]:
    """The best of several restarts of k-means on points in their fixed layout.

    Args:
        gpu: by Spark RAPIDS ML, where it can be used.

    Returns:
        How many centres it lacks (MLlib can return fewer than k), its cost, and the centres in the order of their
        coordinates.
    """
    spark = points.frame.sparkSession
    if gpu and rapids_problem(spark) is None:
        restart = _restart_on_gpu
    elif mllib_problem(spark) is None:
        restart = _restart
    else:
        return _best_from_sample(points, k, max_iterations, seeds)
    return min((restart(points, k, max_iterations, seed) for seed in seeds), key=lambda each: each[:2])


def _restart_on_gpu(points: Points, k: int, max_iterations: int, seed: int) -> tuple[int, float, np.ndarray]:
    found = rounded(rapids_centers(points.frame, points.inputs, k=k, max_iterations=max_iterations, seed=seed))
    centers = found[in_order(found)]
    (sums,) = summed(points.frame, points.inputs, [Partition(centers)])
    return k - len(centers), float(rounded(sums.cost)), centers


def _restart(points: Points, k: int, max_iterations: int, seed: int) -> tuple[int, float, np.ndarray]:
    assembler = VectorAssembler(inputCols=points.inputs, outputCol="_features")
    kmeans = MLlibKMeans(k=k, maxIter=max_iterations, seed=seed, featuresCol="_features", predictionCol="_cluster")
    fitted = cast(KMeansModel, Pipeline(stages=[assembler, kmeans]).fit(points.frame).stages[-1])
    centers = rounded(fitted.clusterCenters())
    return k - len(centers), float(rounded(fitted.summary.trainingCost)), centers[in_order(centers)]


def _best_from_sample(
    points: Points, k: int, max_iterations: int, seeds: Iterable[int]
) -> tuple[int, float, np.ndarray]:
    """The cheapest start and its centres without MLlib: centres of a sample, moved on by passes over all points."""
    seeds = list(seeds)
    sample = sample_of(points, size=SAMPLE_SIZE, seed=seeds[0])
    if len(np.unique(sample.points, axis=0)) >= k:
        with one_thread():
            initial = [coreset_fits.kmeans(sample, [k], 1, seed)[0].centers for seed in seeds]
    else:  # of customers who are nearly all alike
        different = points.frame.select(*points.inputs).distinct().orderBy(*points.inputs).limit(k)
        initial = [different.toPandas().to_numpy(dtype=float)]
    centers, _, cost = refine_centers(points.frame, points.inputs, initial, passes=max_iterations)
    return k - len(centers), cost, centers
