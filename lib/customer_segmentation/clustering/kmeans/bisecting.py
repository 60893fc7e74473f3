"""Bisecting k-means by Spark MLlib: k-means from the top down, each step dividing one segment in two."""

from typing import cast

from pyspark.ml import Pipeline
from pyspark.ml.clustering import BisectingKMeans as MLlibBisectingKMeans
from pyspark.ml.clustering import BisectingKMeansModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame

from customer_segmentation.clustering.estimator.points import centroid_model, in_order, points_of
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.preparation import Preparation
from customer_segmentation.preparation import estimator as checking
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.forgetting import forgotten


class BisectingKMeans:
    """Bisecting k-means clustering (Steinbach, Karypis, Kumar 2000).

    A customer belongs to the nearest of the k leaves' centres. MLlib's own prediction walks the tree of divisions
    from its root instead, and so can end at a leaf that is not the nearest; the nearest one has the lower cost, and
    the model is then one of centres like that of k-means.

    Args:
        k: number of segments, at least 2.
        max_iterations: of each division; all of them are run, for every level of the tree.
        smallest_share: a segment with a smaller share of the customers is not divided further, 0 to 1.
        seed: of the divisions' starts.
        outlier_distance: see `CentroidModel`.
    """

    def __init__(
        self,
        k: int = 8,
        *,
        max_iterations: int = 10,
        smallest_share: float = 0.0,
        seed: int = 42,
        outlier_distance: float = 3.0,
    ) -> None:
        self.k = k
        self.max_iterations = max_iterations
        self.smallest_share = smallest_share
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
            DataRefusedError: fewer distinct customers than segments, fewer segments than k that can be divided off,
                a segment without customers, no numbers.
        """
        self._validate()
        found = points_of(features, columns=columns, preparation=preparation, estimator="BisectingKMeans")
        found.require(self.k)
        assembler = VectorAssembler(inputCols=found.inputs, outputCol="_features")
        bisecting = MLlibBisectingKMeans(
            k=self.k,
            maxIter=self.max_iterations,
            minDivisibleClusterSize=self.smallest_share or 1.0,  # 1 and above is a number of customers
            seed=self.seed,
            featuresCol="_features",
            predictionCol="_cluster",
        )
        with found.in_place() as points:
            with forgotten():
                fitted = Pipeline(stages=[assembler, bisecting]).fit(points.frame).stages[-1]
                centers = rounded(cast(BisectingKMeansModel, fitted).clusterCenters())
                del fitted
            ordered = centers[in_order(centers)]
            return centroid_model("bisecting_kmeans", points, ordered, k=self.k, outlier_distance=self.outlier_distance)

    def _validate(self) -> None:
        checking.whole("BisectingKMeans", "k", self.k, least=2)
        checking.whole("BisectingKMeans", "max_iterations", self.max_iterations, least=1)
        checking.above("BisectingKMeans", "outlier_distance", self.outlier_distance, limit=0)
        if self.smallest_share != 0:
            checking.above("BisectingKMeans", "smallest_share", self.smallest_share, limit=0, below=1)
