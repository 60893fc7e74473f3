"""Learns a preparation's numbers from all rows, each from an aggregation that does not depend on the rows' order."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.preparation import frames, sql
from customer_segmentation.preparation.columns import Indicator, PreparedFeature, shaped_sql
from customer_segmentation.preparation.pca import Components
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.preparation.transforms import likeliest_power

IQR_OF_NORMAL = 1.349
"""Interquartile range of a normal distribution in standard deviations."""
SAMPLE = 20_000
"""Customers that a lambda is found on."""
SAME = 1e-9
"""How near to 1 a correlation is taken for 1."""
CALLER = "Preparation.fit"
HAIR = 1e-9
"""An interquartile range below this part of the standard deviation is the rounding of equal values."""
OFFSET = 1e4
"""Values further from 0 than so many times their range, or a centre so many scales: nine digits tell too little."""
TRANSFORM_ROUNDING = 1e-12
"""Transformed values that differ by no more than this part of their size differ by rounding."""


@dataclass(frozen=True)
class Recipe:
    """What to learn; see `Preparation.fit`."""

    columns: tuple[str, ...]
    logs: frozenset[str]
    powered: frozenset[str]
    scaling: str
    winsorise: tuple[float, float] | None
    attributes: tuple[str, ...]
    categories: int
    weights: Mapping[str, float]
    variance: float | None
    seed: int

    def __post_init__(self) -> None:
        frames.require_names(CALLER, self.columns)
        frames.require_names(CALLER, self.attributes, kind="attributes")
        known = {*self.columns, *self.attributes}
        for argument, names in (("skewed", self.logs), ("powered", self.powered)):
            unknown = sorted(names - set(self.columns))
            if unknown:
                raise ConfigurationError(
                    f"{argument} has {', '.join(unknown)}, which is not among the columns {', '.join(self.columns)}"
                )
        if self.scaling not in ("robust", "standard"):
            raise ConfigurationError(f"scaling must be robust or standard; found {self.scaling!r}")
        if self.winsorise is not None and not 0 <= self.winsorise[0] < self.winsorise[1] <= 1:
            raise ConfigurationError(f"winsorise must be two rising quantiles from 0 to 1; found {self.winsorise!r}")
        if self.categories < 2:
            raise ConfigurationError(f"categories must be at least 2; found {self.categories!r}")
        if self.variance is not None and not 0 < self.variance <= 1:
            raise ConfigurationError(f"variance must be above 0, up to 1; found {self.variance!r}")
        if self.logs & self.powered:
            raise ConfigurationError(f"both skewed and powered: {', '.join(sorted(self.logs & self.powered))}")
        for name, weight in self.weights.items():
            if name not in known:
                raise ConfigurationError(
                    f"weights has {name!r}, which is not prepared; known: {', '.join(sorted(known))}"
                )
            if not weight > 0:
                raise ConfigurationError(f"weights.{name} must be above 0; found {weight!r}")


@dataclass(frozen=True)
class _Shape:
    """What is known of a feature before its centre and scale."""

    log: bool
    power: float | None
    low: float | None
    high: float | None


Learnt = tuple[tuple[PreparedFeature | Indicator, ...], dict[str, str], Components | None]


def learnt(frame: DataFrame, recipe: Recipe) -> Learnt:
    """The prepared features, those dropped with why, and the components where a share of variance is asked for.

    Raises:
        ConfigurationError: columns are not there.
        DataRefusedError: there are no customers; columns are no numbers, or have values that can't be measured.
    """
    frames.require_columns(CALLER, frame, numbers=recipe.columns, others=recipe.attributes)
    shapes = _shapes(frame, recipe)
    found = _statistics(frame, shapes)
    features: list[PreparedFeature | Indicator] = []
    dropped: dict[str, str] = {}
    for name in recipe.columns:
        why = _uninformative(shapes[name], found[name])
        if why is None:
            features.append(_prepared(name, shapes[name], found[name], recipe))
        else:
            dropped[name] = why
    features = _without_duplicates(frame, features, dropped)
    for attribute in recipe.attributes:
        indicators = _indicators(frame, attribute, recipe, taken=[feature.name for feature in features])
        features += indicators
        if not indicators:
            dropped[attribute] = "has the same value for every customer"
    if recipe.variance is None or not features:
        return tuple(features), dropped, None
    means, covariance = _moments(frame, features)
    return tuple(features), dropped, Components.of(means, rounded(covariance), variance=recipe.variance)


def _shapes(frame: DataFrame, recipe: Recipe) -> dict[str, _Shape]:
    bounds: dict[str, tuple[float | None, float | None]] = dict.fromkeys(recipe.columns, (None, None))
    if recipe.winsorise is not None and recipe.columns:
        quantiles = F.array(*(F.lit(float(quantile)) for quantile in recipe.winsorise))
        row = frame.agg(
            *(
                F.percentile(F.expr(sql.number(name)), quantiles).alias(f"q_{i}")
                for i, name in enumerate(recipe.columns)
            ),
            *(_too_large(name).alias(f"n_{i}") for i, name in enumerate(recipe.columns)),
        ).first()
        assert row is not None, "an aggregation without grouping has one row"
        frames.require_measurable(CALLER, {name: row[f"n_{i}"] for i, name in enumerate(recipe.columns)})
        for i, name in enumerate(recipe.columns):
            if row[f"q_{i}"] is not None:
                low, high = row[f"q_{i}"]
                low, high = _center(low, high - low), _center(high, high - low)
                bounds[name] = (low, high)
    powers = _powers(frame, recipe, bounds)
    return {name: _Shape(name in recipe.logs, powers.get(name), *bounds[name]) for name in recipe.columns}


def _powers(
    frame: DataFrame, recipe: Recipe, bounds: Mapping[str, tuple[float | None, float | None]]
) -> dict[str, float | None]:
    """The lambdas, on rows drawn by a hash of their values: the same ones whatever the partitions."""
    names = [name for name in recipe.columns if name in recipe.powered]
    if not names:
        return {}
    held = (
        f"{shaped_sql(name, log=False, power=None, low=bounds[name][0], high=bounds[name][1])} AS v_{i}"
        for i, name in enumerate(names)
    )
    values = [f"v_{i}" for i in range(len(names))]
    rows = (
        frame.selectExpr(*held)
        .orderBy(F.xxhash64(F.lit(recipe.seed), *values), *values)
        .limit(SAMPLE)
        .toPandas()
        .to_numpy(dtype=float)
    )
    rows = np.where(np.abs(rows) <= frames.MAX_MAGNITUDE, rows, np.nan)
    found = {name: likeliest_power(rows[:, i]) for i, name in enumerate(names)}
    return {name: None if power is None else float(rounded(power)) for name, power in found.items()}


def _statistics(frame: DataFrame, shapes: Mapping[str, _Shape]) -> dict[str, dict[str, Any]]:
    if not shapes:
        return {}
    row = frame.agg(
        F.count(F.lit(1)).alias("rows"),
        *(_figures(name, shape, f"s_{i}") for i, (name, shape) in enumerate(shapes.items())),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    if not row["rows"]:
        raise DataRefusedError(f"{CALLER}: there are no customers")
    found = {name: row[f"s_{i}"].asDict() for i, name in enumerate(shapes)}
    frames.require_measurable(CALLER, {name: figures["too_large"] for name, figures in found.items()})
    return _with_exact_moments(frame, shapes, found)


def _with_exact_moments(
    frame: DataFrame, shapes: Mapping[str, _Shape], found: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The figures with means and deviations that keep the digits of values far from 0.

    An aggregation where there are such values.
    """
    far = {
        name: figures["least"]
        for name, figures in found.items()
        if figures["least"] is not None
        and max(abs(figures["least"]), abs(figures["most"])) > OFFSET * (figures["most"] - figures["least"]) > 0
    }
    if not far:
        return dict(found)
    above = [F.expr(_shaped(name, shapes[name])) - F.lit(lowest) for name, lowest in far.items()]
    row = frame.agg(
        *(F.avg(value).alias(f"mean_{i}") for i, value in enumerate(above)),
        *(F.stddev_pop(value).alias(f"deviation_{i}") for i, value in enumerate(above)),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    exact = {
        name: {"mean": lowest + row[f"mean_{i}"], "deviation": row[f"deviation_{i}"]}
        for i, (name, lowest) in enumerate(far.items())
    }
    return {name: {**figures, **exact.get(name, {})} for name, figures in found.items()}


def _too_large(name: str) -> Column:
    return F.count_if(F.expr(frames.too_large(sql.number(name))))


def _figures(name: str, shape: _Shape, alias: str) -> Column:
    value = F.expr(_shaped(name, shape))
    return F.struct(
        _too_large(name).alias("too_large"),
        F.min(value).alias("least"),
        F.max(value).alias("most"),
        F.percentile(value, F.array(F.lit(0.25), F.lit(0.5), F.lit(0.75))).alias("quartiles"),
        F.avg(value).alias("mean"),
        F.stddev_pop(value).alias("deviation"),
    ).alias(alias)


def _shaped(name: str, shape: _Shape) -> str:
    return shaped_sql(name, log=shape.log, power=shape.power, low=shape.low, high=shape.high)


def _uninformative(shape: _Shape, figures: Mapping[str, Any]) -> str | None:
    """Why a feature tells no customers apart; None where it does."""
    lowest, highest = figures["least"], figures["most"]
    if lowest is None:
        return "has no values"
    if lowest == highest:
        return "has the same value for every customer"
    if not math.isfinite(lowest) or not math.isfinite(highest):
        return "has no finite values once transformed"
    if highest - lowest < frames.MIN_RANGE:
        return f"has values that differ by less than {frames.MIN_RANGE:g}: take a smaller unit"
    transformed = shape.log or shape.power is not None
    if transformed and highest - lowest <= TRANSFORM_ROUNDING * max(abs(lowest), abs(highest)):
        return "has the same value for every customer once transformed: take it as it is, or subtract what all share"
    return None


def _prepared(name: str, shape: _Shape, found: Mapping[str, Any], recipe: Recipe) -> PreparedFeature:
    low, median, high = found["quartiles"]
    deviation = float(rounded(found["deviation"]))
    if recipe.scaling == "robust":
        scale = float(rounded(high - low))
        if scale <= HAIR * deviation:
            scale = float(rounded(deviation * IQR_OF_NORMAL))
        center = _center(median, scale)
        missing = 0.0
    else:
        center, scale = _center(found["mean"], deviation), deviation
        missing = float(rounded((median - center) / scale)) * recipe.weights.get(name, 1.0)
    scale /= recipe.weights.get(name, 1.0)
    spread = float(rounded(found["deviation"] / scale))
    return PreparedFeature(
        name, shape.log, center, scale, spread, power=shape.power, low=shape.low, high=shape.high, missing=missing
    )


def _center(value: float, scale: float) -> float:
    """The value to nine significant digits; to all where it lies so far from 0, for its scale, that nine move it."""
    return float(rounded(value)) if abs(value) <= OFFSET * scale else value


def _without_duplicates(
    frame: DataFrame, features: Sequence[PreparedFeature | Indicator], dropped: dict[str, str]
) -> list[PreparedFeature | Indicator]:
    if len(features) < 2:
        return list(features)
    _, covariance = _moments(frame, features)
    deviations = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / deviations / deviations[:, None]
    kept: list[int] = []
    for i, feature in enumerate(features):
        same = next((j for j in kept if 1 - abs(correlation[i, j]) < SAME), None)
        if same is None:
            kept.append(i)
        else:
            dropped[feature.name] = f"says the same as {features[same].name} (correlation {correlation[i, same]:+.0f})"
    return [features[i] for i in kept]


def _moments(frame: DataFrame, features: Sequence[PreparedFeature | Indicator]) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of the prepared values, in one aggregation."""
    d = len(features)
    pairs = [(i, j) for i in range(d) for j in range(i, d)]
    prepared = frame.selectExpr(*(f"{feature.sql} AS v_{i}" for i, feature in enumerate(features)))
    told = prepared.agg(
        *(F.avg(f"v_{i}").alias(f"m_{i}") for i in range(d)),
        *(F.covar_pop(f"v_{i}", f"v_{j}").alias(f"c_{i}_{j}") for i, j in pairs),
    ).first()
    assert told is not None, "an aggregation without grouping has one row"
    covariance = np.zeros((d, d))
    for i, j in pairs:
        covariance[i, j] = covariance[j, i] = told[f"c_{i}_{j}"]
    return rounded(np.array([told[f"m_{i}"] for i in range(d)])), covariance


def _indicators(
    frame: DataFrame, attribute: str, recipe: Recipe, *, taken: Collection[str]
) -> list[PreparedFeature | Indicator]:
    """A column for each of the most frequent values, ties by the text, and one for all others where there are more."""
    counted = (
        frame.groupBy(F.expr(sql.category(attribute)).alias("value"))
        .agg(F.count(F.lit(1)).alias("customers"))
        .orderBy(F.desc("customers"), "value")
        .limit(recipe.categories + 1)
        .collect()
    )
    if len(counted) < 2:
        return []
    rows = frame.count()
    every = len(counted) <= recipe.categories
    top = [(row["value"], row["customers"]) for row in counted[: recipe.categories - (not every)]]
    scale = 2**0.5 / recipe.weights.get(attribute, 1.0)
    names: dict[str, tuple[tuple[str, ...], bool, float]] = {}
    for value, customers in top:
        names[_named(attribute, value or "(none)", names, taken)] = ((value,), False, customers / rows)
    if not every:
        share = 1 - sum(customers for _, customers in top) / rows
        names[_named(attribute, "(other)", names, taken)] = (tuple(value for value, _ in top), True, share)
    return [
        Indicator(name, attribute, values, others, scale, float(rounded((share * (1 - share)) ** 0.5 / scale)))
        for name, (values, others, share) in names.items()
    ]


def _named(attribute: str, value: str, others: Collection[str], features: Collection[str]) -> str:
    """A name that is a column's name as it stands, and not that of another value or feature, case aside."""
    plain = f"{attribute}={value}".translate({ord("."): " ", ord("`"): "'"}).replace("${", "$(")[:100]
    taken = {name.lower() for name in (*others, *features)}
    numbered = (f"{plain} ({number})" for number in itertools.count(len(others)))
    return next(name for name in itertools.chain([plain], numbered) if name.lower() not in taken)
