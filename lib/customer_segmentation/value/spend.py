"""What a purchase is worth: Gamma-Gamma (Colombo and Jiang 1999; Fader and Hardie 2013, "The Gamma-Gamma model").

The value of a purchase day of a customer is Gamma with shape p and a mean of the customer's own; the means of all
customers are inverse Gamma (q, v). It takes the value to be independent of how often a customer buys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln

from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.value.maximum_likelihood import NOT_CONVERGED, maximised
from customer_segmentation.value.numerics import digamma_rise, log_rising

NAMES = ("p", "q", "v")
MAX_CORRELATION = 0.15
"""Of frequency and value; beyond it they are hardly independent."""
_FIRST_MOMENT, _SECOND_MOMENT = 1.01, 0.1
"""q is above 1, so that there is a mean; a second moment counts as if its shape were at least so far above 2."""


@dataclass(frozen=True)
class SpendModel:
    """A fitted Gamma-Gamma model, in the unit of the amounts that it was fitted to.

    parameters: p, q and v.
    standard_errors: of them, None where the data do not tell.
    log_likelihood: of the customers at the fit.
    customers: how many these were: those with a value above 0.
    correlation: of the number of purchase days and the mean value, over customers with two or more days; None where
        it can't be told.
    is_converged: whether the likelihood is flat at the parameters.
    at_limit: parameters that ran to a limit ("lower" or "upper").
    """

    parameters: dict[str, float]
    standard_errors: dict[str, float | None]
    log_likelihood: float
    customers: int
    correlation: float | None
    is_converged: bool = True
    at_limit: dict[str, str] | None = None

    @property
    def values(self) -> np.ndarray:
        """p, q and v."""
        return np.array([*self.parameters.values()])

    def expected_value(self, days: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """The value to expect of a customer's purchase day.

        (1 - w) v p / (q - 1) + w m with w = p n / (p n + q - 1): the mean of n days drawn to that of all customers.

        Args:
            days: n, how many purchase days a customer has had; 0 for one who is not known.
            mean: m, their mean value; below 0 it counts as 0.
        """
        return value_moments(self.values, days, mean)[0]

    @property
    def messages(self) -> list[str]:
        """What a person should know of the fit, in sentences; none where all is well."""
        found = []
        if self.correlation is not None and abs(self.correlation) > MAX_CORRELATION:
            kind = "more" if self.correlation > 0 else "less"
            found.append(
                f"customers who buy more often spend {kind} a day (correlation {self.correlation:.2f}, beyond "
                f"{MAX_CORRELATION:.2f}), and the model takes the two to be independent: spend of frequent and of rare "
                "buyers may be off in opposite directions"
            )
        if not self.is_converged:
            found.append(NOT_CONVERGED)
        limit = (self.at_limit or {}).get("q")
        if limit is not None:
            meaning = "vary without bound" if limit == "lower" else "hardly differ"
            found.append(f"customers' mean values {meaning} (q = {self.parameters['q']:.4g}, at the limit)")
        return [f"Gamma-Gamma: {message}" for message in found]

    def to_dict(self) -> dict[str, Any]:
        """The model as plain JSON."""
        return {**vars(self), "at_limit": self.at_limit or {}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SpendModel":
        """The model from what `to_dict` gives."""
        return cls(**data)


def fit_spend(days: np.ndarray, mean: np.ndarray, customers: np.ndarray | None = None) -> SpendModel:
    """The Gamma-Gamma model of the highest likelihood.

    Args:
        days: how many purchase days customers have, at least 1.
        mean: the mean value of these days. Customers for whom it is not above 0 do not enter.
        customers: how many customers there are of each row; None: one.

    Raises:
        DataRejectedError: nobody has a value above 0.
    """
    days, mean = np.asarray(days, dtype=float), np.asarray(mean, dtype=float)
    customers = np.ones(len(days)) if customers is None else np.asarray(customers, dtype=float)
    enters = (days > 0) & (mean > 0) & np.isfinite(mean)
    order = np.lexsort((mean[enters], days[enters]))
    days, mean, customers = (values[enters][order] for values in (days, mean, customers))
    total = float(customers.sum())
    if not total:
        raise DataRejectedError(
            "no customer has spent more than was returned: there is nothing to fit a spend model to"
        )
    unit = float(customers @ mean) / total

    def likelihood(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        return log_likelihood(parameters, days, mean / unit, customers)

    fit = maximised(
        likelihood,
        names=NAMES,
        starts=[(2.0, 3.0, 1.0), (10.0, 2.0, 0.2)],
        limits={"p": (1e-3, 1e4), "q": (_FIRST_MOMENT, 1e4), "v": (1e-6, 1e6)},
        customers=total,
    )
    parameters = {**fit.parameters, "v": float(f"{fit.parameters['v'] * unit:.10g}")}
    error = fit.standard_errors["v"]
    errors = {**fit.standard_errors, "v": None if error is None else float(f"{error * unit:.6g}")}
    value = fit.log_likelihood - total * float(np.log(unit))
    correlation = _correlation(days, mean, customers)
    return SpendModel(parameters, errors, value, round(total), correlation, fit.is_converged, fit.at_limit)


def log_likelihood(
    parameters: np.ndarray, days: np.ndarray, mean: np.ndarray, customers: np.ndarray
) -> tuple[float, np.ndarray]:
    """The logarithm of the likelihood of mean values, and its gradient by p, q and v.

    For n days of mean m: Gamma(pn + q) / (Gamma(pn) Gamma(q)) v^q m^(pn-1) n^(pn) / (v + mn)^(pn+q).
    """
    p, q, v = parameters
    n, at = np.unique(days, return_inverse=True)
    by_n = np.bincount(at, customers)
    share = np.log1p(v / (mean * days))
    other = np.log1p(mean * days / v)
    sums = np.bincount(at, customers * share)
    value = by_n @ (log_rising(q, p * n) - gammaln(p * n)) - customers @ (np.log(mean) + q * other) - p * (n @ sums)
    by_p = n @ (by_n * (digamma_rise(q, p * n) + digamma(q) - digamma(p * n)) - sums)
    by_q = by_n @ digamma_rise(q, p * n) - customers @ other
    by_v = customers @ (q * mean * days / (v * (v + mean * days)) - p * days / (v + mean * days))
    return float(value), np.array([by_p, by_q, by_v])


def value_moments(parameters: np.ndarray, days: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of the values Z of purchase days to come, given a customer's past: E[Z], E[Z^2], and E[Z Z'] of two of them.

    The rate of the values is Gamma(p n + q, v + n m) given the past. Where its inverse square has no mean, for p n + q
    up to 2, one stands for it that is large but finite.
    """
    p, q, v = parameters
    shape, scale = p * days + q, v + days * np.maximum(mean, 0.0)
    inverse = scale / (shape - 1)
    squared = inverse * scale / np.maximum(shape - 2, _SECOND_MOMENT)
    return p * inverse, p * (p + 1) * squared, p * p * squared


def _correlation(days: np.ndarray, mean: np.ndarray, customers: np.ndarray) -> float | None:
    """Pearson's, over customers with two or more days."""
    several = days > 1
    x, m, weights = days[several], mean[several], customers[several]
    if not len(x) or np.ptp(x) == 0 or np.ptp(m) == 0:
        return None
    covariance = np.cov(x, m, aweights=weights, ddof=0)
    return float(f"{covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]):.6g}")


def no_value(days: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, ...]:
    """The moments where nothing is spent."""
    return (np.zeros_like(mean),) * 3
