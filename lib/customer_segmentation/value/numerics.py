"""Special functions that keep their digits where the textbook formulas overflow or cancel.

The functions need NumPy and SciPy only, for they also run on Spark's workers.
"""

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import digamma, gammaln

_LARGE = 1e3
"""From here on differences of ln Gamma and of digamma are taken by Stirling's series: plain ones would cancel."""


def log_rising(z: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
    """ln Gamma(z + n) - ln Gamma(z) for z > 0 and z + n > 0 (Abramowitz and Stegun 1964, 6.1.41)."""
    z, n = np.broadcast_arrays(np.asarray(z, dtype=float), np.asarray(n, dtype=float))
    end = z + n
    is_large = np.minimum(z, end) > _LARGE
    y, e = np.where(is_large, z, 1.0), np.where(is_large, end, 1.0)
    series = (1 / e - 1 / y) / 12 - (1 / e**3 - 1 / y**3) / 360
    stirling = (y - 0.5) * np.log1p((e - y) / y) + (e - y) * (np.log(e) - 1) + series
    result: np.ndarray = np.where(is_large, stirling, gammaln(end) - gammaln(z))
    return result


def digamma_rise(z: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
    """digamma(z + n) - digamma(z) for z > 0 and z + n > 0 (Abramowitz and Stegun 1964, 6.3.18)."""
    z, n = np.broadcast_arrays(np.asarray(z, dtype=float), np.asarray(n, dtype=float))
    end = z + n
    is_large = np.minimum(z, end) > _LARGE
    y, e = np.where(is_large, z, 1.0), np.where(is_large, end, 1.0)
    series = np.log1p((e - y) / y) - (1 / e - 1 / y) / 2 - (1 / e**2 - 1 / y**2) / 12
    result: np.ndarray = np.where(is_large, series, digamma(end) - digamma(z))
    return result


def beta_quadrature(a: float, b: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points in (0, 1) and weights of sum 1 for the mean of a function of p ~ Beta(a, b).

    Gauss-Jacobi by the eigenvalues of the tridiagonal matrix of the recurrence (Golub and Welsch 1969): no constant
    of normalisation that could overflow.
    """
    n = np.arange(nodes, dtype=float)
    whole = 2 * n + a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        # Of Jacobi's polynomials shifted to (0, 1), with the weight p^(a-1) (1-p)^(b-1).
        diagonal = (2 * n * (n + a + b - 1) + a * (a + b - 2)) / (whole * (whole - 2))
        squares = n * (n + a - 1) * (n + b - 1) * (n + a + b - 2) / ((whole - 2) ** 2 * (whole - 1) * (whole - 3))
    diagonal[0] = a / (a + b)
    if nodes > 1:
        squares[1] = a * b / ((a + b) ** 2 * (a + b + 1))
    points, vectors = eigh_tridiagonal(diagonal, np.sqrt(squares[1:]))
    weights = vectors[0] ** 2
    return np.clip(points, 1e-300, 1.0), weights / weights.sum()


def unit_quadrature(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of Gauss and Legendre on (0, 1)."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return (points + 1) / 2, weights / 2


def mean_decay(exponent: np.ndarray | float, log_ratio: np.ndarray) -> np.ndarray:
    """(1 - e^(-c y)) / c, which is y where c is 0.

    Args:
        exponent: c, of any sign.
        log_ratio: y, at least 0.
    """
    z = exponent * log_ratio
    is_small = np.abs(z) < 1e-8
    safe = np.where(is_small, 1.0, z)
    result: np.ndarray = log_ratio * np.where(is_small, 1 - z / 2, -np.expm1(-safe) / safe)
    return result
