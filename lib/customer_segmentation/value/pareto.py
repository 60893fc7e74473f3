"""Customers who leave at a time of their own: Pareto/NBD.

A customer buys at a rate lambda ~ Gamma(r, alpha) and leaves at a rate mu ~ Gamma(s, beta) (Schmittlein, Morrison and
Colombo 1987, Management Science 33; Fader and Hardie 2005, "A note on deriving the Pareto/NBD model"). The integral
over the time of leaving is what textbooks write as differences of 2F1; here it is taken by quadrature, where every
term is positive and in logarithms.

Parameters are (r, alpha, s, beta), arrays of histories x, t_x, T as in `histories`.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import betainc

from customer_segmentation.value.histories import Histories
from customer_segmentation.value.numerics import digamma_rise, log_rising, mean_decay, unit_quadrature

NAMES = ("r", "alpha", "s", "beta")
NODES = 40
_CHUNK = 20_000
"""Histories that are integrated at a time, so that memory stays small."""


def log_likelihood(parameters: np.ndarray, histories: Histories) -> tuple[float, np.ndarray]:
    """The logarithm of the likelihood of all customers, and its gradient by the parameters.

    A customer has the likelihood

        Gamma(r+x) / Gamma(r) alpha^r beta^s { (alpha+T)^-(r+x) (beta+T)^-s
          + integral over t_x < y < T of s (alpha+y)^-(r+x) (beta+y)^-(s+1) dy }.
    """
    r, alpha, s, beta = parameters
    h = histories
    active, left, slopes = _log_terms(parameters, h, with_slopes=True)
    both = np.logaddexp(active, left)
    by_x = h.customers_by_x
    value = by_x @ (log_rising(r, h.x_values) - h.x_values * np.log(alpha)) + h.customers @ both
    is_active = h.customers * np.exp(active - both)
    has_left = h.customers - is_active
    gradient = slopes @ has_left
    gradient[0] += by_x @ digamma_rise(r, h.x_values) - is_active @ np.log1p(h.T / alpha)
    gradient[1] += (is_active * (r + h.x)) @ (h.T / (alpha * (alpha + h.T))) - by_x @ h.x_values / alpha
    gradient[2] -= is_active @ np.log1p(h.T / beta)
    gradient[3] += s * is_active @ (h.T / (beta * (beta + h.T)))
    return float(value), gradient


def probability_active(parameters: np.ndarray, histories: Histories) -> np.ndarray:
    """The probability that customers have not left, given their histories; 1 by history."""
    active, left, _ = _log_terms(parameters, histories)
    result: np.ndarray = np.exp(active - np.logaddexp(active, left))
    return result


def phase_shares(parameters: np.ndarray, histories: Histories) -> np.ndarray:
    """1 x n: all are in the one phase that there is between purchases at random."""
    return np.ones((1, len(histories.x)))


def future_purchases(
    parameters: np.ndarray, x: np.ndarray, tenure: np.ndarray, horizons: Sequence[float]
) -> np.ndarray:
    """Of Y, the purchases of active customers in (T, T + h]: P(Y = 0), E[Y] and E[Y (Y - 1)]; horizons x 3 x 1 x n.

    Given an active customer's history, lambda ~ Gamma(R, A) and mu ~ Gamma(s, B), independent, with R = r + x,
    A = alpha + T and B = beta + T. Then E[Y] = R/A B/(s-1) (1 - (B/(B+h))^(s-1)), and E[Y (Y - 1)] is twice the
    integral over y < h of y E[lambda^2] E[e^(-mu y)], both from y purchases at random until leaving.
    """
    return np.stack([_future(parameters, x, tenure, horizon) for horizon in horizons])[:, :, None]


def _future(parameters: np.ndarray, x: np.ndarray, tenure: np.ndarray, horizon: float) -> np.ndarray:
    r, alpha, s, beta = parameters
    shape, base, leaving = r + x, alpha + tenure, beta + tenure
    log = np.log1p(horizon / leaving)
    mean = shape / base * leaving * mean_decay(s - 1, log)
    # Of y (B / (B + y))^s over y: (B + y - B) of it, so the difference of two such means, exact where h / B is small.
    small = leaving**2 * (mean_decay(s - 2, log) - mean_decay(s - 1, log))
    points, weights = unit_quadrature(8)
    series = horizon**2 * (weights * points * np.exp(-s * np.log1p(points * (horizon / leaving)[:, None]))).sum(axis=1)
    pairs = 2 * shape * (shape + 1) / base**2 * np.where(horizon < 0.1 * leaving, series, small)
    stays = -shape * np.log1p(horizon / base) - s * log
    start = np.zeros(1)
    leaves = _log_integral(shape, base, s, leaving, start, start + horizon)[0]
    none = np.exp(stays) + np.exp(leaves)
    return np.stack([np.minimum(none, 1.0), mean, pairs])


def repeats_of_new(parameters: np.ndarray, tenure: np.ndarray, most: int) -> np.ndarray:
    """P(X >= i) for i = 1 to `most`, X being a new customer's repeats in a tenure; most x n.

    Given when the customer leaves they are negative binomial; the mean over that is taken by quadrature, evenly over
    the probability of having left.
    """
    r, alpha, s, beta = parameters
    i = np.arange(1, most + 1)[:, None]
    stays = np.exp(-s * np.log1p(tenure / beta))
    result: np.ndarray = stays * betainc(i, r, tenure / (alpha + tenure))
    for point, weight in zip(*unit_quadrature(NODES), strict=True):
        left = beta * np.expm1(-np.log1p(-point * (1 - stays)) / s)
        result = result + weight * (1 - stays) * betainc(i, r, left / (alpha + left))
    return result


def _log_terms(
    parameters: np.ndarray, h: Histories, *, with_slopes: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln of the likelihood of still active and of left, without what they share; slopes of the second, 4 x n."""
    r, alpha, s, beta = parameters
    active = -(r + h.x) * np.log1p(h.tenure_values / alpha)[h.tenure_at]
    active = active - s * np.log1p(h.tenure_values / beta)[h.tenure_at]
    left, slopes = _log_integral(r + h.x, alpha, s, beta, h.t_x, h.T, with_slopes=with_slopes)
    return active, left, slopes


def _log_integral(
    shape: np.ndarray,
    alpha: np.ndarray | float,
    s: float,
    beta: np.ndarray | float,
    start: np.ndarray,
    end: np.ndarray,
    *,
    with_slopes: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """ln of the integral of s/beta (1+y/alpha)^-shape (1+y/beta)^-(s+1) over start < y < end, and its slopes.

    The slopes are by shape, alpha, s and beta, 4 x n, where they are asked for. The integrand falls as fast at first
    as it ever does, then as a power: so y - start = (e^v - 1) / fall, with v evenly looked at.
    """
    shape, alpha, beta, start, end = np.broadcast_arrays(shape, alpha, beta, start, end)
    points, weights = unit_quadrature(NODES)
    logs, slopes = np.empty(len(shape)), np.zeros((4, len(shape) if with_slopes else 0))
    for at in range(0, len(shape), _CHUNK):
        part = slice(at, at + _CHUNK)
        m, a, b, first, last = (values[part, None] for values in (shape, alpha, beta, start, end))
        fall = m / (a + first) + (s + 1) / (b + first)
        width = np.log1p(fall * (last - first))
        v = points * width
        y = first + np.expm1(v) / fall
        log_a, log_b = np.log1p(y / a), np.log1p(y / b)
        terms = v - m * log_a - (s + 1) * log_b
        largest = terms.max(axis=1, keepdims=True)
        shares = weights * np.exp(terms - largest)
        total = shares.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            logs[part] = (np.log(s / b * width / fall) + largest + np.log(total))[:, 0]
        if with_slopes:
            shares /= total
            slopes[0, part] = -(shares * log_a).sum(axis=1)
            slopes[1, part] = (shares * (m * y / (a * (a + y)))).sum(axis=1)
            slopes[2, part] = 1 / s - (shares * log_b).sum(axis=1)
            slopes[3, part] = (shares * ((s + 1) * y / (b * (b + y)) - 1 / b)).sum(axis=1)
    return logs, slopes
