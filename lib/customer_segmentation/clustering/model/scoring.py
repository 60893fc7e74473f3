"""Scores customers in batches: a model says how points compare, this applies it to the rows of a frame.

The prepared values of many rows go through a Python worker at once and are scored by NumPy. Column arithmetic in
Spark would be one compiled method of thousands of operations, which the virtual machine does not optimise. What goes
to the workers is sent by its value and asks nothing of them but NumPy, SciPy and PyArrow, so the library need not be
installed there. A row's result does not depend on the rows that come with it.

The drivers of a customer say why it is in its segment and not in the second best. A feature's part is by how much the
customer's preference for its segment would lessen if the feature had the value of the other segment's centre: with
centres, (centre - other centre) * (value - other centre). The effect of a feature is its share in the sum of all
positive parts, so the effects of all features are 0 to 1 and add up to 1. What is missing has no part. Listed are as
few features as make up most of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.model.base import Scorer, SegmentationModel, require_features
from customer_segmentation.clustering.model.calibration import CalibratedScores, calibrated_scores
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import DRIVERS_TYPE
from customer_segmentation.preparation import PreparationModel, sql
from customer_segmentation.preparation.columns import PCAFeature, measurable_sql
from customer_segmentation.preparation.frames import MAX_MAGNITUDE, free_name
from customer_segmentation.spark.arrow_functions import arrow_function

DRIVERS = 3
"""Most drivers of a customer."""
MOST = 0.5
"""Drivers are listed until they make up this share of all that speaks for the segment."""
_SCORED = "_scored"
_DRIVER_TYPE = "driver{0} int, effect{0} double, is_high{0} boolean, segment_value{0} double, other_value{0} double"
_DRIVERS_TYPE = "drivers int, " + ", ".join(map(_DRIVER_TYPE.format, range(DRIVERS)))
_SCORED_TYPE = f"best int, second int, confidence double, is_outlier boolean, {_DRIVERS_TYPE}"


Parts = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From features x n points, and the positions of their best and second best segments, the part of each feature."""


def with_scores(
    features: DataFrame,
    model: SegmentationModel,
    scorer: Scorer,
    *,
    parts: Parts | None = None,
    more: Mapping[str, str] | None = None,
) -> DataFrame:
    """The frame with segment_id, confidence, is_outlier, second_segment_id and drivers. One pass, no shuffle.

    Args:
        features: any frame with the features' columns, in original units. A customer with a value that is infinite or
            beyond 1e100 is an outlier with confidence 0 and no drivers, in the segment of its other values.
        scorer: of the model.
        parts: of the features; those of the model's centres where not given.
        more: further columns, as the SQL of a text that `{best}` stands in for the position of the segment.

    Raises:
        ConfigurationError: features of the model are not among the columns.
        DataRejectedError: a feature is no number, or a name stands for several columns.
    """
    require_features(features, model.preparation)
    present = features.columns
    working = free_name(_SCORED, present)
    scoring = batch_scorer(
        scorer, score_calibration(model), driver_scorer(model, parts), imputed_values(model.preparation)
    )
    score = arrow_function(scoring, _SCORED_TYPE)
    scored = features.withColumn(working, score(*_arguments(model.preparation, features)))
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


def with_reasons(features: DataFrame, model: SegmentationModel, *, position: str, margin: str) -> DataFrame:
    """The frame with confidence, second_segment_id and drivers, where something else than centres decides the segment.

    The second best segment is the other one with the nearest centre. Drivers are those of `with_scores`; a customer in
    no segment has none.

    Args:
        features: any frame with the features' columns, the position and the margin, in original units.
        position: of the customer's segment among the model's, as SQL; -1 for none.
        margin: how clear the case is, as SQL.
    """
    if not model.k:
        return features.withColumns(
            {
                c.CONFIDENCE: F.lit(0.0),
                c.SECOND_SEGMENT_ID: F.lit(None).cast("int"),
                c.DRIVERS: F.expr(f"CAST(array() AS {DRIVERS_TYPE})"),
            }
        )
    reasoning = reason_scorer(
        model.segment_centers, score_calibration(model), driver_scorer(model), imputed_values(model.preparation)
    )
    reason = arrow_function(reasoning, f"second int, confidence double, {_DRIVERS_TYPE}")
    working = free_name(_SCORED, features.columns)
    ids = sql.integers(model.segment_ids)
    added = {
        c.CONFIDENCE: F.col(f"{working}.confidence"),
        c.SECOND_SEGMENT_ID: F.expr(f"get({ids}, {working}.second)"),
        c.DRIVERS: F.expr(_drivers(model.preparation, working)),
    }
    reasons = reason(F.expr(position), F.expr(margin), *_arguments(model.preparation, features))
    return features.withColumn(working, reasons).withColumns(added).drop(working)


def nearest_center_scorer(centers: np.ndarray) -> Scorer:
    """Scores by the nearest centre, Euclidean; of equally near ones the first counts.

    The margin is 1 - distance to the nearest centre / distance to the second nearest, 0 where there is no second or
    both are 0.
    """

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
        margin = np.where(apart, 1 - np.sqrt(own / np.where(apart, other, 1)), 0.0)
        return best, second, margin, np.sqrt(own)

    return score


def center_parts(centers: np.ndarray) -> Parts:
    """The parts of features by the segments' centres."""

    def parts(points: np.ndarray, best: np.ndarray, second: np.ndarray) -> np.ndarray:
        other = centers.T[:, second]
        products: np.ndarray = (centers.T[:, best] - other) * (points - other)
        return products

    return parts


def score_calibration(model: SegmentationModel) -> CalibratedScores:
    """The model's `calibrated_scores`, without a calibration by its margin and its former limits."""
    known = model.calibration
    if known is None:
        return calibrated_scores((), (), model.former_limits)
    return calibrated_scores(known.margins, known.shares, known.limits)


DriverScorer = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]


def driver_scorer(model: SegmentationModel, parts: Parts | None = None) -> DriverScorer:
    """How many drivers points have, and by rank what `_DRIVERS_TYPE` says; those beyond the number mean nothing.

    Takes features x n points, which of these values are known, and the best and the second segments' positions.
    """
    centers, part = model.segment_centers, parts or center_parts(model.segment_centers)
    original = np.array([[*values.values()] for values in model.centers_in_original_units().values()])
    ranks = range(min(DRIVERS, centers.shape[1]))
    none, enough = range(len(ranks), DRIVERS), MOST

    def drive(points: np.ndarray, is_known: np.ndarray, best: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
        shares = np.maximum(np.where(is_known, part(points, best, second), 0.0), 0.0)
        largest = shares.max(axis=0)
        shares /= np.where(largest > 0, largest, 1.0)  # first by the largest: the sum of two could be infinite
        shares /= np.maximum(shares.sum(axis=0), 1.0)
        rows = np.arange(points.shape[1])
        count, listed = np.zeros(len(rows), dtype=np.int32), np.zeros(len(rows))
        ranked: dict[str, np.ndarray] = {}
        for rank in ranks:
            feature = shares.argmax(axis=0)
            effect = shares[feature, rows]
            shares[feature, rows] = -1.0
            count += (effect > 0) & (listed < enough)
            listed += effect
            is_high = points[feature, rows] > centers[second, feature]
            values = feature.astype(np.int32), effect, is_high, original[best, feature], original[second, feature]
            names = ("driver", "effect", "is_high", "segment_value", "other_value")
            ranked |= {f"{name}{rank}": value for name, value in zip(names, values, strict=True)}
        for rank in none:
            zeros = np.zeros(len(rows))
            ranked |= {f"driver{rank}": np.zeros_like(count), f"effect{rank}": zeros, f"is_high{rank}": zeros > 0}
            ranked |= {f"segment_value{rank}": zeros, f"other_value{rank}": zeros}
        return {"drivers": count, **ranked}

    return drive


Batch = Callable[..., pa.Array]


def batch_scorer(scorer: Scorer, calibrate: CalibratedScores, drive: DriverScorer, imputed: np.ndarray) -> Batch:
    """Scores a batch of what `_arguments` gives: structs of `_SCORED_TYPE`."""
    read = _reader(imputed)

    def scored(*batch: pa.Array) -> pa.Array:
        points, own, is_known, measured = read(batch)
        best, second, margin, distance = scorer(points)
        confidence, is_outlier = calibrate(best, margin, distance)
        columns = {"best": best.astype(np.int32), "second": second.astype(np.int32)}
        columns |= {"confidence": np.where(measured, confidence, 0.0), "is_outlier": is_outlier | ~measured}
        columns |= drive(own, is_known, best, second)
        columns["drivers"][~measured] = 0
        return pa.StructArray.from_arrays([pa.array(values) for values in columns.values()], names=list(columns))

    return scored


def reason_scorer(centers: np.ndarray, calibrate: CalibratedScores, drive: DriverScorer, imputed: np.ndarray) -> Batch:
    """Second segments, by position and -1 for none, confidences and drivers, for points whose segment is known."""
    read = _reader(imputed)

    def reasoned(position: pa.Array, margins: pa.Array, *batch: pa.Array) -> pa.Array:
        best, margin = position.to_numpy(zero_copy_only=False), margins.to_numpy(zero_copy_only=False)
        points, own, is_known, measured = read(batch)
        squared = ((points[None] - centers[:, :, None]) ** 2).sum(axis=1)
        inside = np.flatnonzero(best >= 0)
        squared[best[inside], inside] = np.inf
        second = np.where(np.isfinite(squared.min(axis=0)), squared.argmin(axis=0), -1)
        confidence, _ = calibrate(best, margin, np.zeros(len(best)))
        columns = {"second": second.astype(np.int32), "confidence": np.where(measured, confidence, 0.0)}
        columns |= drive(own, is_known, best, second)
        columns["drivers"][(best < 0) | (second < 0)] = 0
        return pa.StructArray.from_arrays([pa.array(values) for values in columns.values()], names=list(columns))

    return reasoned


def imputed_values(preparation: PreparationModel) -> np.ndarray:
    """What a missing value counts as, prepared, by feature."""
    return np.array([(f.own if isinstance(f, PCAFeature) else f).imputed for f in preparation.features_])


def _reader(imputed: np.ndarray) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Reads a batch: points to score, their own values, which of these are known, and which points can be measured."""
    limit, d = MAX_MAGNITUDE, len(imputed)

    def read(batch: tuple[pa.Array, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        values = np.stack([array.to_numpy(zero_copy_only=False) for array in batch])
        is_known = ~np.isnan(values[-d:])
        values[-d:] = np.where(is_known, values[-d:], imputed[:, None])
        is_measurable = np.abs(values) <= limit
        values[~is_measurable] = 0.0
        return values[:d], values[-d:], is_known, is_measurable.all(axis=0)

    return read


def _arguments(preparation: PreparationModel, features: DataFrame) -> list[Any]:
    """The prepared values, null where they are missing; where these are projected on components, both."""
    measurable = preparation.measurable(features)
    if preparation.components_ is None:
        own = list(zip(preparation.features_, measurable, strict=True))
        return [F.expr(_unless_missing(feature, text)) for feature, text in own]
    own = [(f.own, measurable_sql(f.own)) for f in preparation.features_ if isinstance(f, PCAFeature)]
    return [*map(F.expr, measurable), *(F.expr(_unless_missing(feature, text)) for feature, text in own)]


def _unless_missing(feature: Any, prepared: str) -> str:
    """The prepared value as SQL, null where the feature is missing and nothing else can't be measured."""
    infinity = "CAST('Infinity' AS DOUBLE)"
    return f"CASE WHEN {feature.is_missing} AND {prepared} < {infinity} THEN CAST(NULL AS DOUBLE) ELSE {prepared} END"


def _drivers(preparation: PreparationModel, working: str) -> str:
    """The array of structs that the scored drivers in the working column stand for, as SQL."""
    names = [sql.text(feature.name) for feature in preparation.features_]
    values = [feature.value for feature in preparation.features_]
    structs = [
        f"named_struct('feature', {_chosen(f'{working}.driver{rank}', names)}, 'value', "
        f"{_chosen(f'{working}.driver{rank}', values)}, 'effect', {working}.effect{rank}, 'direction', "
        f"if({working}.is_high{rank}, 'high', 'low'), 'segment_value', {working}.segment_value{rank}, 'other_value', "
        f"{working}.other_value{rank})"
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
