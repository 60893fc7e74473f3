"""One prepared column: the numbers that make it, its SQL, and its inverse transform."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from customer_segmentation.preparation import sql, transforms
from customer_segmentation.preparation.frames import too_large


@dataclass(frozen=True)
class PreparedFeature:
    """How one numeric feature becomes a number near 0 with a spread near 1.

    prepared = (f(value) - center) / scale, where value is clipped to `low` and `high`, f is the signed logarithm
    sign(x) ln(1 + |x|), the Yeo-Johnson transform or the identity, and a weight is part of the scale.

    name: the feature, a numeric column; true and false count as 1 and 0, NaN as missing.
    log: f is the signed logarithm.
    spread: standard deviation of the prepared values at the fit, the unit of effects.
    yeo_johnson_lambda: f is the Yeo-Johnson transform with this lambda; None: it is not.
    low, high: winsorising: a value beyond counts as this one, original units; None: no bound.
    missing: what a missing value counts as, prepared: the median.
    """

    name: str
    log: bool
    center: float
    scale: float
    spread: float
    yeo_johnson_lambda: float | None = None
    low: float | None = None
    high: float | None = None
    missing: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.center, self.scale, self.spread, self.missing, self.yeo_johnson_lambda, self.low, self.high)
        _check_numbers(self.name, *numbers)
        if self.scale <= 0:
            raise ValueError(f"feature {self.name}: scale must be positive")
        if self.log and self.yeo_johnson_lambda is not None:
            raise ValueError(f"feature {self.name}: either log or yeo_johnson_lambda")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"feature {self.name}: low must not be above high")

    @property
    def column(self) -> str:
        """The column that the feature is made of."""
        return self.name

    @property
    def value(self) -> str:
        """The value in original units, as Spark SQL: a double."""
        return sql.number(self.name)

    @property
    def is_missing(self) -> str:
        """Whether the value is missing, as Spark SQL."""
        return f"{self.value} IS NULL"

    @property
    def imputed(self) -> float:
        """What a missing value counts as, prepared."""
        return self.missing

    @property
    def sql(self) -> str:
        """The prepared value as Spark SQL over the feature's column."""
        transformed = transformed_sql(
            self.name, log=self.log, yeo_johnson_lambda=self.yeo_johnson_lambda, low=self.low, high=self.high
        )
        scaled = f"({transformed} - {sql.double(self.center)}) / {sql.double(self.scale)}"
        return f"coalesce({scaled}, {sql.double(self.missing)})"

    def inverse_transform(self, prepared: float) -> float:
        """The value in original units that gives the prepared one."""
        transformed = prepared * self.scale + self.center
        if self.yeo_johnson_lambda is not None:
            return transforms.yeo_johnson_inverse(transformed, self.yeo_johnson_lambda)
        return transforms.log_inverse(transformed) if self.log else transformed

    def transform(self, value: float) -> float:
        """The prepared value of one in original units, beyond the bounds too: what `inverse_transform` inverts."""
        transformed = value
        if self.yeo_johnson_lambda is not None:
            transformed = transforms.yeo_johnson(value, self.yeo_johnson_lambda)
        elif self.log:
            transformed = transforms.log(value)
        return (transformed - self.center) / self.scale


@dataclass(frozen=True)
class OneHotFeature:
    """Whether a customer's attribute has a value: one column of a one-hot encoding.

    prepared = (1 or 0) / scale; the scale holds sqrt(2), so that two customers of different categories are 1 apart, and
    a weight. In original units it is a share of customers.

    name: such as city=Bonn.
    attribute: the column, of any type; a missing value, NaN among them, counts as an empty text.
    values: the texts that make it 1.
    others: they make it 0 instead, and all others 1.
    """

    name: str
    attribute: str
    values: tuple[str, ...]
    others: bool
    scale: float
    spread: float

    def __post_init__(self) -> None:
        _check_numbers(self.name, self.scale, self.spread)
        if self.scale <= 0:
            raise ValueError(f"feature {self.name}: scale must be positive")
        if not self.values or not all(isinstance(value, str) for value in (self.attribute, *self.values)):
            raise ValueError(f"feature {self.name}: needs an attribute and values, all of them text")

    @property
    def column(self) -> str:
        """The column that the feature is made of."""
        return self.attribute

    @property
    def value(self) -> str:
        """1 or 0, as Spark SQL: a double."""
        texts = ", ".join(sql.text(value) for value in self.values)
        is_in = "NOT IN" if self.others else "IN"
        return f"CAST({sql.category(self.attribute)} {is_in} ({texts}) AS DOUBLE)"

    @property
    def is_missing(self) -> str:
        """Whether the attribute is missing, as Spark SQL."""
        return f"{sql.category(self.attribute)} = ''"

    @property
    def imputed(self) -> float:
        """What a missing attribute counts as, prepared."""
        return float(("" in self.values) != self.others) / self.scale

    @property
    def sql(self) -> str:
        """The prepared value as Spark SQL over the attribute's column."""
        return f"({self.value} / {sql.double(self.scale)})"

    def inverse_transform(self, prepared: float) -> float:
        """The share of customers that gives the prepared mean."""
        return prepared * self.scale

    def transform(self, value: float) -> float:
        """The prepared mean of a share of customers."""
        return value / self.scale


OwnFeature = PreparedFeature | OneHotFeature
"""A prepared column that is made of one column of the frame."""


@dataclass(frozen=True)
class PCAFeature:
    """A prepared column projected on the principal components that are kept, in the features' own axes.

    prepared = mean_i + sum_j projection_j (z_j - mean_j) over all the preparation's own columns z. Distances are those
    between the components' scores, while centres and drivers stay those of the features.

    own: the column that is projected.
    inputs: all of them, `own` among them.
    means: of the inputs.
    projection: the weight of each input.
    spread: standard deviation of the prepared values at the fit.
    """

    own: OwnFeature
    inputs: tuple[OwnFeature, ...]
    means: tuple[float, ...]
    projection: tuple[float, ...]
    spread: float

    @property
    def name(self) -> str:
        """The feature's name."""
        return self.own.name

    @property
    def column(self) -> str:
        """The column of the frame that `own` is made of."""
        return self.own.column

    @property
    def value(self) -> str:
        """The value in original units, as Spark SQL."""
        return self.own.value

    @property
    def sql(self) -> str:
        """The prepared value as Spark SQL over all features' columns."""
        parts = [
            f"{sql.double(weight)} * ({feature.sql} - {sql.double(mean)})"
            for feature, mean, weight in zip(self.inputs, self.means, self.projection, strict=True)
        ]
        return sql.total([sql.double(self.means[self.inputs.index(self.own)]), *parts])

    def inverse_transform(self, prepared: float) -> float:
        """The value in original units that gives the prepared one."""
        return self.own.inverse_transform(prepared)


Feature = OwnFeature | PCAFeature
"""Any prepared column: name, column, value, sql, spread, inverse_transform."""


def measurable_sql(feature: Feature, others: Iterable[str] = ()) -> str:
    """The prepared value as Spark SQL, but infinity where the value itself can't be measured.

    Bounds and transforms would make an ordinary value of it.

    Args:
        others: further numeric columns whose values must be measurable.
    """
    own = feature.own if isinstance(feature, PCAFeature) else feature
    values = [] if isinstance(own, OneHotFeature) else [own.value]
    unmeasurable = [too_large(value) for value in (*values, *map(sql.number, others))]
    if not unmeasurable:
        return feature.sql
    return f"(CASE WHEN {' OR '.join(unmeasurable)} THEN CAST('Infinity' AS DOUBLE) ELSE {feature.sql} END)"


def transformed_sql(
    name: str, *, log: bool, yeo_johnson_lambda: float | None, low: float | None, high: float | None
) -> str:
    """A column's value, clipped to bounds and transformed, as Spark SQL."""
    value = sql.number(name)
    # greatest and least pass over nulls, so they would make a missing value the bound.
    if low is not None:
        value = f"(CASE WHEN {value} < {sql.double(low)} THEN {sql.double(low)} ELSE {value} END)"
    if high is not None:
        value = f"(CASE WHEN {value} > {sql.double(high)} THEN {sql.double(high)} ELSE {value} END)"
    if yeo_johnson_lambda is not None:
        return transforms.yeo_johnson_sql(value, yeo_johnson_lambda)
    return transforms.log_sql(value) if log else value


def to_dict(feature: OwnFeature) -> dict[str, Any]:
    """The column as JSON-able data; the lambda's key is `power`."""
    data = asdict(feature)
    if isinstance(feature, OneHotFeature):
        return {**data, "values": [*feature.values]}
    return {("power" if name == "yeo_johnson_lambda" else name): value for name, value in data.items()}


def from_dict(data: Mapping[str, Any]) -> OwnFeature:
    """The column that `to_dict` made data of; raises TypeError, KeyError or ValueError where it is none."""
    if "attribute" in data:
        return OneHotFeature(**{**data, "values": tuple(data["values"])})
    return PreparedFeature(**{("yeo_johnson_lambda" if name == "power" else name): data[name] for name in data})


def _check_numbers(name: str, *values: float | None) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a feature's name must be text; found {name!r}")
    if not all(value is None or math.isfinite(value) for value in values):
        raise ValueError(f"feature {name}: all numbers must be finite")
