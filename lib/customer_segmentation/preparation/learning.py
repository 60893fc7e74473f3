"""Learns a preparation's numbers from all rows, each from an aggregation that does not depend on the rows' order."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.preparation import frames, sql
from customer_segmentation.preparation.columns import OneHotFeature, OwnFeature, PreparedFeature, transformed_sql
from customer_segmentation.preparation.pca import PCA
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.preparation.transforms import yeo_johnson_lambda

if TYPE_CHECKING:
    from customer_segmentation.preparation.preparation import Preparation

CALLER = "Preparation.fit"
IQR_OF_NORMAL = 1.349
"""Interquartile range of a normal distribution in standard deviations."""
SAMPLE_SIZE = 20_000
"""Customers that the lambda of Yeo-Johnson is estimated on."""
DUPLICATE_TOLERANCE = 1e-9
"""How near to 1 a correlation is taken for 1."""
MAX_IQR_RATIO = 2**0.25
"""How far an interquartile range, as a scale, may be from that of a normal distribution with the same standard
deviation, either way: the variances of two features then differ by a factor of two at most."""
MAX_OFFSET = 1e4
"""Values further from 0 than so many times their range, or a centre so many scales: nine digits are too few."""
TRANSFORM_ROUNDING = 1e-12
"""Transformed values that differ by no more than this part of their size differ by rounding."""

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class _Transform:
    """What is known of a feature before its centre and scale."""

    log: bool
    yeo_johnson_lambda: float | None
    low: float | None
    high: float | None

    def sql(self, name: str) -> str:
        return transformed_sql(name, **vars(self))


def learn(frame: DataFrame, preparation: "Preparation") -> tuple[tuple[OwnFeature, ...], dict[str, str], PCA | None]:
    """The prepared features, those dropped with the reason, and the components where a share of variance is asked for.

    Raises:
        ConfigurationError: columns are not there.
        DataRejectedError: there are no customers; columns are no numbers, or have values that can't be measured.
    """
    frames.require_columns(CALLER, frame, numbers=preparation.columns, others=preparation.attributes)
    transforms = _transforms(frame, preparation)
    statistics = _statistics(frame, transforms)
    features: list[OwnFeature] = []
    dropped: dict[str, str] = {}
    for name, transform in transforms.items():
        reason = _uninformative(transform, statistics[name])
        if reason is None:
            features.append(_prepared(name, transform, statistics[name], preparation))
        else:
            dropped[name] = reason
    features = _without_duplicates(frame, features, dropped)
    for attribute in preparation.attributes:
        encoded = _one_hot(frame, attribute, preparation, taken=[feature.name for feature in features])
        features += encoded
        if not encoded:
            dropped[attribute] = "has the same value for every customer"
    if preparation.variance is None or not features:
        return tuple(features), dropped, None
    means, covariance = _moments(frame, features)
    return tuple(features), dropped, PCA.fit(means, rounded(covariance), variance=preparation.variance)


def _transforms(frame: DataFrame, preparation: "Preparation") -> dict[str, _Transform]:
    names = list(preparation.columns)
    bounds: dict[str, Bounds] = dict.fromkeys(names, (None, None))
    if preparation.winsorise is not None and names:
        quantiles = F.array(*(F.lit(float(quantile)) for quantile in preparation.winsorise))
        row = frame.agg(
            *(F.percentile(F.expr(sql.number(name)), quantiles).alias(f"q_{i}") for i, name in enumerate(names)),
            *(_too_large(name).alias(f"n_{i}") for i, name in enumerate(names)),
        ).first()
        assert row is not None, "an aggregation without grouping has one row"
        frames.require_measurable(CALLER, {name: row[f"n_{i}"] for i, name in enumerate(names)})
        for i, name in enumerate(names):
            if row[f"q_{i}"] is not None:
                low, high = row[f"q_{i}"]
                bounds[name] = (_center(low, high - low), _center(high, high - low))
    lambdas = _lambdas(frame, preparation, bounds)
    return {name: _Transform(preparation.transforms[name] == "log", lambdas.get(name), *bounds[name]) for name in names}


def _lambdas(frame: DataFrame, preparation: "Preparation", bounds: Mapping[str, Bounds]) -> dict[str, float | None]:
    """The lambdas of Yeo-Johnson, on rows drawn by a hash of their values: the same ones whatever the partitions."""
    names = [name for name in preparation.columns if preparation.transforms[name] == "yeo_johnson"]
    if not names:
        return {}
    clipped = (f"{_Transform(False, None, *bounds[name]).sql(name)} AS v_{i}" for i, name in enumerate(names))
    values = [f"v_{i}" for i in range(len(names))]
    rows = (
        frame.selectExpr(*clipped)
        .orderBy(F.xxhash64(F.lit(preparation.seed), *values), *values)
        .limit(SAMPLE_SIZE)
        .toPandas()
        .to_numpy(dtype=float)
    )
    rows = np.where(np.abs(rows) <= frames.MAX_MAGNITUDE, rows, np.nan)
    lambdas = {name: yeo_johnson_lambda(rows[:, i]) for i, name in enumerate(names)}
    return {name: None if value is None else float(rounded(value)) for name, value in lambdas.items()}


def _statistics(frame: DataFrame, transforms: Mapping[str, _Transform]) -> dict[str, dict[str, Any]]:
    if not transforms:
        return {}
    row = frame.agg(
        F.count(F.lit(1)).alias("rows"),
        *(_aggregates(name, transform).alias(f"s_{i}") for i, (name, transform) in enumerate(transforms.items())),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    if not row["rows"]:
        raise DataRejectedError(f"{CALLER}: there are no customers")
    statistics = {name: row[f"s_{i}"].asDict() for i, name in enumerate(transforms)}
    frames.require_measurable(CALLER, {name: values["too_large"] for name, values in statistics.items()})
    return _with_exact_moments(frame, transforms, statistics)


def _with_exact_moments(
    frame: DataFrame, transforms: Mapping[str, _Transform], statistics: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The statistics with means and deviations that keep the digits of values far from 0.

    An aggregation where there are such values.
    """
    far = {
        name: values["min"]
        for name, values in statistics.items()
        if values["min"] is not None
        and max(abs(values["min"]), abs(values["max"])) > MAX_OFFSET * (values["max"] - values["min"]) > 0
    }
    if not far:
        return statistics
    above = [F.expr(transforms[name].sql(name)) - F.lit(lowest) for name, lowest in far.items()]
    row = frame.agg(
        *(F.avg(value).alias(f"mean_{i}") for i, value in enumerate(above)),
        *(F.stddev_pop(value).alias(f"deviation_{i}") for i, value in enumerate(above)),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    exact = {
        name: {"mean": lowest + row[f"mean_{i}"], "deviation": row[f"deviation_{i}"]}
        for i, (name, lowest) in enumerate(far.items())
    }
    return {name: {**values, **exact.get(name, {})} for name, values in statistics.items()}


def _too_large(name: str) -> Column:
    return F.count_if(F.expr(frames.too_large(sql.number(name))))


def _aggregates(name: str, transform: _Transform) -> Column:
    value = F.expr(transform.sql(name))
    return F.struct(
        _too_large(name).alias("too_large"),
        F.min(value).alias("min"),
        F.max(value).alias("max"),
        F.percentile(value, F.array(F.lit(0.25), F.lit(0.5), F.lit(0.75))).alias("quartiles"),
        F.avg(value).alias("mean"),
        F.stddev_pop(value).alias("deviation"),
    )


def _uninformative(transform: _Transform, statistics: Mapping[str, Any]) -> str | None:
    """Why a feature distinguishes no customers; None where it does."""
    lowest, highest = statistics["min"], statistics["max"]
    if lowest is None:
        return "has no values"
    if lowest == highest:
        return "has the same value for every customer"
    if not math.isfinite(lowest) or not math.isfinite(highest):
        return "has no finite values once transformed"
    if highest - lowest < frames.MIN_RANGE:
        return f"has values that differ by less than {frames.MIN_RANGE:g}: take a smaller unit"
    is_transformed = transform.log or transform.yeo_johnson_lambda is not None
    if is_transformed and highest - lowest <= TRANSFORM_ROUNDING * max(abs(lowest), abs(highest)):
        return "has the same value for every customer once transformed: take it as it is, or subtract what all share"
    return None


def _prepared(
    name: str, transform: _Transform, statistics: Mapping[str, Any], preparation: "Preparation"
) -> PreparedFeature:
    low, median, high = statistics["quartiles"]
    deviation, weight = float(rounded(statistics["deviation"])), preparation.weight(name)
    if preparation.scaling == "robust":
        normal = deviation * IQR_OF_NORMAL
        scale = float(rounded(min(max(high - low, normal / MAX_IQR_RATIO), normal * MAX_IQR_RATIO)))
        center = _center(median, scale)
        missing = 0.0
    else:
        center, scale = _center(statistics["mean"], deviation), deviation
        missing = float(rounded((median - center) / scale)) * weight
    scale /= weight
    spread = float(rounded(statistics["deviation"] / scale))
    return PreparedFeature(name, center=center, scale=scale, spread=spread, missing=missing, **vars(transform))


def _center(value: float, scale: float) -> float:
    """The value to nine significant digits; to all where it lies so far from 0, for its scale, that nine move it."""
    return float(rounded(value)) if abs(value) <= MAX_OFFSET * scale else value


def _without_duplicates(frame: DataFrame, features: Sequence[OwnFeature], dropped: dict[str, str]) -> list[OwnFeature]:
    if len(features) < 2:
        return list(features)
    _, covariance = _moments(frame, features)
    deviations = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / deviations / deviations[:, None]
    kept: list[int] = []
    for i, feature in enumerate(features):
        same = next((j for j in kept if 1 - abs(correlation[i, j]) < DUPLICATE_TOLERANCE), None)
        if same is None:
            kept.append(i)
        else:
            dropped[feature.name] = f"says the same as {features[same].name} (correlation {correlation[i, same]:+.0f})"
    return [features[i] for i in kept]


def _moments(frame: DataFrame, features: Sequence[OwnFeature]) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of the prepared values, in one aggregation."""
    d = len(features)
    pairs = [(i, j) for i in range(d) for j in range(i, d)]
    prepared = frame.selectExpr(*(f"{feature.sql} AS v_{i}" for i, feature in enumerate(features)))
    row = prepared.agg(
        *(F.avg(f"v_{i}").alias(f"m_{i}") for i in range(d)),
        *(F.covar_pop(f"v_{i}", f"v_{j}").alias(f"c_{i}_{j}") for i, j in pairs),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    covariance = np.zeros((d, d))
    for i, j in pairs:
        covariance[i, j] = covariance[j, i] = row[f"c_{i}_{j}"]
    return rounded(np.array([row[f"m_{i}"] for i in range(d)])), covariance


def _one_hot(
    frame: DataFrame, attribute: str, preparation: "Preparation", *, taken: Collection[str]
) -> list[OwnFeature]:
    """A column for each of the most frequent values, ties by the text, and one for all others where there are more."""
    counted = (
        frame.groupBy(F.expr(sql.category(attribute)).alias("value"))
        .agg(F.count(F.lit(1)).alias("customers"))
        .orderBy(F.desc("customers"), "value")
        .limit(preparation.categories + 1)
        .collect()
    )
    if len(counted) < 2:
        return []
    rows = frame.count()
    has_others = len(counted) > preparation.categories
    top = [(row["value"], row["customers"]) for row in counted[: preparation.categories - has_others]]
    scale = 2**0.5 / preparation.weight(attribute)
    names: dict[str, tuple[tuple[str, ...], bool, float]] = {}
    for value, customers in top:
        names[_named(attribute, value or "(none)", names, taken)] = ((value,), False, customers / rows)
    if has_others:
        share = 1 - sum(customers for _, customers in top) / rows
        names[_named(attribute, "(other)", names, taken)] = (tuple(value for value, _ in top), True, share)
    return [
        OneHotFeature(name, attribute, values, others, scale, float(rounded((share * (1 - share)) ** 0.5 / scale)))
        for name, (values, others, share) in names.items()
    ]


def _named(attribute: str, value: str, others: Collection[str], features: Collection[str]) -> str:
    """A name that is a column's name as it stands, and not that of another value or feature, case aside."""
    plain = f"{attribute}={value}".translate({ord("."): " ", ord("`"): "'"}).replace("${", "$(")[:100]
    taken = {name.lower() for name in (*others, *features)}
    numbered = (f"{plain} ({number})" for number in itertools.count(len(others)))
    return next(name for name in itertools.chain([plain], numbered) if name.lower() not in taken)
