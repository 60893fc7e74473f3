"""Profiles of segments: size, revenue, averages, and what sets each apart."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.features import FEATURES
from customer_segmentation.preparation import prepared_name, sql
from customer_segmentation.preparation.frames import numeric_columns, require_columns

_SCORES = (c.R_SCORE, c.F_SCORE, c.M_SCORE)

NO_FEATURES = frozenset(
    {
        *(c.CUSTOMER_ID, c.SEGMENT_ID, c.SECOND_SEGMENT_ID, c.MACRO_SEGMENT_ID, c.PREVIOUS_SEGMENT_ID),
        *(c.CONFIDENCE, c.IS_OUTLIER, c.RANK_IN_SEGMENT, c.HAS_ATTRIBUTES, *_SCORES, c.RFM_NUMBER),
    }
)
"""Numeric columns of segmented customers that say something of their segment and nothing of their behaviour."""

_MEDIAN_ACCURACY = 10_000


@dataclass(frozen=True)
class Differentiator:
    """A feature that sets a segment apart.

    value, overall: centre of the segment and of all customers, in original units.
    effect: difference of the means in standard deviations, of the prepared feature where a model prepared it.
    """

    feature: str
    value: float
    overall: float
    effect: float


@dataclass(frozen=True)
class Profile:
    """A segment described by its customers.

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


def profile(segments: DataFrame, features: Sequence[str] | None = None) -> pd.DataFrame:
    """Describe each segment of a segmented frame in a row. Runs one aggregation.

    Args:
        segments: customers with `segment_id`, such as what a model's `assign` returns; noise is -1. With `monetary`
            there is revenue, with `segment_name` there are names.
        features: numeric columns to describe the segments by; by default all of the frame that are not about the
            segment itself (ids, scores, confidence).

    Returns:
        A row per segment, ordered by segment_id: segment_id; segment_name; customers and customer_share, 0 to 1;
        revenue and revenue_share (None where nothing was spent); mean_ and median_ of each feature over the customers
        that have a value (NaN without any; a median is right to one part in 10,000 of them); differentiators, a list
        of feature, value, overall and effect, strongest first: the segment's mean, that of all customers, and their
        difference in standard deviations of the feature over all customers.

    Raises:
        ConfigurationError: there is no segment_id, or a feature is not a column.
        DataRejectedError: a feature is no number.

    Example:
        >>> rows = [(1, 10.0, 1), (1, 30.0, 3), (2, 60.0, 8)]
        >>> customers = spark.createDataFrame(rows, "segment_id int, monetary double, visits int")
        >>> profile(customers)[["segment_id", "customers", "revenue_share", "mean_visits"]]
           segment_id  customers  revenue_share  mean_visits
        0           1          2            0.4          2.0
        1           2          1            0.6          8.0
    """
    named = [name for name in segments.columns if name not in NO_FEATURES]
    names = numeric_columns(segments, named) if features is None else list(features)
    require_columns("profile", segments, numbers=[c.SEGMENT_ID, *names])
    has_revenue, has_names = (name in segments.columns for name in (c.MONETARY, c.SEGMENT_NAME))
    aggregates = {"customers": F.count(F.lit(1))}
    if has_revenue:
        aggregates["revenue"] = F.sum(F.when(F.expr(sql.number(c.MONETARY)).isNotNull(), F.col(c.MONETARY)))
    if has_names:
        aggregates[c.SEGMENT_NAME] = F.max(c.SEGMENT_NAME)
    for name in names:
        value = F.expr(sql.number(name))
        aggregates |= {
            f"mean_{name}": F.avg(value),
            f"median_{name}": F.percentile_approx(value, 0.5, _MEDIAN_ACCURACY),
            f"known_{name}": F.count(value),
            f"variance_{name}": F.var_pop(value),
        }
    rows = _by_segment(segments.where(F.col(c.SEGMENT_ID).isNotNull()), aggregates)
    overall = {name: _overall(rows, f"mean_{name}", f"known_{name}") for name in names}
    spreads = {name: _spread(rows, name, overall[name]) for name in names}
    customers = sum(row["customers"] for row in rows)
    revenue = sum(row["revenue"] for row in rows if row["revenue"] is not None) if has_revenue else 0
    described = []
    for row in rows:
        means = {name: row[f"mean_{name}"] for name in names if row[f"mean_{name}"] is not None}
        described.append(
            {
                c.SEGMENT_ID: row[c.SEGMENT_ID],
                **({c.SEGMENT_NAME: row[c.SEGMENT_NAME]} if has_names else {}),
                "customers": row["customers"],
                "customer_share": row["customers"] / customers,
                **(_revenue(row["revenue"], revenue) if has_revenue else {}),
                **{f"{kind}_{name}": row[f"{kind}_{name}"] for name in names for kind in ("mean", "median")},
                "differentiators": [vars(each) for each in _differentiators(means, overall, spreads)],
            }
        )
    shares = ["revenue", "revenue_share"] if has_revenue else []
    columns = [c.SEGMENT_ID, *([c.SEGMENT_NAME] if has_names else []), "customers", "customer_share", *shares]
    numbers = [f"{kind}_{name}" for name in names for kind in ("mean", "median")]
    table = pd.DataFrame(described, columns=[*columns, *numbers, "differentiators"])
    return table.astype(dict.fromkeys(numbers, "float64"))


def segment_profiles(assigned: DataFrame, model: SegmentationModel, *, derived: Sequence[str] = ()) -> list[Profile]:
    """Profile every segment of a model by the features it was fitted on. Runs one aggregation.

    Args:
        assigned: `customer_features` with segment_id.
        model: the model that assigned them.
        derived: features that the library does not declare.

    Returns:
        The profiles in the order of their ids; segments without customers have none.
    """
    prepared = model.preparation.features_
    averaged = [*(feature.name for feature in FEATURES), *derived]
    rows = _by_segment(
        model.preparation.transform(assigned),
        {
            "customers": F.count(F.lit(1)),
            "revenue": F.sum(F.col(c.MONETARY)),
            **{name: F.avg(F.col(name).cast("double")) for name in averaged},
            **{score: F.avg(score) for score in _SCORES},
            **{prepared_name(feature.name): F.avg(prepared_name(feature.name)) for feature in prepared},
        },
    )
    overall = {feature.name: _overall(rows, prepared_name(feature.name), "customers") for feature in prepared}
    spreads = {feature.name: feature.spread for feature in prepared}
    inverses = {feature.name: feature.inverse_transform for feature in prepared}
    return [
        Profile(
            segment_id=row[c.SEGMENT_ID],
            customers=row["customers"],
            revenue=row["revenue"],
            averages={name: None if row[name] is None else rounded(row[name]) for name in averaged},
            rfm=(row[c.R_SCORE], row[c.F_SCORE], row[c.M_SCORE]),
            differentiators=_differentiators(
                {feature.name: row[prepared_name(feature.name)] for feature in prepared}, overall, spreads, inverses
            ),
        )
        for row in rows
    ]


def feature_means(profiles: Sequence[Profile]) -> dict[str, float]:
    """The mean of each prepared feature over all customers of a model's profiles, in original units."""
    return {each.feature: each.overall for profile in profiles[:1] for each in profile.differentiators}


def _by_segment(frame: DataFrame, aggregates: Mapping[str, Column]) -> list[dict[str, Any]]:
    """The aggregates of each segment, ordered by its id."""
    aliased = [aggregate.alias(name) for name, aggregate in aggregates.items()]
    return [row.asDict() for row in frame.groupBy(c.SEGMENT_ID).agg(*aliased).orderBy(c.SEGMENT_ID).collect()]


def _overall(rows: Sequence[Mapping[str, Any]], mean: str, weight: str) -> float:
    """The mean over all customers from those of the segments; 0 without any."""
    total = sum(row[weight] for row in rows)
    return sum(row[mean] * row[weight] for row in rows if row[weight]) / total if total else 0.0


def _spread(rows: Sequence[Mapping[str, Any]], name: str, overall: float) -> float:
    """The standard deviation over all customers from means and variances of the segments; 0 without any."""
    known = [(row[f"known_{name}"], row[f"mean_{name}"], row[f"variance_{name}"]) for row in rows]
    squares = sum(count * (variance + (mean - overall) ** 2) for count, mean, variance in known if count)
    total = sum(count for count, _, _ in known)
    return math.sqrt(squares / total) if total else 0.0


def _revenue(revenue: Any, total: Any) -> dict[str, Any]:
    return {"revenue": revenue, "revenue_share": float((revenue or 0) / total) if total else None}


def _differentiators(
    means: Mapping[str, float],
    overall: Mapping[str, float],
    spreads: Mapping[str, float],
    inverses: Mapping[str, Callable[[float], float]] | None = None,
) -> list[Differentiator]:
    """How the means of a segment differ from those of all customers, strongest first.

    inverses: from the scale of the means to original units; None where they are in these already.
    """
    differentiators = []
    for name, mean in means.items():
        inverse = inverses[name] if inverses else float
        effect = (mean - overall[name]) / spreads[name] if spreads[name] else 0.0
        differentiators.append(
            Differentiator(name, rounded(inverse(mean)), rounded(inverse(overall[name])), rounded(effect))
        )
    return sorted(differentiators, key=lambda each: (-abs(each.effect), each.feature))


def rounded(value: float) -> float:
    """To six significant digits: enough for people, and free of the order in which doubles were added."""
    return float(f"{value:.6g}") if math.isfinite(value) else 0.0
