"""What customers will buy and spend: means, intervals and present value, for many customers at once.

Over the purchases Y in a horizon and the values Z of purchase days, independent of one another, spend S is a sum of Y
values. Given a customer's past its mean is E[Y] E[Z] and its mean square E[Y] E[Z^2] + E[Y (Y - 1)] E[Z Z'].

Intervals are predictive: with the level's probability it is the customer's own future orders or spend that lie in them,
not their mean. The chance of no purchase at all is exact; where there is one, the amount is taken to be Gamma with the
exact mean and variance of orders or spend (two moments matched, as for compound sums in Klugman, Panjer and Willmot
2012, "Loss Models", 9.3). Parameters count as known: with many customers their own uncertainty is small beside that of
what one customer does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaincinv

from customer_segmentation.value.histories import Histories
from customer_segmentation.value.numerics import unit_quadrature

Future = Callable[[np.ndarray, np.ndarray, Sequence[float]], np.ndarray]
"""From x, T and horizons to P(Y = 0), E[Y] and E[Y (Y - 1)] of active customers by phase; horizons x 3 x k x n."""

_CHUNK = 4_000
_DISCOUNT_NODES = 4
DAYS_A_YEAR = 365.0


@dataclass
class Forecaster:
    """Forecasts for customers, batch by batch; needs NumPy and SciPy alone.

    What active customers will buy depends on (x, T) only: it is computed once for each pair, and kept.

    active: the probability that customers still buy, by history.
    shares: the probability of phases since the last purchase, k x n, by history.
    future: what active customers will buy, by phase.
    values: E[Z], E[Z^2] and E[Z Z'] from the number of purchase days and their mean value.
    horizons: in the unit of the histories, ascending.
    level: of the intervals, between 0 and 1.
    discount: the rate by which spend is discounted continuously, by unit of time.
    """

    active: Callable[[Histories], np.ndarray]
    shares: Callable[[Histories], np.ndarray]
    future: Future
    values: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
    horizons: Sequence[float]
    level: float
    discount: float
    known: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=complex), repr=False)
    moments: np.ndarray | None = field(default=None, repr=False)

    def forecast(
        self, x: np.ndarray, t_x: np.ndarray, tenure: np.ndarray, mean: np.ndarray, *, value_only: bool = False
    ) -> dict[str, np.ndarray]:
        """By customer: active, present_value, and orders, spend and their _low and _high of each horizon, as NAME_i.

        Args:
            x, t_x, tenure: histories, one a customer.
            mean: mean value of the x + 1 purchase days.
            value_only: present_value alone.
        """
        histories = Histories(x, t_x, tenure, np.ones(len(x)))
        active = self.active(histories)
        # Moments of active customers: (1 + 3 for each horizon) x n.
        moments = np.einsum("jn,mjn->mn", self.shares(histories), self._moments_of(x, tenure))
        value, square, product = self.values(x + 1, mean)
        result = {"present_value": active * moments[0] * value}
        if value_only:
            return result
        result["active"] = active
        for i in range(len(self.horizons)):
            none, orders, pairs = moments[1 + 3 * i : 4 + 3 * i]
            nothing, orders, pairs = 1 - active + active * none, active * orders, active * pairs
            spend = orders * value
            low, high = map(_whole, _interval(nothing, orders, orders + pairs, self.level))
            result |= {f"orders_{i}": orders, f"orders_low_{i}": low, f"orders_high_{i}": high}
            low, high = _interval(nothing, spend, orders * square + pairs * product, self.level)
            result |= {f"spend_{i}": spend, f"spend_low_{i}": low, f"spend_high_{i}": high}
        return result

    def _moments_of(self, x: np.ndarray, tenure: np.ndarray) -> np.ndarray:
        """Moments x k x n: discounted purchases, then P(Y = 0), E[Y] and E[Y (Y - 1)] of each horizon."""
        pairs, at = np.unique(x + 1j * tenure, return_inverse=True)
        missing = np.setdiff1d(pairs, self.known, assume_unique=True)
        if len(missing) or self.moments is None:
            computed = [self._moments(missing[i : i + _CHUNK]) for i in range(0, max(len(missing), 1), _CHUNK)]
            moments = np.concatenate([*([] if self.moments is None else [self.moments]), *computed], axis=2)
            known = np.concatenate([self.known, missing])
            order = np.argsort(known)
            self.known, self.moments = known[order], moments[:, :, order]
        return self.moments[:, :, np.searchsorted(self.known, pairs)[at]]

    def _moments(self, pairs: np.ndarray) -> np.ndarray:
        longest, rate = self.horizons[-1], self.discount
        points, weights = unit_quadrature(_DISCOUNT_NODES) if rate > 0 else (np.zeros(0), np.zeros(0))
        found = self.future(pairs.real, pairs.imag, [*self.horizons, *(longest * points)])
        of_horizons, of_points = found[: len(self.horizons)], found[len(self.horizons) :, 1]
        # By parts: the integral of e^(-d s) dE[Y(s)] is e^(-d h) E[Y(h)] + d times that of e^(-d s) E[Y(s)].
        discounted = np.exp(-rate * longest) * of_horizons[-1, 1]
        for point, weight, orders in zip(points, weights, of_points, strict=True):
            discounted = discounted + rate * longest * weight * np.exp(-rate * longest * point) * orders
        return np.concatenate([discounted[None], *of_horizons])


def _interval(nothing: np.ndarray, mean: np.ndarray, square: np.ndarray, level: float) -> tuple[np.ndarray, ...]:
    """Quantiles that leave out (1 - level) / 2 at each end, of what is 0 with a chance and Gamma otherwise."""
    is_positive = (nothing < 1 - 1e-12) & (mean > 0)
    something = np.where(is_positive, 1 - nothing, 1.0)
    own = np.where(is_positive, mean, 1.0) / something
    variance = np.maximum(square / something - own**2, 1e-9 * own**2)
    shape = own**2 / variance
    bounds = []
    for quantile in ((1 - level) / 2, (1 + level) / 2):
        above = np.clip((quantile - nothing) / something, 0.0, 1 - 1e-15)
        bound = np.zeros_like(mean)
        at = np.flatnonzero((above > 0) & is_positive)
        bound[at] = gammaincinv(shape[at], above[at]) / shape[at] * own[at]
        bounds.append(bound)
    return tuple(bounds)


def _whole(orders: np.ndarray) -> np.ndarray:
    """The whole number that a continuous quantile stands for; at least one where there is an order."""
    return np.where(orders > 0, np.maximum(np.ceil(orders - 0.5), 1.0), 0.0)
