"""Customers in Spark: their histories counted for a fit, and their expected orders and spend added to them.

What goes to the workers is sent by its value and asks nothing of them but NumPy, SciPy and PyArrow, so the library
need not be installed there.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark import cloudpickle
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.arguments import as_section
from customer_segmentation.config.schema import Value
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.features.cadence import PRIOR_GAPS
from customer_segmentation.contract.features.feature import digamma
from customer_segmentation.contract.features.value import (
    PRESENT_VALUE,
    PROBABILITY_ACTIVE,
    RANKS,
    VALUE_RANK,
    expected,
    value_features,
)
from customer_segmentation.preparation import sql
from customer_segmentation.preparation.frames import free_name, require_columns
from customer_segmentation.spark.arrow_functions import arrow_function
from customer_segmentation.spark.distinct_columns import require_distinct_columns
from customer_segmentation.value.forecasts import Forecaster
from customer_segmentation.value.histories import CUSTOMERS, GAP_LOGS, LAST, REPEATS, TENURE
from customer_segmentation.value.model import ValueModel, fit_models

cloudpickle.register_pickle_by_value(sys.modules["customer_segmentation.value"])  # type: ignore[no-untyped-call]

_NEEDED = (c.ACTIVE_DAYS, c.RECENCY_DAYS, c.TENURE_DAYS, c.MONETARY)
_RHYTHM = ("days_between_orders", "regularity")
FITTED_TO = (*_NEEDED, *_RHYTHM)
"""The features that a value model is fitted to, whichever one."""

_STEPS = 200
"""Mean values are told apart by a 200th of their logarithm, half a percent."""
_GAP_TYPE = "decimal(28,6)"
_WORKING = "_value"


def purchase_counts(features: DataFrame, *, with_gaps: bool = False) -> pd.DataFrame:
    """How many customers have each history: x, t_x and T in days, customers, sorted. Runs one aggregation.

    x: days with a purchase after the first one; t_x: days from the first to the last; T: days from the first to the
    as-of date. There are far fewer of these than customers.

    Args:
        features: active_days, recency_days and tenure_days per customer, such as rows of `customer_features`.
        with_gaps: also gap_logs, the sum of the logarithms of the days between purchases, which MBG/CNBD-k needs; it is
            taken from days_between_orders and regularity.

    Raises:
        ConfigurationError: a column that is needed is not there.

    >>> customers = spark.createDataFrame(
    ...     [("ann", 3, 5, 40), ("bob", 1, 70, 70), ("eve", 1, 70, 70)],
    ...     "customer_id string, active_days int, recency_days int, tenure_days int",
    ... )
    >>> purchase_counts(customers)
         x   t_x     T  customers
    0  0.0   0.0  70.0          2
    1  2.0  35.0  40.0          1
    """
    require_columns("purchase_counts", features, numbers=[*_NEEDED[:3], *(_RHYTHM if with_gaps else ())])
    histories = features.select(*_histories(), *([_gap_logs().alias(GAP_LOGS)] if with_gaps else []))
    # Sums of decimals are the same in any order.
    gaps = [F.sum(F.col(GAP_LOGS).cast(_GAP_TYPE)).cast("double").alias(GAP_LOGS)] if with_gaps else []
    counts = histories.groupBy(REPEATS, LAST, TENURE).agg(F.count(F.lit(1)).alias(CUSTOMERS), *gaps)
    table: pd.DataFrame = counts.toArrow().to_pandas().sort_values([REPEATS, LAST, TENURE], ignore_index=True)
    return table


def fit_value(features: DataFrame, settings: Value | Mapping[str, Any] | None = None) -> ValueModel:
    """Fit the purchase model and the spend model by maximum likelihood, and the cut points of value_rank.

    Runs three aggregations.

    What a purchase is worth is a customer's net spend by purchase days, the first one included: returns are taken off
    in the sum, and those who bought once tell what one purchase is worth.

    Args:
        features: a row per customer with active_days, recency_days, tenure_days and monetary; for MBG/CNBD-k also
            days_between_orders and regularity.
        settings: the `value` section of a configuration; None: the defaults.

    Raises:
        ConfigurationError: a column that is needed is not there, or a setting is not valid.
        DataRejectedError: there is no customer.
    """
    settings = as_section(Value, settings, "fit_value")
    require_columns("fit_value", features, numbers=_NEEDED)
    counts = purchase_counts(features, with_gaps=settings.model == "mbg_cnbd_k")
    step = F.round(F.ln(_mean_value()) * _STEPS).cast("int")
    values = (
        features.select(F.col(c.ACTIVE_DAYS).cast("double").alias("days"), step.alias("step"))
        .where("step IS NOT NULL")
        .groupBy("days", "step")
        .agg(F.count(F.lit(1)).alias(CUSTOMERS))
        .toArrow()
        .to_pandas()
        .assign(mean=lambda rows: np.exp(rows["step"] / _STEPS))
    )
    model = fit_models(counts, values, settings)
    scored = features.select(_forecast(model, value_only=True).alias(_WORKING))
    shares = [step / RANKS for step in range(1, RANKS)]
    row = scored.agg(F.percentile(f"{_WORKING}.{PRESENT_VALUE}", F.array(*map(F.lit, shares)))).first()
    if row is None or row[0] is None:
        raise DataRejectedError(f"fit_value: {c.MONETARY} is known of no customer")
    return replace(model, cuts=tuple(map(float, row[0])))


def with_value(features: DataFrame, model: ValueModel) -> DataFrame:
    """The frame with the columns of `contract.features.value`: expected orders and spend, their intervals and rank.

    One pass, no shuffle. Columns of the same names are replaced. A customer with an impossible
    history, such as a last purchase before the first, has nulls.

    Args:
        features: as in `fit_value`.
        model: of these or earlier customers, whose horizons, discount and level count.

    Raises:
        ConfigurationError: a column that is needed is not there.
        DataRejectedError: it is no number, or a name stands for several columns.
    """
    require_columns("with_value", features, numbers=_NEEDED)
    require_distinct_columns("with_value", features)
    added = value_features(model.horizons)
    names = {feature.name for feature in added}
    working = free_name(_WORKING, features.columns)
    scored = features.withColumn(working, _forecast(model))
    kept = [F.col(sql.column(name)) for name in features.columns if name.lower() not in names]
    return scored.select(*kept, *(F.col(f"{working}.{feature.name}").alias(feature.name) for feature in added))


def _histories() -> list[Column]:
    tenure = F.col(c.TENURE_DAYS)
    columns = ((F.col(c.ACTIVE_DAYS) - 1, REPEATS), (tenure - F.col(c.RECENCY_DAYS), LAST), (tenure, TENURE))
    return [column.cast("double").alias(name) for column, name in columns]


def _mean_value() -> Column:
    """Net spend by purchase day, null where it is not above 0."""
    value = F.try_divide(F.col(c.MONETARY).cast("double"), F.col(c.ACTIVE_DAYS))
    return F.when((value > 0) & (value < float("inf")), value)


def _gap_logs() -> Column:
    """The sum of the logarithms of the gaps, which regularity was computed from: its formula the other way round.

    With the shape k the logarithms' spread of Minka's formula is (3k + 1) / (k (6k + 1)).
    """
    gaps = "cast(active_days - 1 AS DOUBLE)"
    shape = f"pow(regularity, ({gaps} + {PRIOR_GAPS}) / {gaps})"
    spread = f"(3 * {shape} + 1) / ({shape} * (6 * {shape} + 1))"
    logs = f"{gaps} * (ln(days_between_orders) - {spread} - {digamma(gaps)} + ln({gaps}))"
    return F.expr(
        f"CASE WHEN active_days > 2 THEN {logs} WHEN active_days = 2 THEN ln(days_between_orders) ELSE 0D END"
    )


def _forecast(model: ValueModel, *, value_only: bool = False) -> Column:
    """A struct of the value features, or of the present value alone."""
    features = [
        feature for feature in value_features(model.horizons) if not value_only or feature.name == PRESENT_VALUE
    ]
    names = {PROBABILITY_ACTIVE: "active", PRESENT_VALUE: "present_value", VALUE_RANK: "rank"}
    for i, days in enumerate(model.horizons):
        for what in ("orders", "spend"):
            name = expected(what, days)
            names |= {name: f"{what}_{i}", f"{name}_low": f"{what}_low_{i}", f"{name}_high": f"{what}_high_{i}"}
    returned = {feature.name: (names[feature.name], feature.type) for feature in features}
    of_batches = scorer(model.forecaster(), np.array(model.cuts), returned, value_only=value_only)
    score = arrow_function(of_batches, ", ".join(f"{name} {type_}" for name, (_, type_) in returned.items()))
    net = F.coalesce(F.col(c.MONETARY).cast("double"), F.lit(0.0))
    scored: Column = score(F.struct(*_histories(), F.try_divide(net, F.col(c.ACTIVE_DAYS)).alias("mean")))
    return scored


def scorer(
    forecaster: Forecaster, cuts: np.ndarray, returned: Mapping[str, tuple[str, str]], *, value_only: bool
) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    """Scores batches of structs of x, t_x, T and mean, by a forecaster that a task keeps.

    Args:
        returned: the names of what forecasts have, and the types, by the names that they get.
        value_only: the present value alone, with no more digits than the ranks tell apart.
    """

    def score(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for batch in batches:
            x, t_x, tenure, mean = (values.to_numpy(zero_copy_only=False).astype(float) for values in batch.flatten())
            is_possible = (x >= 0) & (t_x >= 0) & (t_x <= tenure) & ((x > 0) == (t_x > 0)) & np.isfinite(tenure + mean)
            given = (np.where(is_possible, values, 0.0) for values in (x, t_x, tenure, mean))
            found = forecaster.forecast(*given, value_only=value_only)
            told_apart = significant(found["present_value"])
            if value_only:
                found["present_value"] = told_apart
            else:
                found["rank"] = 1 + len(cuts) - np.searchsorted(cuts, told_apart, side="right")
            arrays = [pa.array(found[name], mask=~is_possible) for name, _ in returned.values()]
            types = {"double": pa.float64(), "int": pa.int32()}
            cast = [values.cast(types[type_]) for values, (_, type_) in zip(arrays, returned.values(), strict=True)]
            yield pa.StructArray.from_arrays(cast, names=list(returned))

    return score


def significant(values: np.ndarray) -> np.ndarray:
    """To six significant digits, by which ranks tell values apart; what is less than 1e-300 is 0."""
    size = np.where(values > 1e-300, values, 1.0)
    power = 10.0 ** (5 - np.floor(np.log10(size)))
    result: np.ndarray = np.where(values > 1e-300, np.round(size * power) / power, 0.0)
    return result
