"""The scores that customers are ranked by at a date, each made of what was known before it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.backtest.outcomes import NET_SPEND
from customer_segmentation.clustering.fitting import AUTO_ALGORITHMS
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.coreset import coreset
from customer_segmentation.clustering.selection.stability import N_INIT
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.clustering.training import Training, train
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.preparation import sql
from customer_segmentation.spark.persistence import persisted

PAST_SPEND = "past_spend"
"""The score that all others are compared with."""
SEGMENTS = "segments"
"""The score of the configured segmentation."""
LEARNED = "learned"


@dataclass(frozen=True)
class Score:
    """Something to rank customers by, the highest first.

    name: its name in `backtests`.
    keys: columns of the customers: the first ranks them, the next those who are equal in it.
    column: of `customer_features`, where customers can be ranked by it at any time.
    is_forecast: whether it forecasts the net spend in the horizon.
    """

    name: str
    keys: tuple[str, ...]
    column: str | None = None
    is_forecast: bool = False


_PAST = Score(PAST_SPEND, (c.MONETARY,), column=c.MONETARY)


@dataclass(frozen=True)
class CustomersAt:
    """Customers at a date, as far as they are evaluated, with what they are ranked by.

    customers: a row per customer, sorted by customer_id, with the columns of scores and segment_id.
    skipped: why scores are missing, a sentence each.
    """

    customers: pd.DataFrame
    skipped: list[str] = field(default_factory=list)


def scores_of(columns: Collection[str], *, horizon_days: int, windows: Mapping[str, int]) -> list[Score]:
    """The scores that customers with these columns can be ranked by.

    Args:
        columns: of `CustomersAt.customers`.
        horizon_days: days after the date by which they are evaluated: of the spend before it, the window of the same
            length counts, and the value that is expected in so many days.
        windows: days of the windows of the features by name.
    """
    spent = next((f"spend_{name}" for name, days in windows.items() if days == horizon_days), "")
    expected = f"expected_spend_{horizon_days}d"
    scores = [
        _PAST,
        Score("recent_spend", (spent,), column=spent, is_forecast=True),
        Score("frequency", (c.FREQUENCY,), column=c.FREQUENCY),
        Score("rfm_cell", ("rfm_cell",)),
        Score("rfm_grid", ("rfm_grid",)),
        Score(SEGMENTS, (SEGMENTS,)),
        *(Score(name, (name,)) for name in AUTO_ALGORITHMS),
        Score("rank_in_segment", (SEGMENTS, c.MONETARY)),
        Score("spend_then_segment", (c.MONETARY, SEGMENTS)),
        Score("lifetime_value", (expected,), column=expected, is_forecast=True),
        Score(LEARNED, (LEARNED,), is_forecast=True),
    ]
    return [score for score in scores if set(score.keys) <= set(columns)]


def best_column(
    rows: Iterable[Mapping[str, Any]], columns: Collection[str], *, horizon_days: int, windows: Mapping[str, int]
) -> str:
    """The column of `customer_features` to rank customers by: of those that rank better than past spend the best.

    Better is where the interval of the difference leaves out 0, on the mean over the dates; where none is, it is past
    spend.

    Args:
        rows: of one run in `backtests`.
        columns: of `customer_features`.
        horizon_days: of the backtest that counts.
        windows: days of the windows of the features by name.
    """
    gains = {
        row["score"]: row["value"]
        for row in rows
        if (row["horizon_days"], row["outcome"], row["metric"]) == (horizon_days, NET_SPEND, "gini_gain")
        and row[c.AS_OF_DATE] is None
        and row["low"] > 0
    }
    scores = scores_of(columns, horizon_days=horizon_days, windows=windows)
    better = [score for score in scores if score.column and score.name in gains]
    return max(better, key=lambda score: gains[score.name], default=_PAST).column or c.MONETARY


def customers_at(
    features: DataFrame,
    settings: Clustering,
    drawn: Callable[[DataFrame], DataFrame],
    *,
    columns: Sequence[str],
    seed: int,
) -> CustomersAt:
    """Customers with their past spend, the mean past spend of their RFM cell and segments, and further columns.

    The configured segmentation is trained as for production, on all of them. The other algorithms have as many
    segments; they are fitted to its coreset.

    Args:
        features: customers at the date with RFM scores; read several times, so persisted by the caller.
        settings: the `clustering` section.
        drawn: draws the rows of the customers that are evaluated, as many as fit on the driver.
        columns: further numeric columns of the features that are scores.
        seed: of the training.
    """
    skipped = []
    names = [c.CUSTOMER_ID, c.RFM_SCORE, c.RFM_SEGMENT, *dict.fromkeys((c.MONETARY, *columns))]
    try:
        training = train(features, settings, seed=seed)
    except DataRejectedError as error:
        training = None
        skipped.append(f"no segments: {error}")
    if training is None:
        groups, points, frame = [c.RFM_SCORE, c.RFM_SEGMENT], [], features.select(*map(sql.column, names))
    else:
        groups, points = [c.RFM_SCORE, c.RFM_SEGMENT, c.SEGMENT_ID], training.model.preparation.outputs
        assigned = training.model.assign(training.model.preparation.transform(features))
        frame = assigned.select(*map(sql.column, dict.fromkeys([*names, c.SEGMENT_ID, *points])))
    with persisted(frame) as kept:
        means = _group_means(kept, groups)
        customers = drawn(kept).toPandas().sort_values(c.CUSTOMER_ID, ignore_index=True)
        partitions = _other_segments(kept, training, customers, settings.sample_size, seed) if training else {}
    for group, name in zip(groups, ("rfm_cell", "rfm_grid", SEGMENTS), strict=False):
        customers[name] = customers[group].astype(str).map(means[group]).astype(float)
    for name in dict.fromkeys((c.MONETARY, *columns)):
        customers[name] = customers[name].astype(float).fillna(0.0)
    for name, labels in partitions.items():
        customers[name] = customers[c.MONETARY].groupby(labels).transform("mean")
    dropped = [name for name in points if name not in (*names, c.SEGMENT_ID)]
    return CustomersAt(customers.drop(columns=dropped), skipped)


def _group_means(frame: DataFrame, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean past spend of all customers by group, by the group's column and its value as text. Runs one job."""
    by = [F.struct(F.lit(name).alias("name"), F.col(name).cast("string").alias("value")) for name in groups]
    rows = frame.select(F.inline(F.array(*by)), c.MONETARY).groupBy("name", "value").agg(F.avg(c.MONETARY)).collect()
    means: dict[str, dict[str, float]] = {name: {} for name in groups}
    for name, value, mean in rows:
        means[name][value] = float(mean)
    return means


def _other_segments(
    frame: DataFrame, training: Training, customers: pd.DataFrame, size: int, seed: int
) -> dict[str, np.ndarray]:
    """The segment of each customer by the algorithms that can be fitted to a coreset, as many as were trained."""
    inputs, k = training.model.preparation.outputs, training.model.k
    drawn = coreset(frame, inputs, size=size, seed=seed, by=c.CUSTOMER_ID)
    points = customers[inputs].to_numpy(dtype=np.float64)
    if not 2 <= k < len(np.unique(drawn.points, axis=0)):
        return {}
    fits = {name: ALGORITHMS[name].fit_coreset for name in AUTO_ALGORITHMS if name != training.model.algorithm}
    with one_thread():
        return {name: fit(drawn, [k], N_INIT, seed)[0].labels(points) for name, fit in fits.items() if fit is not None}
