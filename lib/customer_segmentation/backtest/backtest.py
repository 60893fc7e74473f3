"""Goes back to dates of the past, fits with what was known before, and evaluates by what customers did after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from customer_segmentation.backtest.dates import BacktestDates
from customer_segmentation.backtest.evaluation import evaluate
from customer_segmentation.backtest.learned import LINE, learned_spend
from customer_segmentation.backtest.outcomes import OUTCOMES, outcomes
from customer_segmentation.backtest.scores import LEARNED, customers_at, scores_of
from customer_segmentation.clustering.estimator.layout import hashed_share
from customer_segmentation.config.schema import Backtest as Settings
from customer_segmentation.config.schema import Clustering, Features
from customer_segmentation.contract import columns as c
from customer_segmentation.features.build import active, as_dates, customer_features
from customer_segmentation.features.daily_aggregates import daily_aggregates
from customer_segmentation.features.frames import columns_of_lines
from customer_segmentation.features.lines_by_customer import lines_by_customer
from customer_segmentation.features.rfm_scores import rfm_scores
from customer_segmentation.ingest.returns import returned_orders
from customer_segmentation.spark.dates import Dates
from customer_segmentation.spark.persistence import checkpointed

_NOT_LEARNT_FROM = frozenset({c.R_SCORE, c.F_SCORE, c.M_SCORE, c.RFM_NUMBER})
"""Numbers that say no more than the features they are made of."""


@dataclass(frozen=True)
class History:
    """What is known of customers over time. What was known before a date is what is dated before it.

    transactions: order lines in the columns of the `transactions` table, in local time.
    returns: rows of the `returns` table, in local time; None where there are none.
    engagement: events in local time; None where there are none.
    """

    transactions: DataFrame
    returns: DataFrame | None = None
    engagement: DataFrame | None = None

    def returned_before(self, dates: Dates) -> DataFrame | None:
        """The orders of which something was returned before a date, of several by date."""
        if self.returns is None:
            return None
        before = F.lit(dates.last).cast("timestamp")
        lines = self.transactions.where(F.col(c.ORDERED_AT) < before)
        return returned_orders(lines, self.returns.where(F.col(c.RETURNED_AT) < before), dates)

    def features_at(self, as_of: date | Sequence[date], settings: Features) -> DataFrame:
        """The features of customers at a date, or at several in one pass, as runs as of those dates have them."""
        return customer_features(
            self.transactions,
            self.engagement,
            self.returned_before(as_dates(as_of)),
            as_of=as_of,
            response_events=settings.response_events,
            windows=settings.windows.days(),
            extra=settings.derived_features,
            active_within=settings.active_within,
        )

    def days_before(self, day: date) -> DataFrame:
        """The sums by customer and day, see `daily_aggregates`."""
        columns, dates = columns_of_lines(self.transactions), Dates((day,))
        returned = self.returned_before(dates)
        return daily_aggregates(lines_by_customer(self.transactions, returned, dates=dates, columns=columns))


@dataclass(frozen=True)
class BacktestResult:
    """What a backtest found.

    rows: of `backtests`, without the run.
    skipped: what could not be done and why, a sentence each.
    customers, evaluated: at the last date, and how many of them were evaluated.
    """

    rows: list[dict[str, Any]]
    skipped: list[str]
    customers: int
    evaluated: int


def backtest(
    history: History,
    dates: BacktestDates,
    *,
    features: Features,
    clustering: Clustering,
    settings: Settings,
    seed: int,
    with_value: Callable[[DataFrame, DataFrame], DataFrame] | None = None,
) -> BacktestResult:
    """Rank customers at each date by every score, and evaluate by what they did in the horizon after it.

    Nothing dated at a date or later enters what is ranked by: features, cut points, segments and scores are made of
    the lines, returns and events before it. Attributes of customers have no date, so they do not enter at all.

    Args:
        history: up to the end of the last horizon at least.
        dates: see `backtest_dates`.
        features, clustering, settings: sections of the configuration.
        seed: of all that is drawn.
        with_value: adds columns expected_spend_NNd to the features of customers, by a model that it fits to those of
            everybody, which it is given too: when customers stop buying is learnt of those who did.
    """
    clustering = _without_attributes(clustering)
    periods = [(horizon, day) for horizon, days in sorted(dates.by_horizon.items()) for day in days]
    earlier = {period: dates.learnt_from(*period) for period in periods} if settings.learned else {}
    at = sorted({day for _, day in periods})
    skipped, rows = list(dates.skipped), []
    end = max(day + timedelta(horizon) for horizon, day in periods)
    # Without their lineage: the plan of features is long, and each of many queries would go through it again.
    days = checkpointed(history.days_before(end))
    known = {}
    all_days = sorted({*at, *(each for each in earlier.values() if each is not None)})
    of_everybody = checkpointed(history.features_at(all_days, features.model_copy(update={"active_within": None})))
    for day in all_days:
        everybody = of_everybody.where(F.col(c.AS_OF_DATE) == F.lit(day))
        customers_then = rfm_scores(active(everybody, within=features.active_within))
        known[day] = checkpointed(with_value(customers_then, everybody) if with_value else customers_then)
    count = known[at[-1]].count()
    drawn = partial(hashed_share, share=min(1.0, settings.sample_size / max(count, 1)), seed=seed, by=[c.CUSTOMER_ID])
    fields = known[at[-1]].schema.fields
    numbers = [each.name for each in fields if isinstance(each.dataType, NumericType)]
    numbers = [name for name in numbers if name not in _NOT_LEARNT_FROM]
    scores = partial(scores_of, windows=features.windows.days())
    known_scores = [score for horizon in dates.by_horizon for score in scores(numbers, horizon_days=horizon)]
    ranked_by = list(dict.fromkeys(score.keys[0] for score in known_scores))
    customers = {}
    for day in at:
        customers[day] = customers_at(known[day], clustering, drawn, columns=ranked_by, seed=seed)
        skipped += [f"{day}: {why}" for why in customers[day].skipped]
    for horizon, of_horizon in sorted(dates.by_horizon.items()):
        frames = {}
        for day in of_horizon:
            did = outcomes(days, start=day, horizon_days=horizon)
            frames[day] = _with_outcomes(customers[day].customers, drawn(did).toPandas())
            before = earlier.get((horizon, day))
            if before is None:
                skipped += [
                    f"{day}: no learned score for {horizon} days; it needs {2 * horizon} days of orders before the date"
                ] * settings.learned
                continue
            spend = outcomes(days, start=before, horizon_days=horizon)
            line = list(dict.fromkeys([*LINE, *(score.keys[0] for score in scores(numbers, horizon_days=horizon))]))
            learned = learned_spend(known[before], spend, drawn(known[day]), columns=numbers, line=line, seed=seed)
            if isinstance(learned, str):
                skipped.append(f"{day}: no learned score of {horizon} days, {learned}")
            else:
                frames[day][LEARNED] = frames[day][c.CUSTOMER_ID].map(learned).astype(float)
        ranked = {day: scores(frame.columns, horizon_days=horizon) for day, frame in frames.items()}
        rows += evaluate(frames, ranked, horizon_days=horizon, bootstraps=settings.bootstraps, seed=seed)
    return BacktestResult(rows, skipped, count, len(customers[at[-1]].customers))


def _without_attributes(clustering: Clustering) -> Clustering:
    preparation = clustering.preparation.model_copy(update={"attributes": []})
    return clustering.model_copy(update={"preparation": preparation})


def _with_outcomes(customers: pd.DataFrame, did: pd.DataFrame) -> pd.DataFrame:
    """The customers with what they did; nothing where they are not among those who did something."""
    return customers.merge(did, on=c.CUSTOMER_ID, how="left").fillna(dict.fromkeys(OUTCOMES, 0.0))
