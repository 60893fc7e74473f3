"""What purchase models know of customers: how often they bought again, when last, and for how long they are known."""

from collections.abc import Sequence
from copy import copy
from dataclasses import InitVar, dataclass, field

import numpy as np
import pandas as pd

from customer_segmentation.contract.errors import DataRejectedError

REPEATS, LAST, TENURE, CUSTOMERS, GAP_LOGS = "x", "t_x", "T", "customers", "gap_logs"
"""Columns of a table of histories, see `distinct_histories`."""

Coded = tuple[np.ndarray, np.ndarray]
"""Distinct values, ascending, and the place of each value among them."""


@dataclass(frozen=True)
class Histories:
    """Distinct histories and how many customers have each; arrays of one length.

    x: days with a purchase after the first one.
    t_x: time from the first purchase to the last, 0 where x is 0.
    T: time from the first purchase to the as-of date, at least t_x.
    customers: how many have this history.
    gap_logs: sum over all customers and their gaps between purchases of the natural logarithm of the gap.
    codes: of x, t_x and T, where they are known.
    """

    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    customers: np.ndarray
    gap_logs: float = 0.0
    codes: InitVar[Sequence[Coded] | None] = None
    # Each value once, and where it stands: functions of one number are computed for few.
    x_values: np.ndarray = field(init=False, repr=False)
    x_at: np.ndarray = field(init=False, repr=False)
    customers_by_x: np.ndarray = field(init=False, repr=False)
    last_values: np.ndarray = field(init=False, repr=False)
    last_at: np.ndarray = field(init=False, repr=False)
    tenure_values: np.ndarray = field(init=False, repr=False)
    tenure_at: np.ndarray = field(init=False, repr=False)

    def __post_init__(self, codes: Sequence[Coded] | None) -> None:
        codes = codes or [np.unique(values, return_inverse=True) for values in (self.x, self.t_x, self.T)]
        for name, (values, at) in zip(("x", "last", "tenure"), codes, strict=True):
            object.__setattr__(self, f"{name}_values", values)
            object.__setattr__(self, f"{name}_at", at)
        object.__setattr__(self, "customers_by_x", np.bincount(self.x_at, self.customers, len(self.x_values)))

    @property
    def total(self) -> float:
        """How many customers there are."""
        return float(self.customers.sum())

    @property
    def repeats(self) -> float:
        """Repeated purchase days of all customers."""
        return float(self.customers @ self.x)

    def scaled(self, unit: float) -> "Histories":
        """The histories with times by a unit."""
        result = copy(self)
        for name in ("t_x", "T", "last_values", "tenure_values"):
            object.__setattr__(result, name, getattr(self, name) / unit)
        object.__setattr__(result, "gap_logs", self.gap_logs - self.repeats * float(np.log(unit)))
        return result

    def thinned(self, most: int) -> "Histories":
        """Every n-th history, so that at most so many are left."""
        kept = slice(None, None, max(1, -(-len(self.x) // most)))
        share = float(self.customers[kept] @ self.x[kept]) / self.repeats if self.repeats else 0.0
        x, t_x, tenure, customers = (values[kept] for values in (self.x, self.t_x, self.T, self.customers))
        return Histories(x, t_x, tenure, customers, self.gap_logs * share)


def distinct_histories(frame: pd.DataFrame) -> Histories:
    """Histories from the columns x, t_x, T, customers (1 where there is none) and gap_logs (optional), see `Histories`.

    Equal histories are put together and sorted, so the order and the number of rows make no difference.

    Raises:
        DataRejectedError: no rows, or a history that can't be.
    """
    given = frame.assign(**{CUSTOMERS: frame.get(CUSTOMERS, 1)}).astype(float)
    if not len(given):
        raise DataRejectedError("there are no customers to fit a purchase model to")
    x, t_x, tenure, customers = (given[name].to_numpy() for name in (REPEATS, LAST, TENURE, CUSTOMERS))
    is_possible = (x >= 0) & (x == np.floor(x)) & (t_x >= 0) & (t_x <= tenure) & np.isfinite(tenure) & (customers > 0)
    is_possible &= (x == 0) == (t_x == 0)
    if not is_possible.all():
        first = given.loc[~is_possible].iloc[0]
        raise DataRejectedError(
            f"{int((~is_possible).sum())} histories can't be, such as x = {first[REPEATS]:g}, t_x = {first[LAST]:g}, "
            f"T = {first[TENURE]:g}: x is a whole number, 0 <= t_x <= T, and t_x is 0 just where x is 0"
        )
    coded = [pd.factorize(values, sort=True) for values in (x, t_x, tenure)]
    sizes = [len(values) for _, values in coded]
    keys, counts = _counted(np.ravel_multi_index([at for at, _ in coded], sizes), customers)
    codes = [(values, at) for (_, values), at in zip(coded, np.unravel_index(keys, sizes), strict=True)]
    x, t_x, tenure = (values[at] for values, at in codes)
    logs = float(np.sort(given[GAP_LOGS].to_numpy()).sum()) if GAP_LOGS in given else 0.0
    return Histories(x, t_x, tenure, counts, logs, codes)


def _counted(keys: np.ndarray, customers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, ascending, and the customers of each."""
    if (customers == 1).all():
        distinct, counts = np.unique(keys, return_counts=True)
        return distinct, counts.astype(float)
    distinct, at = np.unique(keys, return_inverse=True)
    return distinct, np.bincount(at, customers)
