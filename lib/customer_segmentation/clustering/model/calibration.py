"""What a fit learns of its customers besides the segments: how sure a segment is, and how far away is unusual.

A model's own margin (such as how much nearer its centre is than the next) orders customers by how clear their case is,
but says nothing of how often the case would be decided the same way. So the margins of customers of the fit are
compared with the share of bootstraps that put the customer into its segment, see `clustering.calibrating`, and the
increasing function between the two is kept: a few numbers by segment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from customer_segmentation.preparation.rounding import rounded

MAX_KNOTS = 20
"""Most points of the function of a segment."""
MIN_CUSTOMERS = 100
"""A segment with fewer customers in the sample has the function of all segments together."""
MIN_BEYOND = 2
"""A segment with fewer customers than this beyond its limit has the limit of all segments together, in its scale."""


@dataclass(frozen=True)
class Calibration:
    """By segment, in the model's order, the function from margin to confidence, and the limit of its outliers.

    margins, shares: the points of a piecewise linear function, which is level before the first and after the last:
        margins rise, shares (0 to 1) don't fall.
    limits: the distance beyond which a customer is an outlier, 0 or more; infinite for none.
    outlier_share: share of the customers that is to lie beyond, 0 and below 1.
    """

    margins: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    limits: tuple[float, ...]
    outlier_share: float

    def __post_init__(self) -> None:
        if not len(self.margins) == len(self.shares) == len(self.limits):
            raise ValueError("a calibration needs margins, shares and a limit for each segment")
        for margins, shares in zip(self.margins, self.shares, strict=True):
            if not margins or len(margins) != len(shares) or not np.isfinite(margins).all():
                raise ValueError("a calibration needs as many finite margins as shares, at least one")
            if (np.diff(margins) <= 0).any() or (np.diff(shares) < 0).any():
                raise ValueError("margins must rise and shares must not fall")
            if not all(0 <= share <= 1 for share in shares):
                raise ValueError("shares must be from 0 to 1")
        if not all(limit >= 0 for limit in self.limits) or not 0 <= self.outlier_share < 1:
            raise ValueError("limits must be 0 or more, the share of outliers from 0 to below 1")

    def to_dict(self) -> dict[str, Any]:
        """The calibration as JSON-able data; no limit is null."""
        return {
            "margins": [[*values] for values in self.margins],
            "shares": [[*values] for values in self.shares],
            "limits": [limit if np.isfinite(limit) else None for limit in self.limits],
            "outlier_share": self.outlier_share,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Calibration":
        """The calibration that `to_dict` made data of; raises TypeError, KeyError or ValueError where it is none."""
        return cls(
            tuple(tuple(map(float, values)) for values in data["margins"]),
            tuple(tuple(map(float, values)) for values in data["shares"]),
            tuple(np.inf if limit is None else float(limit) for limit in data["limits"]),
            float(data["outlier_share"]),
        )


def calibration_of(
    segments: np.ndarray,
    margins: np.ndarray,
    distances: np.ndarray,
    shares: np.ndarray,
    weights: np.ndarray,
    *,
    k: int,
    outlier_share: float,
) -> Calibration:
    """The calibration that some customers of the fit show.

    Args:
        segments: (n,) positions of their segments, at least one customer.
        margins: (n,) finite.
        distances: (n,) to their segments' centres.
        shares: (n,) of the bootstraps that put them into their segments.
        weights: (n,) how many customers each stands for, above 0.
        k: number of segments.
        outlier_share: share of the customers that is to lie beyond the limits; 0: there are no limits.
    """
    pooled = _increasing(margins, shares, weights)
    functions = []
    for segment in range(k):
        here = segments == segment
        own = here.sum() >= MIN_CUSTOMERS
        functions.append(_increasing(margins[here], shares[here], weights[here]) if own else pooled)
    limits = outlier_limits(segments, distances, weights, k=k, share=outlier_share) if outlier_share else [np.inf] * k
    return Calibration(
        tuple(tuple(knots.tolist()) for knots, _ in functions),
        tuple(tuple(values.tolist()) for _, values in functions),
        tuple(limits),
        float(outlier_share),
    )


def outlier_limits(
    segments: np.ndarray, distances: np.ndarray, weights: np.ndarray, *, k: int, share: float
) -> list[float]:
    """By segment the distance that this share of its customers, above 0 and below 1, lies beyond.

    A segment with too few customers for a quantile of its own has that of all, measured in root mean square
    distances, of which a small segment's own is drawn to that of all as if it had one more customer.
    """
    sums = np.bincount(segments, weights * distances**2, minlength=k)
    sizes = np.bincount(segments, weights, minlength=k)
    scales = np.sqrt((sums + sums.sum() / sizes.sum() * weights.mean()) / (sizes + weights.mean()))
    shape = _quantile(distances / np.where(scales > 0, scales, 1.0)[segments], weights, share)
    limits = shape * scales
    for segment in range(k):
        here = segments == segment
        if here.any() and share * weights[here].sum() ** 2 / (weights[here] ** 2).sum() >= MIN_BEYOND:
            limits[segment] = _quantile(distances[here], weights[here], share)
    return list(rounded(limits).tolist())


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The smallest of the values that, by what these show, at most this share of new values lies beyond.

    Of n values the i-th is expected to have (n + 1 - i) / (n + 1) of new ones beyond it (Weibull's plotting
    position); the largest where all have more.
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / (weights.sum() + weights.mean())
    position = min(int(np.searchsorted(below, (1 - share) * (1 - 1e-12))), len(values) - 1)
    return float(values[order[position]])


def _increasing(margins: np.ndarray, shares: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean margins of groups of like margins, and by isotonic regression (Barlow et al. 1972) their shares."""
    from sklearn.isotonic import isotonic_regression

    edges = np.unique(np.quantile(margins, np.arange(1, MAX_KNOTS) / MAX_KNOTS))
    group = np.searchsorted(edges, margins, side="right")
    sizes, groups = np.bincount(group, weights), np.unique(group)
    means = rounded(np.bincount(group, weights * margins)[groups] / sizes[groups])
    levels = np.bincount(group, weights * shares)[groups] / sizes[groups]
    fitted = np.clip(isotonic_regression(levels, sample_weight=sizes[groups]), 0.0, 1.0)
    distinct = np.append(np.diff(means) > 0, True)  # rounding can make two of them one
    return means[distinct], np.maximum.accumulate(rounded(fitted[distinct]))


CalibratedScores = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def calibrated_scores(
    margins: Sequence[Sequence[float]], shares: Sequence[Sequence[float]], limits: Sequence[float]
) -> CalibratedScores:
    """A function from positions, margins and distances to confidences and whether these are outliers.

    Goes to the workers by its value and asks nothing of them but NumPy. A position below 0, no segment, has
    confidence 0 and is an outlier. Without margins the confidence is the margin, from 0 to 1.
    """
    knots = [(np.array(x), np.array(y)) for x, y in zip(margins, shares, strict=True)]
    beyond = np.array([*limits, -np.inf])  # the last one is that of position -1

    def scored(best: np.ndarray, margin: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        confidence = np.where(best < 0, 0.0, np.clip(margin, 0.0, 1.0))
        for segment, (x, y) in enumerate(knots):
            here = best == segment
            confidence[here] = np.interp(margin[here], x, y)
        return confidence, distance > beyond[best]

    return scored
