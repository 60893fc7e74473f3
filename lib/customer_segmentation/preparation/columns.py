"""One prepared column: the numbers that make it, its SQL, and its inverse."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from customer_segmentation.preparation import sql
from customer_segmentation.preparation import transforms as shapes
from customer_segmentation.preparation.frames import too_large


@dataclass(frozen=True)
class PreparedFeature:
    """How one feature becomes a number near 0 with a spread near 1.

    prepared = (f(value) - center) / scale, where value is held between `low` and `high`, f is the signed logarithm
    sign(x) ln(1 + |x|), the Yeo-Johnson transform or nothing, and a weight is part of the scale.

    name: the feature, a numeric column; true and false count as 1 and 0, NaN as missing.
    log: f is the signed logarithm.
    spread: standard deviation of the prepared values at the fit, to tell effects in.
    power: f is the Yeo-Johnson transform with this lambda; None: it is not.
    low, high: winsorising: a value beyond counts as this one, natural units; None: no bound.
    missing: what a missing value counts as, prepared: the median.
    """

    name: str
    log: bool
    center: float
    scale: float
    spread: float
    power: float | None = None
    low: float | None = None
    high: float | None = None
    missing: float = 0.0

    def __post_init__(self) -> None:
        _check_numbers(self.name, self.center, self.scale, self.spread, self.missing, self.power, self.low, self.high)
        if self.scale <= 0:
            raise ValueError(f"feature {self.name}: scale must be positive")
        if self.log and self.power is not None:
            raise ValueError(f"feature {self.name}: either log or power")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"feature {self.name}: low must not be above high")

    @property
    def column(self) -> str:
        """The column it is made of."""
        return self.name

    @property
    def value(self) -> str:
        """The value in natural units, as Spark SQL: a double."""
        return sql.number(self.name)

    @property
    def shaped(self) -> str:
        """f(value) as Spark SQL."""
        return shaped_sql(self.name, log=self.log, power=self.power, low=self.low, high=self.high)

    @property
    def sql(self) -> str:
        """The prepared value as Spark SQL over the feature's column."""
        scaled = f"({self.shaped} - {sql.double(self.center)}) / {sql.double(self.scale)}"
        return f"coalesce({scaled}, {sql.double(self.missing)})"

    def natural(self, prepared: float) -> float:
        """The value in natural units that gives the prepared one."""
        shaped = prepared * self.scale + self.center
        if self.power is not None:
            return shapes.power_inverse(shaped, self.power)
        return shapes.log_inverse(shaped) if self.log else shaped


@dataclass(frozen=True)
class Indicator:
    """Whether a customer's attribute has a value: one column of a one-hot encoding.

    prepared = (1 or 0) / scale; the scale holds sqrt(2), so that two customers of different categories are 1 apart, and
    a weight. In natural units it is a share of customers.

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
            raise ValueError(f"indicator {self.name}: scale must be positive")
        if not self.values or not all(isinstance(value, str) for value in (self.attribute, *self.values)):
            raise ValueError(f"indicator {self.name}: needs an attribute and values, all of them text")

    @property
    def column(self) -> str:
        """The column it is made of."""
        return self.attribute

    @property
    def value(self) -> str:
        """1 or 0, as Spark SQL: a double."""
        told = ", ".join(sql.text(value) for value in self.values)
        isin = "NOT IN" if self.others else "IN"
        return f"CAST({sql.category(self.attribute)} {isin} ({told}) AS DOUBLE)"

    @property
    def sql(self) -> str:
        """The prepared value as Spark SQL over the attribute's column."""
        return f"({self.value} / {sql.double(self.scale)})"

    def natural(self, prepared: float) -> float:
        """The share of customers that gives the prepared mean."""
        return prepared * self.scale


@dataclass(frozen=True)
class Blended:
    """A prepared column seen through the principal components that are kept: what they make of it.

    prepared = mean_i + sum_j blend_j (z_j - mean_j) over all the preparation's own columns z. Distances are those
    between the components' scores; what is told stays told by feature.

    own: the column that it is of.
    inputs: all of them, `own` among them.
    means: of the inputs.
    blend: what each input has in it.
    spread: standard deviation of the prepared values at the fit.
    """

    own: "PreparedFeature | Indicator"
    inputs: tuple["PreparedFeature | Indicator", ...]
    means: tuple[float, ...]
    blend: tuple[float, ...]
    spread: float

    @property
    def name(self) -> str:
        """The feature's name."""
        return self.own.name

    @property
    def column(self) -> str:
        """The column it tells of."""
        return self.own.column

    @property
    def value(self) -> str:
        """The value in natural units, as Spark SQL."""
        return self.own.value

    @property
    def sql(self) -> str:
        """The prepared value as Spark SQL over all features' columns."""
        mean = self.means[self.inputs.index(self.own)]
        parts = [
            f"{sql.double(part)} * ({one.sql} - {sql.double(middle)})"
            for one, middle, part in zip(self.inputs, self.means, self.blend, strict=True)
        ]
        return sql.total([sql.double(mean), *parts])

    def natural(self, prepared: float) -> float:
        """The value in natural units that gives the prepared one."""
        return self.own.natural(prepared)


Prepared = PreparedFeature | Indicator | Blended
"""Any prepared column: name, column, value, sql, spread, natural."""


def measured_sql(feature: Prepared, others: Iterable[str] = ()) -> str:
    """The prepared value as Spark SQL, but infinity where the value itself can't be measured.

    Bounds and transforms would make an ordinary value of it.

    Args:
        others: further numeric columns whose values must be measurable.
    """
    own = feature.own if isinstance(feature, Blended) else feature
    values = [] if isinstance(own, Indicator) else [own.value]
    unmeasurable = [too_large(value) for value in (*values, *map(sql.number, others))]
    if not unmeasurable:
        return feature.sql
    return f"(CASE WHEN {' OR '.join(unmeasurable)} THEN CAST('Infinity' AS DOUBLE) ELSE {feature.sql} END)"


def shaped_sql(name: str, *, log: bool, power: float | None, low: float | None, high: float | None) -> str:
    """A column's value, held between bounds and with its skew taken off, as Spark SQL."""
    value = sql.number(name)
    # greatest and least pass over nulls, so they would make a missing value the bound.
    if low is not None:
        value = f"(CASE WHEN {value} < {sql.double(low)} THEN {sql.double(low)} ELSE {value} END)"
    if high is not None:
        value = f"(CASE WHEN {value} > {sql.double(high)} THEN {sql.double(high)} ELSE {value} END)"
    if power is not None:
        return shapes.power_sql(value, power)
    return shapes.log_sql(value) if log else value


def told(feature: PreparedFeature | Indicator) -> dict[str, Any]:
    """The column as JSON-able data."""
    return asdict(feature) if isinstance(feature, PreparedFeature) else {**asdict(feature), "values": [*feature.values]}


def heard(data: Mapping[str, Any]) -> PreparedFeature | Indicator:
    """The column that `told` gave; raises TypeError, KeyError or ValueError where it is none."""
    if "attribute" in data:
        return Indicator(**{**data, "values": tuple(data["values"])})
    return PreparedFeature(**data)


def _check_numbers(name: str, *values: float | None) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a feature's name must be text; found {name!r}")
    if not all(value is None or math.isfinite(value) for value in values):
        raise ValueError(f"feature {name}: all numbers must be finite")
