"""Expectation maximisation of a Gaussian mixture from a given one, a pass over the rows for each iteration.

MLlib's Gaussian mixture takes no initial one, and its own, means of five customers each, often ends in a poor optimum.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from customer_segmentation.clustering.estimator.points import Points
from customer_segmentation.clustering.gaussian_mixture.model import densities

MIN_EXTENT = 0.1
"""Smallest eigenvalue of a covariance, in the variances added to it: with those it has 1, so less is rounding."""
MIN_CONDITION = 1e-8
"""Smallest part of its largest extent that a covariance keeps when it is rounded to nine digits."""


@dataclass(frozen=True)
class Mixture:
    """Weights (k), means (k x features), covariances (k x features x features), and the customers' log-likelihood."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    log_likelihood: float = -np.inf


def diagonal_mixture(centers: np.ndarray, variances: np.ndarray) -> Mixture:
    """A mixture of equal weights around centres, all with these variances and no covariances."""
    k, d = centers.shape
    return Mixture(np.full(k, 1 / k), centers, np.broadcast_to(np.diag(variances), (k, d, d)))


def maximise_likelihood(
    points: Points,
    start: Mixture,
    *,
    max_iterations: int,
    tolerance: float,
    added: np.ndarray,
    enough: float = np.inf,
) -> Mixture | None:
    """Iterate until the log-likelihood converges.

    Args:
        points: in their fixed layout: sums are added in its order.
        tolerance: an iteration that raises the log-likelihood per customer by less is the last.
        added: to the variances of each feature, which keeps covariances positive definite.
        enough: the first mixture with this log-likelihood is the last too, be it the start.

    Returns:
        The mixture, or None where a component has no more customers than features, too few for a covariance, or one
        that has no inverse.
    """
    d = len(points.inputs)
    current, before = start, -np.inf
    for _ in range(max_iterations):
        try:
            log_likelihood, sizes, sums, squares = _expected(points, current)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(log_likelihood) or (sizes <= d).any():
            return None
        if log_likelihood >= enough or log_likelihood - before < tolerance * points.count:
            return Mixture(current.weights, current.means, current.covariances, log_likelihood)
        before = log_likelihood
        offsets = sums / sizes[:, None]
        covariances = squares / sizes[:, None, None] - offsets[:, :, None] * offsets[:, None, :] + np.diag(added)
        current = Mixture(sizes / sizes.sum(), current.means + offsets, positive_definite(covariances, added))
    return Mixture(current.weights, current.means, current.covariances, _expected(points, current)[0])


def positive_definite(covariances: np.ndarray, added: np.ndarray) -> np.ndarray:
    """The covariances, with more variance where rounding has left one without extent in some direction.

    Args:
        covariances: segments x features x features.
        added: of each feature, the smallest variance that a covariance should have.
    """
    units = np.sqrt(added)
    relative = covariances / (units[:, None] * units)
    relative = (relative + relative.transpose(0, 2, 1)) / 2
    if not np.isfinite(relative).all():
        return covariances
    values, vectors = np.linalg.eigh(relative)
    flat = values[:, 0] < np.maximum(MIN_EXTENT, MIN_CONDITION * values[:, -1])
    if not flat.any():
        return covariances
    raised = np.maximum(values, np.maximum(1.0, 10 * MIN_CONDITION * values[:, -1:]))
    mended = (vectors * raised[:, None, :]) @ vectors.transpose(0, 2, 1) * (units[:, None] * units)
    return np.where(flat[:, None, None], (mended + mended.transpose(0, 2, 1)) / 2, covariances)


def _expected(points: Points, mixture: Mixture) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """The log-likelihood, and by component the expected customers, their offsets from the mean and squares of these."""
    k, d = mixture.means.shape
    rows = points.frame.select(*points.inputs).mapInArrow(_expectation_pass(mixture), "sums array<double>").collect()
    total = np.sum([row["sums"] for row in rows], axis=0)
    parts = np.split(total, [1, 1 + k, 1 + k + k * d])
    return float(parts[0][0]), parts[1], parts[2].reshape(k, d), parts[3].reshape(k, d, d)


def _expectation_pass(mixture: Mixture) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A row for each partition with its sums, flat; sent to the workers by its value."""
    means = mixture.means
    factors, _, constants = densities(mixture.weights, means, mixture.covariances)
    k, d = means.shape

    def expected(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        log_likelihood, sizes, sums, squares = 0.0, np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
        for batch in batches:
            rows = np.stack([column.to_numpy(zero_copy_only=False) for column in batch.columns], axis=1)
            away = rows - means[:, None, :]
            logs = constants[:, None] - ((away @ factors.transpose(0, 2, 1)) ** 2).sum(axis=2) / 2
            highest = logs.max(axis=0)
            shares = np.exp(logs - highest)
            total = shares.sum(axis=0)
            shares /= total
            log_likelihood += float((highest + np.log(total)).sum())
            sizes += shares.sum(axis=1)
            weighted = shares[:, :, None] * away
            sums += weighted.sum(axis=1)
            squares += weighted.transpose(0, 2, 1) @ away
        flat = np.concatenate([[log_likelihood], sizes, sums.ravel(), squares.ravel()])
        yield pa.RecordBatch.from_arrays([pa.array([flat.tolist()])], names=["sums"])

    return expected
