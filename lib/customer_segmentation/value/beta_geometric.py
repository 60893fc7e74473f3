"""Customers who may leave after each purchase: BG/NBD, MBG/NBD, and MBG/CNBD-k with its regular rhythms.

A customer buys at a rate lambda ~ Gamma(r, alpha) and leaves after a purchase with a chance p ~ Beta(a, b). In BG/NBD
(Fader, Hardie and Lee 2005, Marketing Science 24) nobody leaves at the first purchase; in MBG/NBD (Batislam, Denizel
and Filiztekin 2007, International Journal of Research in Marketing 24) and MBG/CNBD-k (Reutterer, Platzer and
Schroeder 2021, ibid. 38; Platzer and Reutterer 2016, Marketing Science 35) one may. With k > 1 the time between
purchases is the sum of k exponential phases (Erlang): the larger k, the more regular.

Parameters are (r, alpha, a, b), arrays of histories x, t_x, T as in `histories`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betainc, gammaln

from customer_segmentation.value.histories import Histories
from customer_segmentation.value.numerics import beta_quadrature, digamma_rise, log_rising

NAMES = ("r", "alpha", "a", "b")
NODES = 32
"""Of the quadrature over p."""


def log_likelihood(
    parameters: np.ndarray, histories: Histories, *, k: int, leaves_at_first: bool
) -> tuple[float, np.ndarray]:
    """The logarithm of the likelihood of all customers, and its gradient by the parameters.

    With n = x (+ 1 where one may leave at the first purchase), R = r + k x and u = T - t_x, a customer has the
    likelihood

        Gamma(R) / Gamma(r) alpha^r (product of gaps)^(k-1) / (k-1)!^x
          { B(a, b+n) / B(a, b)  sum over j < k of (R)_j / j! u^j (alpha + T)^-(R+j)    still active
            + [n > 0] B(a+1, b+n-1) / B(a, b) (alpha + t_x)^-R }                        left after the last purchase
    """
    r, alpha, a, b = parameters
    h = histories
    x = h.x_values
    n, kx = x + leaves_at_first, k * x
    terms = _log_terms(parameters, h, k, leaves_at_first)
    # ln(e^active + e^left) and the part of the first in it, by the larger of the two.
    apart = terms.left - terms.active
    smaller = np.exp(-np.abs(apart))
    both = np.maximum(terms.active, terms.left) + np.log(1 + smaller)
    is_active = h.customers * np.where(apart > 0, smaller, 1.0) / (1 + smaller)
    has_left = h.customers - is_active
    by_x = h.customers_by_x
    active_by_x = np.bincount(h.x_at, is_active, len(x))
    left_by_x = by_x - active_by_x
    common = log_rising(r, kx) - kx * np.log(alpha) - x * gammaln(k)
    value = by_x @ common + h.customers @ both + (k - 1) * h.gap_logs

    by_r = by_x @ digamma_rise(r, kx) - is_active @ terms.tenure - has_left @ terms.last
    slopes = is_active * (h.T / (alpha + h.T)) + has_left * (h.t_x / (alpha + h.t_x))
    by_alpha = (slopes @ terms.phases - by_x @ kx) / alpha
    if k > 1:
        for j, share in enumerate(terms.shares):
            by_r += np.bincount(h.x_at, is_active * share, len(x)) @ digamma_rise(r + kx, j)
            by_alpha -= j * (is_active * share) @ (1 / (alpha + h.T))
    whole = digamma_rise(a + b, n)
    before = np.maximum(n - 1, 0)
    by_a = -(by_x @ whole) + left_by_x.sum() / a
    by_b = active_by_x @ digamma_rise(b, n) + left_by_x @ digamma_rise(b, before) - by_x @ whole
    return float(value), np.array([by_r, by_alpha, by_a, by_b])


def probability_active(parameters: np.ndarray, histories: Histories, *, k: int, leaves_at_first: bool) -> np.ndarray:
    """The probability that customers have not left, given their histories; 1 by history."""
    active, left, *_ = _log_terms(parameters, histories, k, leaves_at_first)
    result: np.ndarray = np.exp(active - np.logaddexp(active, left))
    return result


def phase_shares(parameters: np.ndarray, histories: Histories, *, k: int, leaves_at_first: bool) -> np.ndarray:
    """k x n: the probability of j phases since the last purchase, by history, for customers who are active."""
    return _log_terms(parameters, histories, k, leaves_at_first).shares


def future_purchases(
    parameters: np.ndarray,
    x: np.ndarray,
    tenure: np.ndarray,
    horizons: Sequence[float],
    *,
    k: int,
    leaves_at_first: bool,
) -> np.ndarray:
    """Of Y, the purchases of active customers in (T, T + h]: P(Y = 0), E[Y] and E[Y (Y - 1)]; horizons x 3 x k x n.

    They are by horizon h, and by j, how many phases there were since the last purchase: a purchase ends every k-th
    phase, and customers stay after it with the chance q = 1 - p. Given the rate, P(Y >= i) is q^(i-1) times the chance
    of ki - j phases or more, which are Poisson. Their sum over i is taken by the k-th roots of unity w: with
    theta^k = q and the rate ~ Gamma(R, A), R = r + kx + j and A = alpha + T,

        E[Y] = theta^(j+1-k) / k  sum over w of w^(j+1) (1 - (1 + h (1 - theta w) / A)^-R) / (1 - theta w),

    and E[Y (Y - 1)] = 2 q dE[Y]/dq. What is left is a mean over p ~ Beta(a, b + n), taken by quadrature. With k = 1
    this is the formula of Fader, Hardie and Lee with their 2F1 written out as its integral.
    """
    r, alpha, a, b = parameters
    x_values, x_at = np.unique(x, return_inverse=True)
    nodes = [beta_quadrature(a, b + n, NODES) for n in x_values + leaves_at_first]
    p, weights = (np.stack(parts)[x_at] for parts in zip(*nodes, strict=True))
    base = alpha + tenure
    result = np.zeros((len(horizons), 3, k, len(x)))
    for horizon, (none, first, second) in zip(horizons, result, strict=True):
        c = horizon / base
        for j in range(k):
            shape = r + k * x + j
            mean, pairs = _moments(p, c[:, None], shape[:, None], k, j)
            first[j], second[j] = (weights * mean).sum(axis=1), (weights * pairs).sum(axis=1)
            for i in range(k - j):
                log_share = log_rising(shape, i) - gammaln(i + 1) + i * np.log(horizon / (base + horizon))
                none[j] += np.exp(log_share - shape * np.log1p(c))
    return result


def repeats_of_new(
    parameters: np.ndarray, tenure: np.ndarray, most: int, *, k: int, leaves_at_first: bool
) -> np.ndarray:
    """P(X >= i) for i = 1 to `most`, X being a new customer's repeats in a tenure; most x n.

    The customer stays long enough with the chance E[q^n], and k i phases are over in time: these are negative
    binomial over customers, whose tail is the incomplete beta function.
    """
    r, alpha, a, b = parameters
    i = np.arange(1, most + 1)
    purchases = i - 1 + leaves_at_first
    stays = np.exp(log_rising(b, purchases) - log_rising(a + b, purchases))
    result: np.ndarray = stays[:, None] * betainc(k * i[:, None], r, tenure / (alpha + tenure))
    return result


def _moments(p: np.ndarray, c: np.ndarray, shape: np.ndarray, k: int, j: int) -> tuple[np.ndarray, np.ndarray]:
    """E[Y] and E[Y (Y - 1)] by customer and node of p."""
    theta = np.exp(np.log1p(-np.minimum(p, 1 - 1e-15)) / k)
    y = -np.expm1(np.log1p(-np.minimum(p, 1 - 1e-15)) / k)
    first, slope = _waiting(y, c, shape)
    for power in range(1, k // 2 + 1):
        root = np.exp(2j * np.pi * power / k)
        value, change = _waiting(1 - theta * root, c, shape)
        # Roots come in conjugate pairs, but for -1: each pair is twice its real part.
        twice = 1 if 2 * power == k else 2
        first = first + twice * (root ** (j + 1) * value).real
        slope = slope + twice * (root ** (j + 2) * change).real
    scale = theta ** (j + 1 - k) / k
    mean = scale * first
    return mean, np.maximum(2 / k * ((j + 1 - k) * mean - scale * theta * slope), 0.0)


def _waiting(y: np.ndarray, c: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1 - (1 + c y)^-shape) / y, and its derivative by y."""
    log = np.log1p(c * y)
    value = -np.expm1(-shape * log) / y
    slope = (shape * c * np.exp(-(shape + 1) * log) - value) / y
    near = np.abs((shape + 2) * c * y) < 1e-4
    if near.any():
        z = c * y
        series = (
            -(c**2) * shape * (shape + 1) / 2 * (1 - 2 * (shape + 2) * z / 3 + (shape + 2) * (shape + 3) * z**2 / 4)
        )
        slope = np.where(near, series, slope)
    return value, slope


class _Terms(NamedTuple):
    """What the likelihoods of still active and of left are made of, n each.

    active, left: their logarithms, without what both have.
    shares: k x n, the phases' shares in the first.
    phases: r + k x.
    tenure, last: ln(1 + T / alpha) and ln(1 + t_x / alpha).
    """

    active: np.ndarray
    left: np.ndarray
    shares: np.ndarray
    phases: np.ndarray
    tenure: np.ndarray
    last: np.ndarray


def _log_terms(parameters: np.ndarray, h: Histories, k: int, leaves_at_first: bool) -> _Terms:
    r, alpha, a, b = parameters
    x = h.x_values
    n = x + leaves_at_first
    phases = (r + k * x)[h.x_at]
    tenure, last = np.log1p(h.tenure_values / alpha)[h.tenure_at], np.log1p(h.last_values / alpha)[h.last_at]
    whole = log_rising(a + b, n)
    active = (log_rising(b, n) - whole)[h.x_at] - phases * tenure
    shares = np.ones((1, len(h.x)))
    if k > 1:
        log_shares = _log_phase_weights(parameters, h, k)
        total = np.logaddexp.reduce(log_shares, axis=0)
        active = active + total
        shares = np.exp(log_shares - total)
    with np.errstate(divide="ignore"):
        leaves = np.where(n > 0, np.log(a) + log_rising(b, np.maximum(n - 1, 0)) - whole, -np.inf)
    return _Terms(active, leaves[h.x_at] - phases * last, shares, phases, tenure, last)


def _log_phase_weights(parameters: np.ndarray, h: Histories, k: int) -> np.ndarray:
    r, alpha = parameters[:2]
    shape = (r + k * h.x_values)[:, None]
    j = np.arange(k)
    constant = (log_rising(shape, j) - gammaln(j + 1))[h.x_at].T
    with np.errstate(divide="ignore"):
        since = np.log((h.T - h.t_x) / (alpha + h.T))
    weights: np.ndarray = constant
    weights[1:] += j[1:, None] * since
    return weights
