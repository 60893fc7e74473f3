"""A fitted Gaussian mixture: plain, checked data that assigns customers to the likeliest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import DataFrame
from scipy.special import gammaincinv

from customer_segmentation.clustering.model.base import Scorer, SegmentationModel, finite
from customer_segmentation.clustering.model.scoring import Parts, with_scores
from customer_segmentation.clustering.selection.metrics import Partition


class Densities(NamedTuple):
    """Logarithms of weighted normal densities: constants - |factors x - offsets|^2 / 2 for a point x.

    factors: for each segment the inverse of its covariance's lower Cholesky factor.
    offsets: the factors times the means.
    constants: log of the weight over the density's normalisation.
    """

    factors: np.ndarray
    offsets: np.ndarray
    constants: np.ndarray


def densities(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> Densities:
    """The densities of normal distributions; LinAlgError where a covariance is not positive definite."""
    k, d = means.shape
    factors = np.stack([np.linalg.inv(factor) for factor in np.linalg.cholesky(covariances)])
    offsets = np.stack([factors[i] @ means[i] for i in range(k)])
    volumes = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    return Densities(factors, offsets, np.log(weights) - d / 2 * math.log(2 * math.pi) + volumes)


@dataclass(frozen=True)
class MixtureModel(SegmentationModel):
    """Segments as normal distributions; a customer belongs to the one with the highest posterior probability.

    weights_: share of each segment, above 0, adding up to 1.
    means_: one row per segment, one column per prepared feature.
    covariances_: segments x features x features, symmetric and positive definite, in prepared units.
    outlier_quantile: without a calibration, a customer is an outlier when its squared Mahalanobis distance to its
        segment's mean is above this quantile of the chi-squared distribution with as many degrees of freedom as
        features.
    log_likelihood_: of all customers, at the fit.
    """

    HAS_LIKELIHOOD = True

    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray
    outlier_quantile: float
    log_likelihood_: float

    def __post_init__(self) -> None:
        super().__post_init__()
        k, d = self.k, len(self.preparation.features_)
        weights = finite("weights", self.weights_, (k,))
        if not (weights > 0).all() or abs(weights.sum() - 1) > 1e-6:
            raise ValueError("weights must be above 0 and add up to 1")
        finite("means", self.means_, (k, d))
        covariances = finite("covariances", self.covariances_, (k, d, d))
        if not np.allclose(covariances, covariances.transpose(0, 2, 1), rtol=1e-6, atol=0):
            raise ValueError("covariances must be symmetric")
        try:
            np.linalg.cholesky(covariances)
        except np.linalg.LinAlgError:
            raise ValueError("covariances must be positive definite") from None
        if not 0 < self.outlier_quantile < 1:
            raise ValueError(f"outlier_quantile must be above 0 and below 1; found {self.outlier_quantile}")

    @property
    def segment_centers(self) -> np.ndarray:
        """The means."""
        return self.means_

    @property
    def densities_(self) -> Densities:
        """The weighted densities in the form that points are scored by."""
        return densities(self.weights_, self.means_, self.covariances_)

    @property
    def partition(self) -> Partition:
        """The segments as a partition of any point, in the order of the segment ids."""
        factors, offsets, constants = self.densities_
        normalisation = self.means_.shape[1] * np.log(2 * np.pi)
        return Partition(offsets, factors.transpose(0, 2, 1), -2 * constants - normalisation)

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The position of each prepared point's segment in `segment_ids`."""
        return self.partition.labels(points)

    @property
    def scorer(self) -> Scorer:
        """The highest posterior, which is the margin; the distance is Mahalanobis."""
        return density_scorer(self.densities_)

    @property
    def former_limits(self) -> Sequence[float]:
        """By the `outlier_quantile`."""
        # The chi-square distribution's quantile; scipy.stats, which has it by name, takes long to import.
        return [math.sqrt(2 * gammaincinv(len(self.preparation.features_) / 2, self.outlier_quantile))] * self.k

    def unseen_distances(self, segments: np.ndarray, distances: np.ndarray, rows: int) -> np.ndarray:
        """Mahalanobis distances by the mean and covariance of the segment's other customers (Penny 1996).

        A covariance is drawn to the customers that it is of, the more so the more features there are.
        """
        n = np.maximum(self.weights_[segments] * rows, len(self.preparation.features_) + 3)
        squared = distances**2 * (n - 1) / n
        left = np.maximum(1 - n * squared / (n - 1) ** 2, 1e-9)
        unseen: np.ndarray = np.sqrt((n - 2) * n**2 / (n - 1) ** 3 * squared / left)
        return unseen

    def assign(self, features: DataFrame) -> DataFrame:
        """The frame with segment_id, confidence, is_outlier, second_segment_id and drivers; see `SegmentationModel`.

        segment_id: of the highest posterior; ties go to the first.
        second_segment_id: of the second highest posterior; null with one segment.
        is_outlier: by the Mahalanobis distance.
        drivers: by the posteriors, see `density_parts`.

        Args:
            features: any frame with the features' columns, in original units.

        Raises:
            ConfigurationError: features of the model are not among the columns.
        """
        return with_scores(features, self, self.scorer, parts=density_parts(self.densities_.factors, self.means_))

    def to_dict(self) -> dict[str, Any]:
        """Weights, means, covariances, the quantile of outliers and the log-likelihood."""
        return {
            "weights": self.weights_.tolist(),
            "means": self.means_.tolist(),
            "covariances": self.covariances_.tolist(),
            "outlier_quantile": self.outlier_quantile,
            "log_likelihood": self.log_likelihood_,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments for data of `to_dict`."""
        return {
            "weights_": np.array(data["weights"], dtype=float),
            "means_": np.array(data["means"], dtype=float),
            "covariances_": np.array(data["covariances"], dtype=float),
            "outlier_quantile": float(data["outlier_quantile"]),
            "log_likelihood_": float(data["log_likelihood"]),
        }


def density_scorer(densities: Densities) -> Scorer:
    """Scores by the highest posterior."""
    factors, offsets, constants = densities

    def score(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        squared = np.zeros((len(factors), points.shape[1]))
        for segment, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            for i in range(len(points)):
                away = np.full(points.shape[1], -offset[i])
                for j in range(i + 1):
                    away += factor[i, j] * points[j]
                squared[segment] += away * away
        np.minimum(squared, 1e300, out=squared)  # two infinite ones would have no difference
        logs = constants[:, None] - squared / 2
        rows = np.arange(points.shape[1])
        best = logs.argmax(axis=0)
        posterior = 1 / np.exp(logs - logs[best, rows]).sum(axis=0)
        logs[best, rows] = -np.inf
        return best, logs.argmax(axis=0), posterior, np.sqrt(squared[best, rows])

    return score


def density_parts(factors: np.ndarray, means: np.ndarray) -> Parts:
    """The parts of features in the log odds of two segments, between the point and the second one's mean.

    A feature's part is its distance from that mean times the slope of the log odds in its direction half way, which is
    the mean slope, as log odds of normal densities are quadratic: the parts add up to the whole difference (Aumann &
    Shapley 1974; Sundararajan et al. 2017). With equal round shapes they are those of centres.
    """
    precisions = factors.transpose(0, 2, 1) @ factors

    def parts(points: np.ndarray, best: np.ndarray, second: np.ndarray) -> np.ndarray:
        away = points - means.T[:, second]
        middle, slopes = points - away / 2, np.zeros_like(points)
        for segment, (precision, mean) in enumerate(zip(precisions, means, strict=True)):
            for sign, chosen in ((1.0, second == segment), (-1.0, best == segment)):
                slopes[:, chosen] += sign * (precision @ (middle[:, chosen] - mean[:, None]))
        products: np.ndarray = away * slopes
        return products

    return parts
