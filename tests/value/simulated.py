"""Buyers who do as a purchase model says, one event after the other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def simulated_histories(
    name: str, parameters: Sequence[float], *, k: int = 1, customers: int, tenure: float, horizon: float, seed: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """x, t_x, T and gap_logs of customers known for up to `tenure`, and their purchases in the `horizon` after."""
    rng = np.random.default_rng(seed)
    r, alpha, first, second = parameters
    rate = rng.gamma(r, 1 / alpha, customers)
    known = rng.uniform(0.3, 1, customers) * tenure
    end = known + horizon
    by_time = name == "pareto_nbd"
    leaves = rng.exponential(1 / rng.gamma(first, 1 / second, customers)) if by_time else np.full(customers, np.inf)
    p = np.zeros(customers) if by_time else rng.beta(first, second, customers)
    now, t_x = np.zeros(customers), np.zeros(customers)
    x, later, logs = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    active = np.ones(customers, dtype=bool) if name == "bg_nbd" else rng.random(customers) >= p
    while active.any():
        gap = rng.gamma(k, 1 / rate)
        now = now + gap
        active &= (now < end) & (now < leaves)
        before = active & (now <= known)
        x += before
        logs += np.where(before, np.log(gap), 0.0)
        t_x = np.where(before, now, t_x)
        later += active & (now > known)
        active &= rng.random(customers) >= p
    return pd.DataFrame({"x": x, "t_x": t_x, "T": known, "gap_logs": logs}), later
