"""Profiles of segments: size, value, averages, and what sets each apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.features import FEATURES
from customer_segmentation.preparation import prepared_name

_SCORES = (c.R_SCORE, c.F_SCORE, c.M_SCORE)


@dataclass(frozen=True)
class Differentiator:
    """A feature that sets a segment apart.

    value, overall: centre of the segment and of all customers, in original units.
    effect: difference of the means in standard deviations of the prepared feature.
    """

    feature: str
    value: float
    overall: float
    effect: float


@dataclass(frozen=True)
class Profile:
    """A segment as its customers are.

    averages: mean of each feature in original units; None where no customer has a value.
    rfm: mean R, F and M score.
    differentiators: strongest first.
    """

    segment_id: int
    customers: int
    revenue: Decimal
    averages: dict[str, float | None]
    rfm: tuple[float, float, float]
    differentiators: list[Differentiator]


def profiles(assigned: DataFrame, model: SegmentationModel, *, derived: Sequence[str] = ()) -> list[Profile]:
    """Profile every segment. Runs one aggregation.

    Args:
        assigned: `customer_features` with segment_id.
        model: the model that assigned them.
        derived: features that the library does not declare.

    Returns:
        The profiles in the order of their ids, segments without customers left out.
    """
    prepared = [prepared_name(name) for name in model.preparation.names]
    averaged = [*(feature.name for feature in FEATURES), *derived]
    rows = (
        model.preparation.transform(assigned)
        .groupBy(c.SEGMENT_ID)
        .agg(
            F.count(F.lit(1)).alias("customers"),
            F.sum(F.col(c.MONETARY)).alias("revenue"),
            *(F.avg(F.col(name).cast("double")).alias(name) for name in averaged),
            *(F.avg(score).alias(score) for score in _SCORES),
            *(F.avg(name).alias(name) for name in prepared),
        )
        .orderBy(c.SEGMENT_ID)
        .collect()
    )
    found = [row.asDict() for row in rows]
    total = sum(row["customers"] for row in found)
    overall = {name: sum(row[name] * row["customers"] for row in found) / total for name in prepared} if total else {}
    return [_profile(row, overall, model, averaged) for row in found]


def _profile(
    row: dict[str, Any], overall: dict[str, float], model: SegmentationModel, averaged: Sequence[str]
) -> Profile:
    differentiators = []
    for feature in model.preparation.features_:
        name = prepared_name(feature.name)
        effect = (row[name] - overall[name]) / feature.spread if feature.spread else 0.0
        differentiators.append(
            Differentiator(
                feature.name,
                rounded(feature.inverse_transform(row[name])),
                rounded(feature.inverse_transform(overall[name])),
                rounded(effect),
            )
        )
    differentiators.sort(key=lambda d: (-abs(d.effect), d.feature))
    return Profile(
        segment_id=row[c.SEGMENT_ID],
        customers=row["customers"],
        revenue=row["revenue"],
        averages={name: None if row[name] is None else rounded(row[name]) for name in averaged},
        rfm=(row[c.R_SCORE], row[c.F_SCORE], row[c.M_SCORE]),
        differentiators=differentiators,
    )


def rounded(value: float) -> float:
    """To six significant digits: enough for people, and free of the order in which doubles were added."""
    return float(f"{value:.6g}") if math.isfinite(value) else 0.0
