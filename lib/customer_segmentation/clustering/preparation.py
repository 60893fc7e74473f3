"""Prepares features for clustering: missing values filled, skew taken off, centred and scaled by robust figures.

A preparation is plain numbers and gives plain SQL, so it is part of a Spark ML pipeline at the fit and of a saved
model ever after, without a class that a file names.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from customer_segmentation.clustering import sql

IQR_OF_NORMAL = 1.349
"""Interquartile range of a normal distribution in standard deviations."""


@dataclass(frozen=True)
class PreparedFeature:
    """How one feature becomes a number near 0 with a spread near 1.

    prepared = (f(value) - center) / scale, where f is the signed logarithm sign(x) ln(1 + |x|) or nothing, and a
    missing value counts as `center`.

    spread: standard deviation of the prepared values at the fit, to tell effects in.
    """

    name: str
    log: bool
    center: float
    scale: float
    spread: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.center, self.scale, self.spread)) or self.scale <= 0:
            raise ValueError(f"feature {self.name}: center, scale and spread must be finite and scale positive")

    @property
    def sql(self) -> str:
        """The prepared value as Spark SQL over the feature's column."""
        return (
            f"coalesce(({_shaped_sql(self.name, self.log)} - {sql.double(self.center)}) / {sql.double(self.scale)}, 0D)"
        )

    def natural(self, prepared: float) -> float:
        """The value in natural units that gives the prepared one."""
        shaped = prepared * self.scale + self.center
        return math.copysign(math.expm1(abs(shaped)), shaped) if self.log else shaped


@dataclass(frozen=True)
class Preparation:
    """The prepared features in order, and those left out because they tell no customers apart, with why."""

    features: tuple[PreparedFeature, ...]
    dropped: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The features that are prepared, in order."""
        return [feature.name for feature in self.features]

    def stage(self) -> SQLTransformer:
        """The preparation as a Spark ML stage: adds a column z_NAME for each feature."""
        columns = ", ".join(f"{feature.sql} AS {sql.column(prepared_name(feature.name))}" for feature in self.features)
        return SQLTransformer(statement=f"SELECT *, {columns} FROM __THIS__")

    def transform(self, frame: DataFrame) -> DataFrame:
        """The frame with a column z_NAME for each feature."""
        columns = (f"{feature.sql} AS {sql.column(prepared_name(feature.name))}" for feature in self.features)
        return frame.selectExpr("*", *columns)

    def subset(self, names: Iterable[str]) -> "Preparation":
        """The preparation of these features only; names that were dropped stay told."""
        wanted = list(names)
        by_name = {feature.name: feature for feature in self.features}
        return Preparation(
            tuple(by_name[name] for name in wanted if name in by_name),
            {name: why for name, why in self.dropped.items() if name in wanted},
        )

    def natural(self, prepared: Sequence[float] | np.ndarray) -> dict[str, float]:
        """A point in prepared units, told in natural units by feature."""
        return {f.name: f.natural(float(value)) for f, value in zip(self.features, prepared, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """The preparation as JSON-able data."""
        return {"features": [asdict(feature) for feature in self.features], "dropped": dict(self.dropped)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preparation":
        """The preparation that `to_dict` told; raises TypeError, KeyError or ValueError where it is none."""
        return cls(tuple(PreparedFeature(**feature) for feature in data["features"]), dict(data["dropped"]))

    @classmethod
    def fit(cls, frame: DataFrame, *, columns: Sequence[str], skewed: Iterable[str] = ()) -> "Preparation":
        """Learn centres and scales from all rows. Runs one aggregation; does not depend on the rows' order.

        Args:
            frame: numeric columns, a row per customer.
            columns: features to prepare.
            skewed: those of them to take the logarithm of.

        Returns:
            The preparation. The centre is the median, the scale the interquartile range, or, where half of the
            values are equal, 1.349 standard deviations. Features with one value only are dropped.
        """
        logs = set(skewed)
        statistics = frame.agg(*(_statistics(name, name in logs) for name in columns)).first()
        assert statistics is not None, "an aggregation without grouping has one row"
        features, dropped = [], {}
        for name in columns:
            found = statistics[name]
            if found["least"] is None:
                dropped[name] = "has no values"
            elif found["least"] == found["most"]:
                dropped[name] = "has the same value for every customer"
            else:
                features.append(_prepared(name, name in logs, found))
        return cls(tuple(features), dropped)


def prepared_name(name: str) -> str:
    """The column that holds a feature's prepared values."""
    return f"z_{name}"


def _statistics(name: str, log: bool) -> Any:
    value = F.expr(_shaped_sql(name, log))
    return F.struct(
        F.min(value).alias("least"),
        F.max(value).alias("most"),
        F.percentile(value, F.array(F.lit(0.25), F.lit(0.5), F.lit(0.75))).alias("quartiles"),
        F.stddev_pop(value).alias("deviation"),
    ).alias(name)


def _prepared(name: str, log: bool, found: Row) -> PreparedFeature:
    low, median, high = found["quartiles"]
    deviation = found["deviation"]
    scale = _rounded(high - low) or _rounded(deviation * IQR_OF_NORMAL)
    return PreparedFeature(name, log, _rounded(median), scale, _rounded(deviation / scale))


def _shaped_sql(name: str, log: bool) -> str:
    value = f"CAST({sql.column(name)} AS DOUBLE)"
    return f"(signum({value}) * ln(1D + abs({value})))" if log else value


def _rounded(value: float) -> float:
    """To nine significant digits: what differs beyond them is the order in which doubles were added."""
    return float(f"{value:.9g}")
