"""What takes the skew off a feature, as SQL and its inverse: the signed logarithm and the transform of Yeo-Johnson."""

import math

import numpy as np

from customer_segmentation.preparation import sql

NEAR = 1e-9
"""A lambda this near to 0 or 2 is taken for it: the transform passes into a logarithm there."""
REACH = 1e-12
"""How near to the end of its range the inverse of Yeo-Johnson goes: what lies beyond has no value."""


def log_sql(value: str) -> str:
    """sign(x) ln(1 + |x|)."""
    return f"(signum({value}) * ln(1D + abs({value})))"


def log_inverse(shaped: float) -> float:
    """The x with sign(x) ln(1 + |x|) = shaped."""
    return math.copysign(math.expm1(min(abs(shaped), 700.0)), shaped)


def power_sql(value: str, power: float) -> str:
    """The transform of Yeo and Johnson (2000) with this lambda."""
    above, below = f"ln(1D + greatest({value}, 0D))", f"ln(1D - least({value}, 0D))"
    return f"(CASE WHEN {value} >= 0D THEN {_branch(above, power)} ELSE -{_branch(below, 2.0 - power)} END)"


def power_inverse(shaped: float, power: float) -> float:
    """The x that the transform takes to `shaped`; beyond its range the x at the range's end."""
    return _unbranch(shaped, power) if shaped >= 0 else -_unbranch(-shaped, 2.0 - power)


def likeliest_power(values: np.ndarray) -> float | None:
    """The lambda of Yeo-Johnson by maximum likelihood; None where there is none, as of fewer than two values."""
    from scipy.stats import yeojohnson_normmax

    known = values[np.isfinite(values)]
    if len(np.unique(known)) < 2:
        return None
    power = float(yeojohnson_normmax(known))
    return power if math.isfinite(power) else None


def _branch(log: str, power: float) -> str:
    """((1 + |x|)^power - 1) / power by ln(1 + |x|)."""
    if abs(power) < NEAR:
        return log
    return f"(expm1({sql.double(power)} * {log}) / {sql.double(power)})"


def _unbranch(shaped: float, power: float) -> float:
    if abs(power) < NEAR:
        return log_inverse(shaped)
    return math.expm1(min(math.log(max(1.0 + power * shaped, REACH)) / power, 700.0))
