"""Principal components of a sample, small enough for the driver."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

_MAX_SKEWNESS = 2.0
"""Skewness from which a feature enters by its signed logarithm; an exponential distribution has 2."""


@dataclass(frozen=True)
class Components:
    """The first two principal components of some rows.

    points: a row each, two columns.
    shares: of the variance, 0 to 1.
    loadings: of each feature on each component, from -1 to 1; the largest of a component is positive.
    """

    points: np.ndarray
    shares: tuple[float, float]
    loadings: dict[str, tuple[float, float]]


def principal_components(rows: pd.DataFrame) -> Components:
    """The first two principal components of standardised features.

    A missing value counts as the median, a heavily skewed feature by sign(x) ln(1 + |x|), a constant one as 0.

    Args:
        rows: a numeric column per feature, two or more of each.

    Example:
        >>> components = principal_components(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 4.0, 6.0]}))
        >>> components.shares
        (1.0, 0.0)
    """
    values = rows.astype("float64").fillna(rows.median(numeric_only=True)).fillna(0.0)
    skewed = values.skew().abs() > _MAX_SKEWNESS
    values.loc[:, skewed] = np.sign(values.loc[:, skewed]) * np.log1p(values.loc[:, skewed].abs())
    centred = values.to_numpy() - values.to_numpy().mean(axis=0)
    scale = centred.std(axis=0)
    standardised = centred / np.where(scale > 0, scale, 1.0)
    _, singular, axes = np.linalg.svd(standardised, full_matrices=False)
    axes, variances = axes[:2], singular**2
    axes = axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    total = variances.sum() or 1.0
    first, second = (round(float(variance / total), 6) for variance in variances[:2])
    loadings = {name: (float(axes[0, i]), float(axes[1, i])) for i, name in enumerate(rows.columns)}
    return Components(standardised @ axes.T, (first, second), loadings)
