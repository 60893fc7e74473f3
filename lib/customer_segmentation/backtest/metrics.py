"""How well scores rank customers by what they did afterwards, over all customers and over resamples of them.

Every figure is computed from weights of the customers, a row for each resample: how often each was drawn. Weights of 1
give the figure itself. Customers with equal scores share a place: whatever order they are in, each of them counts as
the mean of all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

DECILES = np.arange(1, 11) / 10
CONFIDENCE = 0.95
"""Of the intervals: percentiles of the resamples (Efron & Tibshirani 1993, chapter 13)."""
_MAX_CELLS = 4_000_000
"""Weights held at once."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: np.ndarray) -> "Estimate | None":
        """From the figure of all customers, the first, and those of the resamples; None where it is not defined."""
        resampled = figures[1:][np.isfinite(figures[1:])]
        if not np.isfinite(figures[0]):
            return None
        if not len(resampled):
            return cls(float(figures[0]), float(figures[0]), float(figures[0]))
        tail = 100 * (1 - CONFIDENCE) / 2
        low, high = np.percentile(resampled, [tail, 100 - tail])
        return cls(float(figures[0]), float(low), float(high))


def resamples(customers: int, *, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Weights (some, customers) in parts that fit into memory: first those of all customers once, then the resamples.

    Each resample draws as many customers as there are, with replacement.
    """
    draw = np.random.default_rng(seed)
    at_once = max(1, _MAX_CELLS // max(customers, 1))
    yield np.ones((1, customers))
    for start in range(0, resamples, at_once):
        some = min(at_once, resamples - start)
        drawn = draw.integers(customers, size=(some, customers))
        yield np.stack([np.bincount(row, minlength=customers) for row in drawn]).astype(np.float64)


class Order:
    """Customers from the highest score to the lowest; those with equal scores share a place.

    Args:
        keys: (n,) each; the first decides, the next ones where it is equal. NaN counts as the lowest.
    """

    def __init__(self, *keys: np.ndarray) -> None:
        scores = [np.nan_to_num(np.asarray(key, dtype=np.float64), nan=-np.inf) for key in keys]
        self._rows = np.lexsort([-score for score in reversed(scores)])
        ordered = np.stack(scores)[:, self._rows]
        is_first = np.concatenate([[True], (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)])
        self._starts = np.flatnonzero(is_first)
        self._places = np.empty(len(self._rows), dtype=np.int64)
        self._places[self._rows] = np.cumsum(is_first) - 1

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of (b, n) values by place, (b, places)."""
        return np.add.reduceat(values[:, self._rows], self._starts, axis=1)

    def ranks(self, weights: np.ndarray) -> np.ndarray:
        """The mean rank at each place, (b, places), the highest score first: of 1 to the number of customers."""
        sizes = self.sums(weights)
        return np.cumsum(sizes, axis=1) - (sizes - 1) / 2

    def by_customer(self, values: np.ndarray) -> np.ndarray:
        """Values by place (b, places) as values of the customers, (b, n)."""
        return values[:, self._places]


@dataclass(frozen=True)
class Gains:
    """The cumulative gains curve: the share of the outcome that the customers with the highest scores have.

    customers, outcome: (b, places + 1) shares up to each place, from 0 to 1.
    mean: (b,) outcome per customer.
    """

    customers: np.ndarray
    outcome: np.ndarray
    mean: np.ndarray

    @classmethod
    def of(cls, order: Order, weights: np.ndarray, outcome: np.ndarray) -> "Gains":
        """The curve of outcomes (n,) in this order."""
        sizes, sums = (_cumulated(order.sums(each)) for each in (weights, weights * outcome))
        customers, total = sizes[:, -1:], sums[:, -1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            return cls(sizes / customers, np.where(total > 0, sums / total, np.nan), (total / customers)[:, 0])

    @cached_property
    def gini(self) -> np.ndarray:
        """(b,) twice the area between the curve and the diagonal: 0 for any order, negative for a wrong one."""
        steps = np.diff(self.customers, axis=1) * (self.outcome[:, 1:] + self.outcome[:, :-1])
        return np.asarray(steps.sum(axis=1) - 1)

    def share_of_top(self, shares: Sequence[float] | np.ndarray) -> np.ndarray:
        """(b, len(shares)) share of the outcome that so large a share of the customers has, those with top scores."""
        pairs = zip(self.customers, self.outcome, strict=True)
        return np.stack([np.interp(shares, customers, outcome) for customers, outcome in pairs])

    def decile_means(self) -> np.ndarray:
        """(b, 10) mean outcome of each tenth of the customers, the one with the highest scores first."""
        shares = np.diff(self.share_of_top(DECILES), axis=1, prepend=0.0)
        return np.asarray(shares * len(DECILES) * self.mean[:, None])


class Outcome:
    """What customers did after the date, to rank scores by.

    Args:
        weights: (b, n).
        values: (n,) such as net spend; may be negative.
    """

    def __init__(self, weights: np.ndarray, values: np.ndarray) -> None:
        self.weights, self.values = weights, values
        self._order = Order(values)
        self._best = Gains.of(self._order, weights, values).gini
        self._count = weights.sum(axis=1)
        ranks = self._order.ranks(weights)
        self._spread = self._squares(self._order, ranks)
        self._weighted_ranks = weights * self._order.by_customer(ranks)

    def ranking(self, order: Order) -> dict[str, np.ndarray]:
        """Figures (b,) of a score by metric.

        gini: the score's Gini coefficient by that of the outcome itself: 1 is the best order there is, 0 is none.
        spearman: rank correlation with the outcome, ties at their mean rank (Kendall 1948).
        top_10_share, top_20_share: share of the outcome that the 10% and 20% with the highest scores have.
        lift_1 to lift_10: mean outcome of each tenth, the highest scores first, by that of all.
        """
        gains = Gains.of(order, self.weights, self.values)
        top = gains.share_of_top([0.1, 0.2])
        with np.errstate(divide="ignore", invalid="ignore"):
            lifts = gains.decile_means() / gains.mean[:, None]
            gini = gains.gini / np.where(self._best > 0, self._best, np.nan)
        return {
            "gini": gini,
            "spearman": self._spearman(order),
            "top_10_share": top[:, 0],
            "top_20_share": top[:, 1],
            **{f"lift_{decile}": lifts[:, decile - 1] for decile in range(1, len(DECILES) + 1)},
        }

    def forecast(self, order: Order, forecast: np.ndarray) -> dict[str, np.ndarray]:
        """Figures (b,) of a forecast (n,) of the outcome by metric, in the outcome's unit unless said otherwise.

        mae: mean absolute error of a customer's forecast.
        total_error: the forecast of the total by the total, less 1.
        decile_error: how far the mean forecast of a tenth of the customers by forecast is from their mean outcome, on
            the mean over the tenths, by the mean outcome of all (after Wang, Liu & Miao 2019, whose error is relative
            to each tenth's own mean, which may be 0 here).
        """
        predicted, actual = (Gains.of(order, self.weights, each) for each in (forecast, self.values))
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = np.abs(predicted.decile_means() - actual.decile_means()).mean(axis=1)
            return {
                "mae": (self.weights * np.abs(forecast - self.values)).sum(axis=1) / self._count,
                "total_error": np.where(actual.mean > 0, predicted.mean / actual.mean - 1, np.nan),
                "decile_error": np.where(actual.mean > 0, errors / actual.mean, np.nan),
            }

    def _spearman(self, order: Order) -> np.ndarray:
        ranks = order.ranks(self.weights)
        products = (ranks * order.sums(self._weighted_ranks)).sum(axis=1)
        covariance = products - self._count * ((self._count + 1) / 2) ** 2
        spread = np.sqrt(self._squares(order, ranks) * self._spread)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(spread > 0, covariance / spread, np.nan))

    def _squares(self, order: Order, ranks: np.ndarray) -> np.ndarray:
        """(b,) sum of the squared distances of the customers' ranks from their mean."""
        middle = (self._count[:, None] + 1) / 2
        return np.asarray((order.sums(self.weights) * (ranks - middle) ** 2).sum(axis=1))


def group_means(weights: np.ndarray, groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(b, groups) mean of values (n,) by group (n,) numbered from 0; NaN for a group that a resample has not."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(groups[order]) != 0]))
    sizes, sums = (np.add.reduceat(each[:, order], starts, axis=1) for each in (weights, weights * values))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums / sizes)


def _cumulated(steps: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)
