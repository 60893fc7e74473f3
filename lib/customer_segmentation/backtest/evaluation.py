"""Figures of scores at several dates, each with an interval by bootstraps of the customers.

A customer is drawn with all their dates, so that the interval of a mean over dates takes in that the same customers are
in them. All scores are evaluated on the same resamples, so that differences between them are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from customer_segmentation.backtest.metrics import Estimate, Order, Outcome, group_means, resamples
from customer_segmentation.backtest.outcomes import NET_SPEND, ORDERS, OUTCOMES
from customer_segmentation.backtest.scores import PAST_SPEND, SEGMENTS, Score
from customer_segmentation.contract import columns as c
from customer_segmentation.preparation.rounding import rounded

Key = tuple[date | None, str, str, str, int | None]
"""Date (None: the mean over the dates), score, outcome, metric, segment."""


def evaluate(
    customers: Mapping[date, pd.DataFrame],
    scores: Mapping[date, Sequence[Score]],
    *,
    horizon_days: int,
    bootstraps: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of `backtests`, without the run, of one horizon.

    Args:
        customers: by date: customer_id, the columns of the scores and of `OUTCOMES`, segment_id where there is one.
        scores: by date; past spend is among them.
        horizon_days: days after the date that the outcomes are of.
        bootstraps: resamples that the intervals are made of.
        seed: of the resamples.
    """
    ids = np.unique(np.concatenate([frame[c.CUSTOMER_ID].to_numpy() for frame in customers.values()]))
    evaluated = [
        (np.searchsorted(ids, frame[c.CUSTOMER_ID].to_numpy()), _figures_of(day, frame, scores[day]))
        for day, frame in sorted(customers.items())
    ]
    parts: dict[Key, list[np.ndarray]] = {}
    for weights in resamples(len(ids), resamples=bootstraps, seed=seed):
        for places, figures_of in evaluated:
            for key, part in figures_of(weights[:, places]).items():
                parts.setdefault(key, []).append(part)
    by_date = {key: np.concatenate(each) for key, each in parts.items()}
    rows = []
    for (day, score, outcome, metric, segment), figures in {**by_date, **_means(by_date)}.items():
        estimate = Estimate.of(figures)
        if estimate is not None:
            value, low, high = rounded([estimate.value, estimate.low, estimate.high]).tolist()
            named = {c.AS_OF_DATE: day, "horizon_days": horizon_days, "score": score, "outcome": outcome}
            rows.append({**named, "metric": metric, c.SEGMENT_ID: segment, "value": value, "low": low, "high": high})
    return rows


def _figures_of(
    day: date, frame: pd.DataFrame, scores: Sequence[Score]
) -> Callable[[np.ndarray], dict[Key, np.ndarray]]:
    """What computes the figures of a date from weights of its customers; what does not depend on them is done once."""
    orders = {score: Order(*(frame[key].to_numpy() for key in score.keys)) for score in scores}
    values = {name: frame[name].to_numpy(dtype=np.float64) for name in OUTCOMES}
    segments, codes = (
        np.unique(frame[c.SEGMENT_ID].to_numpy(), return_inverse=True) if c.SEGMENT_ID in frame else (None, None)
    )
    bought = (values[ORDERS] > 0).astype(np.float64)

    def figures(weights: np.ndarray) -> dict[Key, np.ndarray]:
        found: dict[Key, np.ndarray] = {}
        for name, outcome in values.items():
            measured = Outcome(weights, outcome)
            for score, order in orders.items():
                metrics = measured.ranking(order)
                if score.is_forecast and name == NET_SPEND:
                    metrics |= measured.forecast(order, frame[score.keys[0]].to_numpy(dtype=np.float64))
                found |= {(day, score.name, name, metric, None): each for metric, each in metrics.items()}
            for score in scores:
                gini = found[day, score.name, name, "gini", None]
                if score.name != PAST_SPEND:
                    found[day, score.name, name, "gini_gain", None] = gini - found[day, PAST_SPEND, name, "gini", None]
        if segments is not None and codes is not None:
            sizes = np.bincount(codes).astype(np.float64)
            for metric, each in (("retention", bought), ("spend", values[NET_SPEND])):
                means = group_means(weights, codes, each)
                outcome_name = ORDERS if metric == "retention" else NET_SPEND
                for i, segment in enumerate(segments):
                    found[day, SEGMENTS, outcome_name, metric, int(segment)] = means[:, i]
            for i, segment in enumerate(segments):
                found[day, SEGMENTS, ORDERS, "customers", int(segment)] = np.full(len(weights), sizes[i])
        return found

    return figures


def _means(figures: Mapping[Key, np.ndarray]) -> dict[Key, np.ndarray]:
    """The mean over the dates that a figure is there for; not of segments, which are others at each date.

    Args:
        figures: of all customers, then of each resample; some resamples may lack a figure that all customers have.
    """
    by_figure: dict[Key, list[np.ndarray]] = {}
    for (_, score, outcome, metric, segment), each in figures.items():
        if segment is None and np.isfinite(each[0]):
            by_figure.setdefault((None, score, outcome, metric, None), []).append(each)
    return {key: np.ma.masked_invalid(each).mean(axis=0).filled(np.nan) for key, each in by_figure.items()}
