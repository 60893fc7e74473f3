"""Finds the two best segments of each row and what speaks for the best, as Spark SQL text.

The expressions go to Spark in several steps, each a projection over the columns of the one before: Spark compiles
each to a method, and the virtual machine leaves a method that is too long uncompiled. For the same reason there are
no functions over arrays, which Spark does not compile.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering import sql
from customer_segmentation.clustering.preparation import Preparation
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import DRIVERS_TYPE

DRIVERS = 3
TERMS_A_STEP = 80
"""Products that fit into a method which the virtual machine still compiles."""

DRIVERS_A_STEP = 16

NEAREST, SECOND = "_nearest", "_second"
NEAREST_VALUE, SECOND_VALUE = "_nearest_value", "_second_value"

_WHOLE = "_whole"
_INFINITY = "CAST('Infinity' AS DOUBLE)"


def point(j: int) -> str:
    """The column that holds the j-th prepared value."""
    return f"_z{j}"


def with_point(frame: DataFrame, preparation: Preparation) -> DataFrame:
    """The frame with its prepared values as columns `point(0)`, `point(1)` and so on."""
    return _with(frame, {point(j): feature.sql for j, feature in enumerate(preparation.features)})


def squared_distance(center: Sequence[float] | np.ndarray) -> str:
    """The squared distance of the point to a centre, both in prepared units."""
    return sql.total(sql.squared_difference(point(j), sql.double(x)) for j, x in enumerate(center))


def with_two_smallest(frame: DataFrame, values: Mapping[str, str], *, terms: int) -> DataFrame:
    """Add the positions of the smallest and the second smallest of some values, and the values themselves.

    Args:
        values: SQL by the name of the column that will hold it; never null.
        terms: products in each of them.

    Returns:
        The frame with the values, NEAREST, NEAREST_VALUE, SECOND and SECOND_VALUE. Of equal values the first counts;
        where there is one value only, SECOND is null and SECOND_VALUE infinite.
    """
    names = list(values)
    a_step = max(1, TERMS_A_STEP // max(1, terms))
    for start in range(0, len(names), a_step):
        frame = _with(frame, {name: values[name] for name in names[start : start + a_step]})
    frame = _with(frame, {NEAREST_VALUE: _least(names)})
    frame = _with(frame, {NEAREST: _first(f"{name} = {NEAREST_VALUE}" for name in names)})
    others = [f"if({NEAREST} = {i}, {_INFINITY}, {name})" for i, name in enumerate(names)]
    frame = _with(frame, {SECOND_VALUE: _least(others)})
    if len(names) == 1:
        return _with(frame, {SECOND: "CAST(NULL AS INT)"})
    return _with(frame, {SECOND: _first(f"{other} = {SECOND_VALUE}" for other in others)})


def with_drivers(
    frame: DataFrame, preparation: Preparation, centers: np.ndarray, deviations: np.ndarray | None = None
) -> DataFrame:
    """Add `drivers`: the features that speak most for segment NEAREST against segment SECOND, strongest first.

    A feature's part is the difference of its two squared distances to the centres; the effect is its share of the sum
    of all parts, so the effects of all features add up to 1. Where the sum is not positive there are no drivers.

    Args:
        centers: a row per segment, prepared units.
        deviations: of each segment and feature, to measure distances in; 1 where not given.
    """
    features = preparation.features
    names = [f"_part{j}" for j in range(len(features))]
    for start in range(0, len(names), DRIVERS_A_STEP):
        chunk = range(start, min(start + DRIVERS_A_STEP, len(names)))
        frame = _with(frame, {names[j]: _part(j, centers, deviations) for j in chunk})
    frame = _with(frame, {_WHOLE: sql.total(names)})
    ranks = range(min(DRIVERS, len(features)))
    for rank in ranks:
        left = [_unless_taken(name, j, rank) for j, name in enumerate(names)]
        frame = _with(frame, {_effect(rank): _greatest(left)})
        frame = _with(frame, {_driver(rank): _first(f"{value} = {_effect(rank)}" for value in left)})
    told = [_driver_struct(rank, preparation) for rank in ranks]
    cases = " ".join(f"WHEN {_effect(r)} > 0D THEN array({', '.join(told[: r + 1])})" for r in reversed(ranks))
    none = f"CAST(array() AS {DRIVERS_TYPE})"
    drivers = f"CASE WHEN NOT coalesce({_WHOLE} > 0D, false) THEN {none} {cases} ELSE {none} END"
    return _with(frame, {c.DRIVERS: drivers})


def _driver_struct(rank: int, preparation: Preparation) -> str:
    names = _array(sql.text(feature.name) for feature in preparation.features)
    values = _array(f"CAST({sql.column(feature.name)} AS DOUBLE)" for feature in preparation.features)
    position = _driver(rank)
    return (
        f"named_struct('feature', {names}[{position}], 'value', {values}[{position}], "
        f"'effect', {_effect(rank)} / {_WHOLE})"
    )


def _part(j: int, centers: np.ndarray, deviations: np.ndarray | None) -> str:
    def squared(segment: str) -> str:
        away = sql.squared_difference(point(j), f"{sql.doubles(centers[:, j])}[{segment}]")
        if deviations is None:
            return f"({away})"
        return f"({away} * {sql.doubles(1 / deviations[:, j] ** 2)}[{segment}])"

    return f"coalesce({squared(SECOND)} - {squared(NEAREST)}, 0D)"


def _effect(rank: int) -> str:
    return f"_effect{rank}"


def _driver(rank: int) -> str:
    return f"_driver{rank}"


def _unless_taken(name: str, j: int, rank: int) -> str:
    """The part of feature j, or minus infinity where a stronger driver is that feature."""
    taken = " OR ".join(f"{_driver(stronger)} = {j}" for stronger in range(rank))
    return f"if({taken}, -{_INFINITY}, {name})" if taken else name


def _with(frame: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    return frame.withColumns({name: F.expr(text) for name, text in columns.items()})


def _least(values: Sequence[str]) -> str:
    return f"least({', '.join(values)})" if len(values) > 1 else values[0]


def _greatest(values: Sequence[str]) -> str:
    return f"greatest({', '.join(values)})" if len(values) > 1 else values[0]


def _first(conditions: Iterable[str]) -> str:
    """The position of the first condition that holds."""
    return f"CASE {' '.join(f'WHEN {condition} THEN {i}' for i, condition in enumerate(conditions))} ELSE 0 END"


def _array(values: Iterable[str]) -> str:
    return f"array({', '.join(values)})"


def relative_distance(distance: str, further: str) -> str:
    """How much nearer one of two distances is, 0 to 1; 0 where there is no other or both are 0."""
    return f"if({further} > 0D AND {further} < {_INFINITY}, 1D - {distance} / {further}, 0D)"


def told(features: DataFrame, ranked: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    """The frame's own columns and those that are told of it; an own column that is told anew gives way."""
    own = [F.col(sql.column(name)) for name in features.columns if name not in columns]
    return ranked.select(*own, *(F.expr(text).alias(name) for name, text in columns.items()))
