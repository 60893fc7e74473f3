"""Transforms that reduce skew, as SQL, of a number and inverse: the signed logarithm and the one of Yeo and Johnson."""

import math

import numpy as np

from customer_segmentation.preparation import sql

LAMBDA_TOLERANCE = 1e-9
"""A lambda this near to 0 or 2 is taken for it: the transform passes into a logarithm there."""
MIN_BASE = 1e-12
"""How near to the end of its range the inverse of Yeo-Johnson goes: what lies beyond has no value."""


def log_sql(value: str) -> str:
    """sign(x) ln(1 + |x|)."""
    return f"(signum({value}) * ln(1D + abs({value})))"


def log(value: float) -> float:
    """sign(x) ln(1 + |x|) of one value."""
    return math.copysign(math.log1p(abs(value)), value)


def log_inverse(transformed: float) -> float:
    """The x with sign(x) ln(1 + |x|) = transformed."""
    return math.copysign(math.expm1(min(abs(transformed), 700.0)), transformed)


def yeo_johnson_sql(value: str, lambda_: float) -> str:
    """The transform of Yeo and Johnson (2000) with this lambda."""
    above, below = f"ln(1D + greatest({value}, 0D))", f"ln(1D - least({value}, 0D))"
    return f"(CASE WHEN {value} >= 0D THEN {_power_sql(above, lambda_)} ELSE -{_power_sql(below, 2.0 - lambda_)} END)"


def yeo_johnson(value: float, lambda_: float) -> float:
    """The transform of one value."""
    return _power(math.log1p(value), lambda_) if value >= 0 else -_power(math.log1p(-value), 2.0 - lambda_)


def yeo_johnson_inverse(transformed: float, lambda_: float) -> float:
    """The x that the transform takes to `transformed`; beyond its range the x at the range's end."""
    return _power_inverse(transformed, lambda_) if transformed >= 0 else -_power_inverse(-transformed, 2.0 - lambda_)


def yeo_johnson_lambda(values: np.ndarray) -> float | None:
    """The lambda of Yeo-Johnson by maximum likelihood; None where there is none, as of fewer than two values."""
    from scipy.stats import yeojohnson_normmax

    known = values[np.isfinite(values)]
    if len(np.unique(known)) < 2:
        return None
    lambda_ = float(yeojohnson_normmax(known))
    return lambda_ if math.isfinite(lambda_) else None


def _power_sql(log: str, power: float) -> str:
    """((1 + |x|)^power - 1) / power by ln(1 + |x|)."""
    if abs(power) < LAMBDA_TOLERANCE:
        return log
    return f"(expm1({sql.double(power)} * {log}) / {sql.double(power)})"


def _power(log: float, power: float) -> float:
    return log if abs(power) < LAMBDA_TOLERANCE else math.expm1(min(power * log, 700.0)) / power


def _power_inverse(transformed: float, power: float) -> float:
    if abs(power) < LAMBDA_TOLERANCE:
        return log_inverse(transformed)
    return math.expm1(min(math.log(max(1.0 + power * transformed, MIN_BASE)) / power, 700.0))
