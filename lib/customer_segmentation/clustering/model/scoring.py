"""Scores customers in batches: a model says how points compare, this applies it to the rows of a frame.

The prepared values of many rows go through a Python worker at once and are scored by NumPy. Column arithmetic in
Spark would be one compiled method of thousands of operations, which the virtual machine does not optimise. What goes
to the workers is sent by its value and asks nothing of them but NumPy, SciPy and PyArrow, so the library need not be
installed there. A row's result does not depend on the rows that come with it.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

from customer_segmentation.clustering.model.base import SegmentationModel, require_features
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import DRIVERS_TYPE
from customer_segmentation.preparation import PreparationModel, sql
from customer_segmentation.preparation.frames import MAX_MAGNITUDE, free_name

DRIVERS = 3
_SCORED = "_scored"
_DRIVERS_TYPE = "drivers int, " + ", ".join(f"driver{rank} int, effect{rank} double" for rank in range(DRIVERS))
_SCORED_TYPE = f"best int, second int, confidence double, is_outlier boolean, {_DRIVERS_TYPE}"


Scorer = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
"""From features x n points, none beyond 1e100, for each point: the positions of the best and the second best segment
among the model's (with one segment, both 0), the confidence, 0 to 1, and whether it is an outlier. A function
within a function, so that it is sent by its value."""


def with_scores(
    features: DataFrame,
    model: SegmentationModel,
    scorer: Scorer,
    *,
    deviations: np.ndarray | None = None,
    more: Mapping[str, str] | None = None,
) -> DataFrame:
    """The frame with segment_id, confidence, is_outlier, second_segment_id and drivers. One pass, no shuffle.

    A feature's part in why a customer is in its segment and not in the second best is the difference of its squared
    distances to the two centres; the effect is its share of the sum of all parts, so the effects of all features add
    up to 1. `drivers` has the strongest positive ones; none where the sum is not positive.

    Args:
        features: any frame with the features' columns, in original units. A customer with a value that is infinite or
            beyond 1e100 is an outlier with confidence 0 and no drivers, in the segment of its other values.
        scorer: of the model.
        deviations: of each segment and feature, to measure the drivers' distances in; 1 where not given.
        more: further columns, as the SQL of a text that `{best}` stands in for the position of the segment.

    Raises:
        ConfigurationError: features of the model are not among the columns.
        DataRejectedError: a feature is no number, or a name stands for several columns.
    """
    require_features(features, model.preparation)
    present = features.columns
    working = free_name(_SCORED, present)
    scales = np.ones_like(model.segment_centers) if deviations is None else 1 / deviations
    scoring = batch_scorer(scorer, driver_scorer(model.segment_centers, scales))
    score = arrow_udf(scoring, _SCORED_TYPE)  # type: ignore[call-overload] # its stubs ask for a kind that is optional
    prepared = map(F.expr, model.preparation.measurable(features))
    scored = features.withColumn(working, score(*prepared))
    ids = sql.integers(model.segment_ids)
    added = {
        c.SEGMENT_ID: f"{ids}[{working}.best]",
        c.CONFIDENCE: f"{working}.confidence",
        c.IS_OUTLIER: f"{working}.is_outlier",
        c.SECOND_SEGMENT_ID: f"{ids}[{working}.second]" if model.k > 1 else "CAST(NULL AS INT)",
        c.DRIVERS: _drivers(model.preparation, working),
        **{name: text.format(best=f"{working}.best") for name, text in (more or {}).items()},
    }
    own = [F.col(sql.column(name)) for name in present if name.lower() not in added]
    return scored.select(*own, *(F.expr(text).alias(name) for name, text in added.items()))


def with_reasons(features: DataFrame, model: SegmentationModel, *, position: str) -> DataFrame:
    """The frame with second_segment_id and drivers, where something else than the centres decides the segment.

    The second best segment is the other one with the nearest centre. Drivers are those of `with_scores`; a customer in
    no segment has none.

    Args:
        features: any frame with the features' columns and the position, in original units.
        position: of the customer's segment among the model's, as SQL; -1 for none.
    """
    if not model.k:
        return features.withColumns(
            {
                c.SECOND_SEGMENT_ID: F.lit(None).cast("int"),
                c.DRIVERS: F.expr(f"CAST(array() AS {DRIVERS_TYPE})"),
            }
        )
    centers = model.segment_centers
    reasoning = reason_scorer(centers, driver_scorer(centers, np.ones_like(centers)))
    reason = arrow_udf(  # type: ignore[call-overload] # its stubs ask for a kind that is optional
        reasoning, f"second int, {_DRIVERS_TYPE}"
    )
    working = free_name(_SCORED, features.columns)
    prepared = map(F.expr, model.preparation.measurable(features))
    ids = sql.integers(model.segment_ids)
    added = {
        c.SECOND_SEGMENT_ID: F.expr(f"get({ids}, {working}.second)"),
        c.DRIVERS: F.expr(_drivers(model.preparation, working)),
    }
    return features.withColumn(working, reason(F.expr(position), *prepared)).withColumns(added).drop(working)


def nearest_center_scorer(centers: np.ndarray, limits: np.ndarray) -> Scorer:
    """Scores by the nearest centre, Euclidean; of equally near ones the first counts.

    The confidence is 1 - distance to the nearest centre / distance to the second nearest, 0 where there is no second
    or both are 0.

    Args:
        limits: for each centre the distance beyond which a point is an outlier.
    """
    squared_limits = limits**2

    def score(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        squared = np.zeros((len(centers), points.shape[1]))
        for j in range(len(points)):
            away = points[j] - centers[:, j, None]
            away *= away
            squared += away
        rows = np.arange(points.shape[1])
        best = squared.argmin(axis=0)
        own = squared[best, rows]
        squared[best, rows] = np.inf
        second = squared.argmin(axis=0)
        other = squared[second, rows]
        apart = np.isfinite(other) & (other > 0)
        confidence = np.where(apart, 1 - np.sqrt(own / np.where(apart, other, 1)), 0.0)
        return best, second, confidence, own > squared_limits[best]

    return score


DriverScorer = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]


def driver_scorer(centers: np.ndarray, scales: np.ndarray) -> DriverScorer:
    """How many drivers points have, and by rank the feature and its effect; those beyond the number mean nothing.

    Takes features x n points, their best and their second segment; gives the columns of `_DRIVERS_TYPE`.
    """
    ranks = range(min(DRIVERS, centers.shape[1]))
    none = range(len(ranks), DRIVERS)

    def drive(points: np.ndarray, best: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
        further = (points - centers.T[:, second]) * scales.T[:, second]
        nearer = (points - centers.T[:, best]) * scales.T[:, best]
        parts = further * further - nearer * nearer
        total = parts.sum(axis=0)
        is_positive = total > 0
        parts /= np.where(is_positive, total, 1.0)
        rows = np.arange(len(total))
        count = np.zeros(len(total), dtype=np.int32)
        ranked: dict[str, np.ndarray] = {}
        for rank in ranks:
            feature = parts.argmax(axis=0)
            effect = parts[feature, rows]
            parts[feature, rows] = -np.inf
            count += is_positive & (effect > 0)
            ranked |= {f"driver{rank}": feature.astype(np.int32), f"effect{rank}": effect}
        for rank in none:
            ranked |= {f"driver{rank}": np.zeros_like(count), f"effect{rank}": np.zeros(len(total))}
        return {"drivers": count, **ranked}

    return drive


def batch_scorer(scorer: Scorer, drive: DriverScorer) -> Callable[..., pa.Array]:
    """Scores a batch of prepared values, by feature: structs of `_SCORED_TYPE`."""
    limit = MAX_MAGNITUDE

    def scored(*batch: pa.Array) -> pa.Array:
        points = np.stack([values.to_numpy(zero_copy_only=False) for values in batch])
        measurable = np.abs(points) <= limit
        points[~measurable] = 0.0
        measured = measurable.all(axis=0)
        best, second, confidence, is_outlier = scorer(points)
        columns = {"best": best.astype(np.int32), "second": second.astype(np.int32)}
        columns |= {"confidence": np.where(measured, confidence, 0.0), "is_outlier": is_outlier | ~measured}
        columns |= drive(points, best, second)
        columns["drivers"][~measured] = 0
        return pa.StructArray.from_arrays([pa.array(values) for values in columns.values()], names=list(columns))

    return scored


def reason_scorer(centers: np.ndarray, drive: DriverScorer) -> Callable[..., pa.Array]:
    """Second segments, by position and -1 for none, and drivers, for points whose segment is known."""
    limit = MAX_MAGNITUDE

    def reasoned(position: pa.Array, *batch: pa.Array) -> pa.Array:
        best = position.to_numpy(zero_copy_only=False)
        points = np.stack([values.to_numpy(zero_copy_only=False) for values in batch])
        points[~(np.abs(points) <= limit)] = 0.0
        squared = ((points[None] - centers[:, :, None]) ** 2).sum(axis=1)
        inside = np.flatnonzero(best >= 0)
        squared[best[inside], inside] = np.inf
        second = np.where(np.isfinite(squared.min(axis=0)), squared.argmin(axis=0), -1)
        columns = {"second": second.astype(np.int32), **drive(points, best, second)}
        columns["drivers"][(best < 0) | (second < 0)] = 0
        return pa.StructArray.from_arrays([pa.array(values) for values in columns.values()], names=list(columns))

    return reasoned


def _drivers(preparation: PreparationModel, working: str) -> str:
    """The array of structs that the scored drivers in the working column stand for, as SQL."""
    names = [sql.text(feature.name) for feature in preparation.features_]
    values = [feature.value for feature in preparation.features_]
    structs = [
        f"named_struct('feature', {_chosen(f'{working}.driver{rank}', names)}, 'value', "
        f"{_chosen(f'{working}.driver{rank}', values)}, 'effect', {working}.effect{rank})"
        for rank in range(DRIVERS)
    ]
    cases = (
        f"WHEN {working}.drivers = {count} THEN array({', '.join(structs[:count])})"
        for count in reversed(range(1, DRIVERS + 1))
    )
    return f"CASE {' '.join(cases)} ELSE CAST(array() AS {DRIVERS_TYPE}) END"


def _chosen(position: str, texts: list[str]) -> str:
    """The SQL at a position, from 0; an array of them all would be made for every row."""
    return f"CASE {position} {' '.join(f'WHEN {at} THEN {text}' for at, text in enumerate(texts))} END"
