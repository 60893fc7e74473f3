"""Gaussian mixtures by Spark MLlib: each segment a normal distribution with its own shape."""

import warnings
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace
from typing import cast

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.clustering import GaussianMixture as MLlibGaussianMixture
from pyspark.ml.clustering import GaussianMixtureModel
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.calibrating import BOOTSTRAPS, OUTLIER_SHARE, SAMPLE_SIZE
from customer_segmentation.clustering.estimator.base import SegmentationEstimator, restart_seeds
from customer_segmentation.clustering.estimator.points import Points, in_order, points_of, sample_of
from customer_segmentation.clustering.gaussian_mixture.expectation import (
    MIN_EXTENT,
    Mixture,
    diagonal_mixture,
    maximise_likelihood,
    positive_definite,
)
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.kmeans.estimator import best_restart
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.preparation import PreparationModel
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.garbage import collect_garbage_after
from customer_segmentation.spark.mllib import mllib_problem

KMEANS_RESTARTS = 3
"""Restarts of k-means, of which the best gives the mixture initial means."""
OUTLIER_QUANTILE = 0.999
"""See `MixtureModel`."""
_SINGULAR = ("non-zero singular value", "breeze.linalg.NotConvergedException", "breeze.linalg.MatrixNotSymmetric")
"""MLlib's errors for a covariance that it can't decompose."""


@dataclass(repr=False, eq=False)
class GaussianMixture(SegmentationEstimator[MixtureModel]):
    """Clustering by a mixture of normal distributions, fitted by expectation maximisation.

    Initial mixtures are MLlib's Gaussian mixture from random customers, and one from the centres of MLlib's k-means;
    where the session has no MLlib, a mixture of a sample of the customers, and k-means without it. Each is iterated
    until its log-likelihood converges, and the likeliest is kept. Segments are numbered from 1 in the order of their
    means' coordinates; a segment with too few customers to have a covariance is rejected.

    Values that many customers share, or features that depend on each other, would leave a distribution without
    extent in some direction: a small share of each feature's variance, `reg_covar`, is added to that of every
    segment. MLlib, which can't add it, gets the customers with noise of that variance, the same for a customer every
    time.

    Args:
        k: number of segments, at least 2.
        max_iterations: of each restart, and of expectation maximisation after it.
        tolerance: an iteration that raises the log-likelihood per customer by less is the last.
        n_init: restarts of MLlib's Gaussian mixture; 0 for the initial means of k-means alone.
        seed: of the first restart.
        reg_covar: share of each feature's variance, above 0 and below 1.
        outlier_share: share of the customers that are to be outliers, 0 to 0.2.
        bootstraps: samples to calibrate confidence on, see `clustering.calibrating`; 0: none, the confidence is then
            the posterior probability.

    Example:
        >>> from customer_segmentation.clustering import GaussianMixture
        >>> rows = [(x,) for x in (1.0, 1.5, 2.0, 8.0, 9.0, 10.0)]
        >>> features = spark.createDataFrame(rows, "orders double")
        >>> model = GaussianMixture(k=2).fit(features, columns=["orders"])
        >>> model.means_.round(3).tolist(), model.weights_.round(3).tolist()
        ([[1.5], [9.0]], [0.5, 0.5])
    """

    algorithm = "gaussian_mixture"

    k: int = 8
    _: KW_ONLY
    max_iterations: int = 100
    tolerance: float = 1e-4
    n_init: int = 1
    seed: int = 42
    reg_covar: float = 1e-6
    outlier_share: float = OUTLIER_SHARE
    bootstraps: int = BOOTSTRAPS

    def _validate(self) -> None:
        self._require_whole("k", minimum=2)
        self._require_whole("max_iterations", minimum=1)
        self._require_whole("n_init", minimum=0)
        self._require_above("tolerance", 0)
        self._require_above("reg_covar", 0, below=1)
        self._validate_calibration()

    def fit_from(
        self, features: DataFrame, preparation: PreparationModel, start: Mixture, *, enough: float
    ) -> MixtureModel | None:
        """Fit from one initial mixture, in the preparation's units; None where a segment loses its customers.

        Args:
            enough: a log-likelihood of all customers that need not be surpassed.
        """
        self._validate()
        points = points_of(features, columns=None, preparation=preparation, caller=f"{type(self).__name__}.fit_from")
        with points.in_fixed_layout() as fixed:
            added = self._added(_variances(fixed))
            extended = replace(start, covariances=positive_definite(start.covariances, added))
            fitted = self._maximised(fixed, extended, added, enough)
        return self._model(points, fitted, added) if fitted is not None else None

    def _fit(self, points: Points) -> MixtureModel:
        points.require(self.k)
        with points.in_fixed_layout() as fixed, collect_garbage_after():
            variances = _variances(fixed)
            added = self._added(variances)
            seeds = restart_seeds(self.seed, KMEANS_RESTARTS)
            _, cost, centers = best_restart(fixed, k=self.k, max_iterations=self.max_iterations, seeds=seeds)
            within = variances * cost / (fixed.count * max(variances.sum(), added.sum())) + added
            initial = [diagonal_mixture(centers, within)] if len(centers) == self.k else []
            restarts = self._restarts(fixed, added)
            initial += [start for start in restarts if start is not None]
            maximised = (self._maximised(fixed, start, added) for start in initial)
            fitted = [mixture for mixture in maximised if mixture is not None]
        if not fitted:
            raise DataRejectedError(
                f"in each of {self.n_init + 1} starts one of {self.k} segments kept too few customers to have a "
                f"covariance of {len(points.inputs)} features; lower clustering.k or use fewer features"
            )
        return self._model(points, max(fitted, key=lambda mixture: mixture.log_likelihood), added)

    def _added(self, variances: np.ndarray) -> np.ndarray:
        """What is added to each feature's variance in every segment."""
        return self.reg_covar * np.where(variances > 0, variances, 1.0)

    def _maximised(self, points: Points, start: Mixture, added: np.ndarray, enough: float = np.inf) -> Mixture | None:
        return maximise_likelihood(
            points,
            start,
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            added=added,
            enough=enough,
        )

    def _noisy(self, points: Points, added: np.ndarray) -> DataFrame:
        """The customers with their noise, which follows from the seed, the customer and the feature."""
        steps = 1 << 32
        halves = np.sqrt(3 * added).tolist()  # of the range of a uniform distribution with this variance
        noise = (
            (F.pmod(F.xxhash64(F.lit(self.seed), F.lit(j), *points.keys), F.lit(steps)) / steps - 0.5) * (2 * half)
            for j, half in enumerate(halves)
        )
        return points.frame.select(*(F.col(name) + value for name, value in zip(points.inputs, noise, strict=True)))

    def _restarts(self, points: Points, added: np.ndarray) -> Iterator[Mixture | None]:
        """Initial mixtures from random customers; None where one has a segment without customers or extent."""
        seeds = restart_seeds(self.seed, self.n_init)
        if mllib_problem(points.frame.sparkSession) is None:
            noisy = self._noisy(points, added)
            return (self._restart(noisy, points, added, seed) for seed in seeds)
        return (self._restart_on_sample(points, added, seed) for seed in seeds)

    def _restart_on_sample(self, points: Points, added: np.ndarray, seed: int) -> Mixture | None:
        """A mixture of a sample, by scikit-learn."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as MixtureOfSample

        sample = sample_of(points, size=SAMPLE_SIZE, seed=seed).points
        units = np.sqrt(added)
        mixture = MixtureOfSample(
            self.k, max_iter=self.max_iterations, reg_covar=1.0, init_params="k-means++", random_state=seed
        )
        if len(sample) < self.k:
            return None
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the passes over all customers go on
            fitted = mixture.fit(sample / units)
        if (fitted.weights_ <= 0).any():
            return None
        covariances = fitted.covariances_ * (units[:, None] * units)
        return Mixture(fitted.weights_, fitted.means_ * units, positive_definite(covariances, added))

    def _restart(self, noisy: DataFrame, points: Points, added: np.ndarray, seed: int) -> Mixture | None:
        """MLlib's mixture; None where a segment lost its customers or its extent."""
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
            if any(text in str(error) for text in _SINGULAR):
                return None
            raise
        rows = fitted.gaussiansDF.collect()
        weights = np.array(fitted.weights)
        means = np.stack([row["mean"].toArray() for row in rows])
        covariances = np.stack([row["cov"].toArray() for row in rows])
        if not all(np.isfinite(values).all() for values in (weights, means, covariances)):
            return None
        relative = covariances / (np.sqrt(added)[:, None] * np.sqrt(added))
        if (np.linalg.eigvalsh(relative)[:, 0] < MIN_EXTENT).any() or (weights <= 0).any():
            return None
        return Mixture(weights, means, positive_definite(covariances, added))

    def _model(self, points: Points, mixture: Mixture, added: np.ndarray) -> MixtureModel:
        means = rounded(mixture.means)
        order = in_order(means)
        symmetric = (mixture.covariances + mixture.covariances.transpose(0, 2, 1)) / 2
        covariances = rounded(positive_definite(symmetric, added))
        return MixtureModel(
            algorithm=self.algorithm,
            preparation=points.preparation,
            segment_ids=tuple(range(1, self.k + 1)),
            weights_=rounded(mixture.weights)[order],
            means_=means[order],
            covariances_=covariances[order],
            outlier_quantile=OUTLIER_QUANTILE,
            log_likelihood_=float(rounded(mixture.log_likelihood)),
        )


def _variances(points: Points) -> np.ndarray:
    row = points.frame.agg(*(F.var_pop(name) for name in points.inputs)).first()
    assert row is not None, "an aggregation without grouping has one row"
    return rounded(list(row))
