"""When customers buy: the purchase models by name, their fit, and what they expect of customers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.value import beta_geometric, pareto
from customer_segmentation.value.histories import Histories
from customer_segmentation.value.maximum_likelihood import NOT_CONVERGED, Fit, Likelihood, maximised

PurchaseModelName = Literal["mbg_nbd", "bg_nbd", "pareto_nbd", "mbg_cnbd_k"]

TITLES: Mapping[str, str] = {
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "mbg_cnbd_k": "MBG/CNBD-k",
}
MAX_K = 8
"""Most phases between purchases that MBG/CNBD-k tries."""
_SAMPLE = 10_000
"""Histories that starts are tried on."""
_LIMITS = (1e-4, 1e4)
"""Of a parameter, where times are by the mean tenure: what is beyond makes no visible difference."""
_RATE = (1e-3, 1e5)
"""Of alpha and beta, likewise."""

_AT_LIMIT: Mapping[tuple[str, str], str] = {
    ("r", "lower"): "hardly anybody buys again",
    ("r", "upper"): "all customers buy at the same rate",
    ("alpha", "upper"): "all customers buy at the same rate, or hardly anybody buys again",
    ("a", "lower"): "no sign that customers stop buying",
    ("a", "upper"): "all customers are equally likely to stop",
    ("b", "lower"): "customers stop at once or never",
    ("b", "upper"): "no sign that customers stop buying",
    ("s", "lower"): "no sign that customers stop buying",
    ("s", "upper"): "all customers stop at the same rate",
    ("beta", "upper"): "no sign that customers stop buying, or all do at the same rate",
}


@dataclass(frozen=True)
class PurchaseModel:
    """A fitted purchase model. Times are in the unit of the histories that it was fitted to.

    name: of `TITLES`.
    parameters: by name; (r, alpha) of the purchase rate, (a, b) or (s, beta) of leaving.
    standard_errors: of the parameters, from the curvature of the likelihood; None where it does not tell.
    log_likelihood: of the customers at the fit.
    customers: how many these were.
    repeats: how many purchases after the first one they had.
    k: phases between purchases, 1 for purchases at random; the larger, the more regular.
    is_converged: whether the likelihood is flat at the parameters.
    at_limit: parameters that ran to a limit ("lower" or "upper"), which is no fault: see `messages`.
    """

    name: PurchaseModelName
    parameters: dict[str, float]
    standard_errors: dict[str, float | None]
    log_likelihood: float
    customers: int
    repeats: int
    k: int = 1
    is_converged: bool = True
    at_limit: dict[str, str] | None = None

    @property
    def values(self) -> np.ndarray:
        """The four parameters."""
        return np.array([*self.parameters.values()])

    def probability_active(self, histories: Histories) -> np.ndarray:
        """The probability that customers still buy, by history."""
        result: np.ndarray = self.member("probability_active")(self.values, histories)
        return result

    def expected_purchases(self, histories: Histories, horizon: float) -> np.ndarray:
        """Purchases to expect in (T, T + horizon], by history: what has been bought and when is given."""
        by_phase = self.member("future_purchases")(self.values, histories.x, histories.T, [horizon])[0, 1]
        shares = self.member("phase_shares")(self.values, histories)
        result: np.ndarray = self.probability_active(histories) * (shares * by_phase).sum(axis=0)
        return result

    def member(self, function: str) -> Callable[..., Any]:
        """A function of the model's family, over the parameters and histories."""
        return _member(self.name, self.k, function)

    @property
    def messages(self) -> list[str]:
        """What a person should know of the fit, in sentences; none where all is well."""
        found = []
        if not self.repeats:
            found.append("nobody has bought on a second day: next to no purchases are expected of anybody")
        if not self.is_converged:
            found.append(NOT_CONVERGED)
        meanings: dict[str, list[str]] = {}
        for name, limit in (self.at_limit or {}).items():
            meaning = _AT_LIMIT.get((name, limit), "the data do not determine this parameter")
            meanings.setdefault(meaning, []).append(f"{name} = {self.parameters[name]:.4g}")
        found += [f"{meaning} ({' and '.join(names)}, at the limit)" for meaning, names in meanings.items()]
        return [f"{TITLES[self.name]}: {message}" for message in found]

    def to_dict(self) -> dict[str, Any]:
        """The model as plain JSON."""
        return {**vars(self), "at_limit": self.at_limit or {}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PurchaseModel":
        """The model from what `to_dict` gives."""
        return cls(**data)


def fit_purchases(histories: Histories, name: PurchaseModelName = "mbg_nbd") -> PurchaseModel:
    """The model of the highest likelihood.

    Times are brought to their mean first, so that the unit makes no difference but to alpha and beta. For MBG/CNBD-k
    the k with the highest likelihood is taken, from 1 up until it falls; it needs `gap_logs`.

    Raises:
        ConfigurationError: there is no such model.
    """
    if name not in TITLES:
        raise ConfigurationError(f"{name!r:.60} is no purchase model; there are {', '.join(TITLES)}")
    unit = float(histories.customers @ histories.T) / histories.total or 1.0
    scaled = histories.scaled(unit)
    best = _fit(scaled, name, 1)
    k = 1
    while name == "mbg_cnbd_k" and k < MAX_K and scaled.repeats:
        more = _fit(scaled, name, k + 1)
        if more.log_likelihood <= best.log_likelihood:
            break
        best, k = more, k + 1
    times = {"alpha", "beta"}
    return PurchaseModel(
        name,
        {key: float(f"{value * (unit if key in times else 1):.10g}") for key, value in best.parameters.items()},
        {
            key: None if error is None else float(f"{error * (unit if key in times else 1):.6g}")
            for key, error in best.standard_errors.items()
        },
        best.log_likelihood - histories.repeats * float(np.log(unit)),
        round(histories.total),
        round(histories.repeats),
        k,
        best.is_converged,
        best.at_limit,
    )


def _fit(histories: Histories, name: PurchaseModelName, k: int) -> Fit:
    """The parameters, times being of the order of 1."""
    rate = max(histories.repeats * k, 1.0) / max(float(histories.customers @ histories.t_x), 0.1 * histories.total)
    second = (1.0, 1.0) if name == "pareto_nbd" else (0.5, 1.5)
    other = (0.5, 2.0) if name == "pareto_nbd" else (0.5, 10.0)
    few = histories.thinned(_SAMPLE)
    names = _names(name)
    return maximised(
        _likelihood(name, k, histories),
        names=names,
        starts=[(0.5, 0.5 / rate, *second), (2.0, 2.0 / rate, *other)],
        limits={key: _RATE if key in {"alpha", "beta"} else _LIMITS for key in names},
        customers=histories.total,
        sample=None if len(few.x) == len(histories.x) else (_likelihood(name, k, few), few.total),
    )


def _likelihood(name: PurchaseModelName, k: int, histories: Histories) -> Likelihood:
    return partial(_member(name, k, "log_likelihood"), histories=histories)


def _names(name: PurchaseModelName) -> tuple[str, ...]:
    return pareto.NAMES if name == "pareto_nbd" else beta_geometric.NAMES


def _member(name: PurchaseModelName, k: int, function: str) -> Callable[..., Any]:
    """A function of the model's family."""
    if name == "pareto_nbd":
        member: Callable[..., Any] = getattr(pareto, function)
        return member
    return partial(getattr(beta_geometric, function), k=k, leaves_at_first=name != "bg_nbd")
