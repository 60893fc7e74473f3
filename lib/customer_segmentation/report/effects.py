"""How far each segment lies from the customers overall, feature by feature, in standard deviations.

Takes the differentiators' own effects where a profile has them, and works out the others from the centres.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from customer_segmentation.contract.features import FEATURES, feature_named
from customer_segmentation.display.formatting import Number, known
from customer_segmentation.report.content import ReportContent, Row

_TOO_SMALL = 1e-6
"""Effects under this say nothing of a feature's standard deviation."""


@dataclass(frozen=True)
class Effect:
    """A cell of the profile heat map.

    value: the segment's centre in original units; None when the profile doesn't have it.
    effect: standard deviations of the prepared feature above (positive) or below the customers overall;
        None when it is unknown.
    estimated: the feature's standard deviation is in no differentiator; the customer-weighted spread of the
        segments' centres stands in for it, which is smaller, so that effects come out larger.
    """

    segment_id: int
    feature: str
    value: float | None
    effect: float | None
    estimated: bool = False


def profile_features(content: ReportContent) -> list[str]:
    """The features of the heat map: those that the model clusters on, or all that the profiles have."""
    present = {name for row in content.segments for name in _features(row)}
    chosen = [name for name in content.model["features"] or () if name in present]
    return chosen or [feature.name for feature in FEATURES if feature.name in present]


def profile_effects(content: ReportContent) -> list[Effect]:
    """Every segment by every feature of the heat map, segments by value."""
    columns = {name: _column(name, content.by_value) for name in profile_features(content)}
    return [columns[name][place] for place in range(len(content.segments)) for name in columns]


def _column(feature: str, segments: list[Row]) -> list[Effect]:
    values = [_centre(row, feature) for row in segments]
    differentiators = [_differentiator(row, feature) for row in segments]
    overall = _overall(feature, segments, values, differentiators)
    scales = [
        abs(_prepared(feature, row["value"]) - _prepared(feature, row["overall"])) / abs(row["effect"])
        for row in differentiators
        if row is not None and known(row["value"]) and known(row["overall"]) and abs(row["effect"]) > _TOO_SMALL
    ]
    deviations = [None if value is None else _prepared(feature, value) - overall for value in values]
    scale = median(scales) if scales else math.sqrt(_mean(segments, [None if d is None else d * d for d in deviations]))
    return [
        Effect(row["segment_id"], feature, value, float(own["effect"]))
        if own is not None
        else Effect(row["segment_id"], feature, value, _in_units_of(scale, deviation), estimated=not scales)
        for row, value, own, deviation in zip(segments, values, differentiators, deviations, strict=True)
    ]


def _overall(feature: str, segments: list[Row], values: list[float | None], differentiators: list[Row | None]) -> float:
    """The prepared centre of all customers: as a differentiator has it, or the mean over the segments."""
    stated = [row["overall"] for row in differentiators if row is not None and known(row["overall"])]
    if stated:
        return _prepared(feature, stated[0])
    return _mean(segments, [None if value is None else _prepared(feature, value) for value in values])


def _mean(segments: list[Row], values: list[float | None]) -> float:
    """The mean over the segments' customers; 0 without any."""
    weighed = [(value, row["customers"]) for value, row in zip(values, segments, strict=True) if value is not None]
    customers = sum(weight for _, weight in weighed)
    return sum(value * weight for value, weight in weighed) / customers if customers else 0.0


def _in_units_of(scale: float, deviation: float | None) -> float | None:
    if deviation is None:
        return None
    return deviation / scale if scale > 0 else 0.0


def _prepared(feature: str, value: Number) -> float:
    """The value as clustering sees it before scaling: the signed logarithm of a skewed feature."""
    declared = feature_named(feature)
    if declared is not None and declared.shape == "skewed":
        return math.copysign(math.log1p(abs(float(value))), value)
    return float(value)


def _features(row: Row) -> set[str]:
    rows = row["differentiators"] or ()
    return {*(row["centroid"] or ()), *(row["averages"] or ()), *(each["feature"] for each in rows)}


def _differentiator(row: Row, feature: str) -> Row | None:
    rows: Iterable[Row] = row["differentiators"] or ()
    return next((each for each in rows if each["feature"] == feature and known(each["effect"])), None)


def _centre(row: Row, feature: str) -> float | None:
    differentiator = _differentiator(row, feature) or {}
    candidates = (
        differentiator.get("value"),
        (row["centroid"] or {}).get(feature),
        (row["averages"] or {}).get(feature),
    )
    return next((float(value) for value in candidates if value is not None and known(value)), None)
