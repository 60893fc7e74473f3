"""Checks of a value model against what customers did: tables of what it expects beside what there was."""

import numpy as np
import pandas as pd

from customer_segmentation.value.histories import CUSTOMERS, REPEATS, TENURE, Histories
from customer_segmentation.value.model import ValueModel
from customer_segmentation.value.purchases import PurchaseModel

MAX_REPEATS = 8
WEEK = 7


def calibration(model: PurchaseModel, counts: pd.DataFrame, *, most: int = MAX_REPEATS) -> pd.DataFrame:
    """Customers by repeats, 0 to `most` and more: actual, and expected of new customers with the same tenures.

    Args:
        counts: what `purchase_counts` gives.
    """
    by_tenure = counts.groupby(TENURE)[CUSTOMERS].sum()
    at_least = model.member("repeats_of_new")(model.values, by_tenure.index.to_numpy(dtype=float), most)
    expected = np.concatenate([[by_tenure.sum()], at_least @ by_tenure.to_numpy(dtype=float)])
    actual = np.bincount(np.minimum(counts[REPEATS], most).astype(int), counts[CUSTOMERS], minlength=most + 1)
    return pd.DataFrame(
        {"repeats": range(most + 1), "actual": actual, "expected": expected - np.append(expected[1:], 0.0)}
    )


def tracking(model: PurchaseModel, first_days: pd.Series, repeats: pd.Series, *, until: int) -> pd.DataFrame:
    """Repeats of customers, week by week and summed up: actual, and expected by the model from each first purchase on.

    Args:
        first_days: how many customers bought first on a day, by its number.
        repeats: how many of them bought again on a day, by its number.
        until: the number of the day at which the data end; a last week that is not whole is left out.
    """
    start = int(first_days.index.min())
    ends = np.arange(start + WEEK, until + 1, WEEK)
    ages = np.arange(1, max(until - start, 1) + 1, dtype=float)
    none = np.zeros(1)
    new = Histories(none, none, none, np.ones(1))
    by_age = np.array([0.0, *(model.expected_purchases(new, age)[0] for age in ages)])
    born, bought = first_days.index.to_numpy(), repeats.index.to_numpy()
    expected = [float(first_days.to_numpy() @ by_age[np.clip(end - born, 0, None)]) for end in ends]
    actual = [float(repeats.to_numpy()[bought < end].sum()) for end in ends]
    table = pd.DataFrame({"day": ends, "actual": actual, "expected": expected})
    weekly = {name: np.diff(table[name], prepend=0.0) for name in ("actual", "expected")}
    return table.assign(actual_in_week=weekly["actual"], expected_in_week=weekly["expected"])


def spend_by_frequency(model: ValueModel, values: pd.DataFrame) -> pd.DataFrame:
    """Mean value of a purchase day by how many of them customers have, and what is expected of any new customer.

    Args:
        values: days, mean and customers: the mean value over these customers, of whom those with a value above 0 count.
    """
    expected = 0.0 if model.spend is None else float(model.spend.expected_value(np.zeros(1), np.zeros(1))[0])
    return values.sort_values("days", ignore_index=True).assign(expected=expected)
