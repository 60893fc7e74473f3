"""K-means by Spark MLlib, with a result that does not depend on how the rows lie."""

from typing import cast

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.clustering import KMeans as MLlibKMeans
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.layout import in_fixed_order
from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.clustering.preparation import Preparation, PreparedFeature, prepared_name
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.spark.holding import held


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
            columns: numeric columns to cluster on as they are, without nulls.
            preparation: instead of columns, prepares the features first.

        Returns:
            The model; its segments are numbered from 1 in the order of their centres' coordinates.

        Raises:
            ConfigurationError: a parameter is out of range, or neither or both of columns and preparation are given.
            DataRefusedError: fewer distinct customers than segments.
        """
        self._validate()
        if (columns is None) == (preparation is None):
            raise ConfigurationError("KMeans.fit needs either columns or a preparation")
        prepared = preparation or _as_they_are(columns or [])
        inputs = [prepared_name(name) for name in prepared.names]
        keys = [CUSTOMER_ID] if CUSTOMER_ID in features.columns else prepared.names
        points = prepared.transform(features).select(*keys, *inputs)
        count = points.count()
        if count < self.k:
            raise DataRefusedError(f"{count} customers can't make {self.k} segments; lower clustering.k")
        with held(in_fixed_order(points, rows=count, by=keys)) as fixed:
            starts = [self._start(fixed, inputs, self.seed + start) for start in range(self.starts)]
            _, centers = min(starts, key=lambda start: start[0])
            sizes, squares = _sizes_and_squares(fixed, inputs, centers)
        return CentroidModel(
            algorithm="kmeans",
            preparation=prepared,
            segment_ids=tuple(range(1, len(centers) + 1)),
            centers_=centers,
            radii_=tuple(_rounded(np.sqrt(squares / np.maximum(sizes, 1))).tolist()),
            outlier_distance=self.outlier_distance,
            cost_=float(_rounded(squares.sum())),
        )

    def _validate(self) -> None:
        for name, least in (("k", 2), ("max_iterations", 1), ("starts", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ConfigurationError(f"KMeans: {name} must be a whole number of at least {least}; found {value!r}")
        if not self.outlier_distance > 0:
            raise ConfigurationError(f"KMeans: outlier_distance must be above 0; found {self.outlier_distance!r}")

    def _start(self, points: DataFrame, inputs: list[str], seed: int) -> tuple[float, np.ndarray]:
        """One start: its cost, and the centres in the order of their coordinates."""
        assembler = VectorAssembler(inputCols=inputs, outputCol="_features")
        kmeans = MLlibKMeans(
            k=self.k, maxIter=self.max_iterations, seed=seed, featuresCol="_features", predictionCol="_cluster"
        )
        fitted = cast(KMeansModel, Pipeline(stages=[assembler, kmeans]).fit(points).stages[-1])
        found = _rounded(np.array(fitted.clusterCenters()))
        return float(_rounded(fitted.summary.trainingCost)), found[np.lexsort(found.T[::-1])]


def _sizes_and_squares(points: DataFrame, inputs: list[str], centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Customers nearest to each centre and their summed squared distances, by the arithmetic that assigns."""
    preparation = _as_they_are(inputs)
    k = len(centers)
    model = CentroidModel("kmeans", preparation, tuple(range(k)), centers, (1.0,) * k, 1.0, 0.0)
    rows = model.nearest(points).groupBy("index").agg(F.count(F.lit(1)), F.sum("squared")).collect()
    sizes, squares = np.zeros(k), np.zeros(k)
    for index, size, square in rows:
        sizes[index], squares[index] = size, square
    return sizes, squares


def _as_they_are(columns: list[str]) -> Preparation:
    return Preparation(tuple(PreparedFeature(name, False, 0.0, 1.0, 1.0) for name in columns), {})


def _rounded(values: np.ndarray | float) -> np.ndarray:
    """To nine significant digits: what differs beyond them is the order in which doubles were added."""
    return np.array([float(f"{value:.9g}") for value in np.ravel(values)]).reshape(np.shape(values))
