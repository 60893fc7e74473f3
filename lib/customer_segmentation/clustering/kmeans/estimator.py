"""K-means by Spark MLlib, with a result that does not depend on how the rows lie."""

from collections.abc import Iterable
from typing import cast

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.clustering import KMeans as MLlibKMeans
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame

from customer_segmentation.clustering.estimator.points import Points, centroid_model, in_order, points_of
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.preparation import Preparation
from customer_segmentation.preparation import estimator as checking
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.forgetting import forgotten


class KMeans:
    """K-means clustering.

    Args:
        k: number of segments, at least 2.
        max_iterations: of each start.
        starts: how often to start anew; the best by cost is kept.
        seed: of the first start.
        outlier_distance: see `CentroidModel`.
    """

    def __init__(
        self,
        k: int = 8,
        *,
        max_iterations: int = 50,
        starts: int = 3,
        seed: int = 42,
        outlier_distance: float = 3.0,
    ) -> None:
        self.k = k
        self.max_iterations = max_iterations
        self.starts = starts
        self.seed = seed
        self.outlier_distance = outlier_distance

    def fit(
        self, features: DataFrame, *, columns: list[str] | None = None, preparation: Preparation | None = None
    ) -> CentroidModel:
        """Find k centres.

        Args:
            features: a row per customer, with `customer_id` to order the rows by where there is one.
            columns: numeric columns to cluster on as they are; a missing value or NaN counts as 0.
            preparation: instead of columns, prepares the features first.

        Returns:
            The model; its segments are numbered from 1 in the order of their centres' coordinates.

        Raises:
            ConfigurationError: a parameter is out of range, or neither or both of columns and preparation are given.
            DataRefusedError: fewer distinct customers than segments, a segment without customers, no numbers.
        """
        self._validate()
        found = points_of(features, columns=columns, preparation=preparation, estimator="KMeans")
        found.require(self.k)
        seeds = range(self.seed, self.seed + self.starts)
        with found.in_place() as points:
            with forgotten():
                _, _, centers = best_start(points, k=self.k, max_iterations=self.max_iterations, seeds=seeds)
            return centroid_model("kmeans", points, centers, k=self.k, outlier_distance=self.outlier_distance)

    def _validate(self) -> None:
        for name, least in (("k", 2), ("max_iterations", 1), ("starts", 1)):
            checking.whole("KMeans", name, getattr(self, name), least=least)
        checking.above("KMeans", "outlier_distance", self.outlier_distance, limit=0)


def best_start(points: Points, *, k: int, max_iterations: int, seeds: Iterable[int]) -> tuple[int, float, np.ndarray]:
    """The best of several starts of MLlib's k-means on points in their fixed layout.

    Returns:
        How many centres it lacks (MLlib can find fewer than k), its cost, and the centres in the order of their
        coordinates.
    """
    starts = [_start(points, k, max_iterations, seed) for seed in seeds]
    return min(starts, key=lambda start: start[:2])


def _start(points: Points, k: int, max_iterations: int, seed: int) -> tuple[int, float, np.ndarray]:
    assembler = VectorAssembler(inputCols=points.inputs, outputCol="_features")
    kmeans = MLlibKMeans(k=k, maxIter=max_iterations, seed=seed, featuresCol="_features", predictionCol="_cluster")
    fitted = cast(KMeansModel, Pipeline(stages=[assembler, kmeans]).fit(points.frame).stages[-1])
    centers = rounded(fitted.clusterCenters())
    return k - len(centers), float(rounded(fitted.summary.trainingCost)), centers[in_order(centers)]
