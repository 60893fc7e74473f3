"""What the `lifetimes` package ships: CDNOW, the tenth of its customers that the literature uses, in weeks."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

SPEC = find_spec("lifetimes")
assert SPEC is not None
assert SPEC.origin is not None
FOLDER = Path(SPEC.origin).parent / "datasets"


def cdnow() -> pd.DataFrame:
    """x, t_x and T of 2,357 customers in the first 39 weeks, and zbar, the mean value of their repeats."""
    return pd.read_csv(FOLDER / "cdnow_customers_summary_with_transactions.csv")


def cdnow_holdout() -> np.ndarray:
    """Days with a repeat of each of these customers in the 39 weeks from 1997-10-01 on."""
    lines = pd.read_csv(
        FOLDER / "CDNOW_sample.txt", sep=r"\s+", header=None, names=["whole", "customer", "day", "items", "amount"]
    )
    later = lines[lines["day"] >= 19971001].drop_duplicates(["customer", "day"])
    customers = lines["customer"].drop_duplicates().sort_values()
    return later.groupby("customer").size().reindex(customers).fillna(0).to_numpy()
