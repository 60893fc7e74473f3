"""Gaussian mixtures by Spark MLlib: each segment a normal distribution with its own shape."""

from typing import cast

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.clustering import GaussianMixture as MLlibGaussianMixture
from pyspark.ml.clustering import GaussianMixtureModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.estimator.points import Points, in_order, points_of
from customer_segmentation.clustering.gaussian_mixture.expectation import (
    LEAST_EXTENT,
    Mixture,
    positive_definite,
    refined,
    upright,
)
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.kmeans.estimator import best_start
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.preparation import Preparation
from customer_segmentation.preparation import estimator as checking
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.forgetting import forgotten

CENTRES_STARTS = 3
"""Starts of k-means, of which the best gives the mixture one of its own."""
_SINGULAR = ("non-zero singular value", "breeze.linalg.NotConvergedException", "breeze.linalg.MatrixNotSymmetric")
"""What MLlib says of a covariance that it can't take apart."""


class GaussianMixture:
    """Clustering by a mixture of normal distributions, fitted by expectation maximisation.

    Starts are MLlib's Gaussian mixture from random customers, and one from the centres of MLlib's k-means; each is
    refined until its log-likelihood settles, and the likeliest is kept.

    Values that many customers share, or features that depend on each other, would leave a distribution without
    extent in some direction: a small share of each feature's variance, `floor`, is added to that of every segment.
    MLlib, which can't add it, gets the customers with noise of that variance, the same for a customer every time.

    Args:
        k: number of segments, at least 2.
        max_iterations: of each start, and of each refinement.
        tolerance: an iteration that raises the log-likelihood per customer by less is the last.
        starts: of MLlib's Gaussian mixture; 0 for the start from k-means alone.
        seed: of the first start.
        floor: above 0 and below 1.
        outlier_quantile: see `MixtureModel`.
    """

    def __init__(
        self,
        k: int = 8,
        *,
        max_iterations: int = 100,
        tolerance: float = 1e-4,
        starts: int = 1,
        seed: int = 42,
        floor: float = 1e-6,
        outlier_quantile: float = 0.999,
    ) -> None:
        self.k = k
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.starts = starts
        self.seed = seed
        self.floor = floor
        self.outlier_quantile = outlier_quantile

    def fit(
        self, features: DataFrame, *, columns: list[str] | None = None, preparation: Preparation | None = None
    ) -> MixtureModel:
        """Find k distributions.

        Args:
            features: a row per customer, with `customer_id` to order the rows by where there is one.
            columns: numeric columns to cluster on as they are; a missing value or NaN counts as 0.
            preparation: instead of columns, prepares the features first.

        Returns:
            The model; its segments are numbered from 1 in the order of their means' coordinates.

        Raises:
            ConfigurationError: a parameter is out of range, or neither or both of columns and preparation are given.
            DataRefusedError: fewer distinct customers than segments, a segment with too few customers to have a
                covariance, no numbers.
        """
        self._validate()
        found = points_of(features, columns=columns, preparation=preparation, estimator="GaussianMixture")
        found.require(self.k)
        with found.in_place() as points, forgotten():
            variances = _variances(points)
            floors = self.floor * np.where(variances > 0, variances, 1.0)
            seeds = range(self.seed, self.seed + CENTRES_STARTS)
            _, cost, centers = best_start(points, k=self.k, max_iterations=self.max_iterations, seeds=seeds)
            within = variances * cost / (points.count * max(variances.sum(), floors.sum())) + floors
            starts = [upright(centers, within)] if len(centers) == self.k else []
            noisy = self._noisy(points, floors)
            by_mllib = (self._start(noisy, points, floors, self.seed + start) for start in range(self.starts))
            starts += [start for start in by_mllib if start is not None]
            settled = [mixture for start in starts if (mixture := self._refined(points, start, floors))]
        if not settled:
            raise DataRefusedError(
                f"in each of {self.starts + 1} starts one of {self.k} segments kept too few customers to have a "
                f"covariance of {len(points.inputs)} features; lower clustering.k or use fewer features"
            )
        return self._model(points, max(settled, key=lambda mixture: mixture.log_likelihood), floors)

    def _validate(self) -> None:
        name = "GaussianMixture"
        for parameter, least in (("k", 2), ("max_iterations", 1), ("starts", 0)):
            checking.whole(name, parameter, getattr(self, parameter), least=least)
        checking.above(name, "tolerance", self.tolerance, limit=0)
        checking.above(name, "floor", self.floor, limit=0, below=1)
        checking.above(name, "outlier_quantile", self.outlier_quantile, limit=0, below=1)

    def _noisy(self, points: Points, floors: np.ndarray) -> DataFrame:
        """The customers with their noise, which follows from the seed, the customer and the feature."""
        steps = 1 << 32
        halves = np.sqrt(3 * floors).tolist()  # of the range of a uniform distribution with this variance
        noise = (
            (F.pmod(F.xxhash64(F.lit(self.seed), F.lit(j), *points.keys), F.lit(steps)) / steps - 0.5) * (2 * half)
            for j, half in enumerate(halves)
        )
        return points.frame.select(*(F.col(name) + one for name, one in zip(points.inputs, noise, strict=True)))

    def _start(self, noisy: DataFrame, points: Points, floors: np.ndarray, seed: int) -> Mixture | None:
        """What MLlib finds; None where a segment lost its customers or its extent."""
        names = [f"_{j}" for j in range(len(points.inputs))]
        assembler = VectorAssembler(inputCols=names, outputCol="_features")
        mixture = MLlibGaussianMixture(
            k=self.k,
            maxIter=self.max_iterations,
            tol=self.tolerance * points.count,
            seed=seed,
            featuresCol="_features",
            predictionCol="_cluster",
            probabilityCol="_probability",
        )
        try:
            fitted = cast(
                GaussianMixtureModel, Pipeline(stages=[assembler, mixture]).fit(noisy.toDF(*names)).stages[-1]
            )
        except Exception as error:  # a failed task's is of another class than the driver's, and Connect's of a third
            if any(sign in str(error) for sign in _SINGULAR):
                return None
            raise
        rows = fitted.gaussiansDF.collect()
        weights = np.array(fitted.weights)
        means = np.stack([row["mean"].toArray() for row in rows])
        covariances = np.stack([row["cov"].toArray() for row in rows])
        if not all(np.isfinite(found).all() for found in (weights, means, covariances)):
            return None
        in_floors = covariances / (np.sqrt(floors)[:, None] * np.sqrt(floors))
        if (np.linalg.eigvalsh(in_floors)[:, 0] < LEAST_EXTENT).any() or (weights <= 0).any():
            return None
        return Mixture(weights, means, positive_definite(covariances, floors))

    def _refined(self, points: Points, start: Mixture, floors: np.ndarray) -> Mixture | None:
        return refined(points, start, iterations=self.max_iterations, tolerance=self.tolerance, floors=floors)

    def _model(self, points: Points, mixture: Mixture, floors: np.ndarray) -> MixtureModel:
        means = rounded(mixture.means)
        order = in_order(means)
        symmetric = (mixture.covariances + mixture.covariances.transpose(0, 2, 1)) / 2
        covariances = rounded(positive_definite(symmetric, floors))
        return MixtureModel(
            algorithm="gaussian_mixture",
            preparation=points.preparation,
            segment_ids=tuple(range(1, self.k + 1)),
            weights_=rounded(mixture.weights)[order],
            means_=means[order],
            covariances_=covariances[order],
            outlier_quantile=self.outlier_quantile,
            log_likelihood_=float(rounded(mixture.log_likelihood)),
        )


def _variances(points: Points) -> np.ndarray:
    row = points.frame.agg(*(F.var_pop(name) for name in points.inputs)).first()
    assert row is not None, "an aggregation without grouping has one row"
    return rounded(list(row))
