"""Finds the parameters of a model that make what was seen most likely, and says how sure they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

Likelihood = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""From parameters to the logarithm of the likelihood and its gradient."""

NOT_CONVERGED = "the fit did not converge: its likelihood still rises, so take its figures with care"
"""What a person is told of such a fit."""

_STEP = 1e-5
"""Of a logarithm, for the Hessian as differences of gradients."""
_POLISHING = 20
"""Most steps of Newton after L-BFGS; one or two do, but on a ridge."""
_LONGEST, _SHORTER = 2.0, 6
"""Longest step of a logarithm, and how many times it is tried, each time an eighth as long."""
_NEAR = 1e-2
"""Step of a logarithm after which the curvature is still the same, for standard errors."""
_FLAT = 1e-9
"""Curvature a customer that does not tell a parameter from any other."""
_TOLERANCE = 1e-5
"""Largest slope by the logarithm of a parameter, a customer, at which a fit has converged."""
_AT_LIMIT = 0.05
"""Of the logarithm: so near its limit a parameter counts as run to it."""


@dataclass(frozen=True)
class Fit:
    """Parameters by name with their standard errors; None for one that ran to a limit or that the data do not tell.

    log_likelihood: of all customers.
    is_converged: whether the likelihood is flat there.
    at_limit: parameters that ran to their lower or upper limit, by name ("lower" or "upper").
    """

    parameters: dict[str, float]
    standard_errors: dict[str, float | None]
    log_likelihood: float
    is_converged: bool
    at_limit: dict[str, str]


def maximised(
    likelihood: Likelihood,
    *,
    names: Sequence[str],
    starts: Sequence[Sequence[float]],
    limits: Mapping[str, tuple[float, float]],
    customers: float,
    sample: tuple[Likelihood, float] | None = None,
) -> Fit:
    """The parameters of the highest likelihood, by L-BFGS over their logarithms and steps of Newton from there.

    Where there is a sample, L-BFGS climbs on it alone, as long as Newton gets on from there.

    Args:
        likelihood: of all customers, to be maximised.
        names: of the parameters, all above 0.
        starts: where to begin; the best end counts.
        limits: the lowest and the highest value of each parameter.
        customers: how many the likelihood is of.
        sample: a likelihood of few of the customers, and of how many: starts are then tried on these.
    """
    box = np.log([limits[name] for name in names])
    tried, of = sample or (likelihood, customers)
    ends = [_climbed(tried, np.clip(np.log(start), *box.T), box, of) for start in starts]
    best = min(ends, key=lambda end: float(end[1]))[0]
    fit = _polished(likelihood, best, box, customers, names)
    if sample is None or fit.is_converged:
        return fit
    return _polished(likelihood, _climbed(likelihood, best, box, customers)[0], box, customers, names)


def _climbed(likelihood: Likelihood, start: np.ndarray, box: np.ndarray, customers: float) -> tuple[np.ndarray, float]:
    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood(np.exp(logs))
        return -value / customers, -gradient * np.exp(logs) / customers

    options = {"maxiter": 500, "ftol": 1e-11, "gtol": _TOLERANCE, "maxcor": 20}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=box, options=options)
    return found.x, float(found.fun)


def _polished(likelihood: Likelihood, logs: np.ndarray, box: np.ndarray, customers: float, names: Sequence[str]) -> Fit:
    def climbed_to(at: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood(np.exp(at))
        return value, gradient * np.exp(at)

    value, slopes = climbed_to(logs)
    is_near, measured = False, np.zeros(len(logs), dtype=bool)
    for turn in range(_POLISHING + 1):
        low, high = (logs - box[:, 0] < _AT_LIMIT) & (slopes <= 0), (box[:, 1] - logs < _AT_LIMIT) & (slopes >= 0)
        inner = ~(low | high)
        steepest = np.abs(slopes[inner]).max(initial=0.0) / customers
        is_measured = turn > 0 and bool((inner == measured).all())
        if turn == _POLISHING or (is_near and is_measured and steepest <= 1e-3 * _TOLERANCE):
            break
        measured = inner
        curvatures, axes = _curvature(climbed_to, logs, slopes, inner)
        step = np.zeros(len(logs))
        step[inner] = axes @ (axes.T @ slopes[inner] / np.maximum(np.abs(curvatures), _FLAT * customers))
        step *= min(1.0, _LONGEST / max(np.abs(step).max(), 1e-300))
        for _ in range(_SHORTER):
            candidate = np.clip(logs + step, *box.T)
            higher, new_slopes = climbed_to(candidate)
            if higher >= value - 1e-12 * abs(value):
                break
            step /= 8
        else:
            break
        logs, value, slopes, is_near = candidate, higher, new_slopes, bool(np.abs(step).max() < _NEAR)
    if (inner != measured).any():
        curvatures, axes = _curvature(climbed_to, logs, slopes, inner)
    # A direction that the likelihood hardly knows leaves no standard error.
    variances = np.full(len(logs), np.nan)
    if (curvatures < -_FLAT * customers).all():
        variances[inner] = ((axes**2) / -curvatures).sum(axis=1)
    parameters = np.exp(logs)
    errors = parameters * np.sqrt(variances)
    return Fit(
        {name: float(f"{number:.10g}") for name, number in zip(names, parameters, strict=True)},
        {name: float(f"{e:.6g}") if np.isfinite(e) else None for name, e in zip(names, errors, strict=True)},
        float(value),
        bool(steepest <= _TOLERANCE and np.isfinite(value)),
        {name: "lower" if low[i] else "upper" for i, name in enumerate(names) if not inner[i]},
    )


def _curvature(
    climbed_to: Likelihood, at: np.ndarray, slopes: np.ndarray, inner: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and -vectors of the second derivatives by the inner parameters, by differences of their slopes."""
    steps = np.eye(len(at))[inner] * _STEP
    rows = [(climbed_to(at + step)[1] - slopes)[inner] / _STEP for step in steps]
    matrix = np.array(rows).reshape(inner.sum(), inner.sum())
    return np.linalg.eigh((matrix + matrix.T) / 2) if inner.any() else (np.zeros(0), np.zeros((0, 0)))
