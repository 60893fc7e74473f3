"""What the activity of customers is judged by, computed from their purchases with pandas: an oracle, and a shop."""

import numpy as np
import pandas as pd

from customer_segmentation.insight.activity import OVERDUE_CUTS, PURCHASE_CUTS, SILENCE_CUTS, PurchaseRates

YEAR = 365


def customers_at(days: pd.DataFrame, as_of: int) -> pd.DataFrame:
    """The customers with a purchase before a day: recency_days, active_days, tenure_days and mean gap, by customer_id.

    Args:
        days: customer_id and day (a number), one row for each day on which a customer bought.
    """
    grouped = days[days.day < as_of].groupby("customer_id").day.agg(["min", "max", "count"])
    customers = pd.DataFrame(
        {"recency_days": as_of - grouped["max"], "active_days": grouped["count"], "tenure_days": as_of - grouped["min"]}
    )
    repeats = (customers.active_days - 1).where(customers.active_days > 1)
    return customers.assign(gap=(customers.tenure_days - customers.recency_days) / repeats)


def states(customers: pd.DataFrame) -> pd.DataFrame:
    """The classes of the customers' states."""
    ratio = (customers.recency_days / customers.gap).fillna(0)
    overdue = np.where(customers.active_days > 1, 1 + np.searchsorted(OVERDUE_CUTS, ratio), 0)
    return pd.DataFrame(
        {
            "silence": np.searchsorted(SILENCE_CUTS, customers.recency_days),
            "purchases": np.searchsorted(PURCHASE_CUTS, customers.active_days),
            "overdue": overdue,
        },
        index=customers.index,
    )


def buyers(days: pd.DataFrame, start: int, end: int) -> set[str]:
    """The customers that bought from a day on until before another."""
    return set(days[(days.day >= start) & (days.day < end)].customer_id)


def rates_of(days: pd.DataFrame, as_of: int, horizon_days: int) -> PurchaseRates:
    """What `purchase_rates` has to find."""
    customers = customers_at(days, as_of)
    history, cycle = int(customers.tenure_days.max()), customers.gap.median()
    horizon = min(horizon_days, history // 2)
    counts = []
    for start in (as_of - horizon, *([as_of - YEAR] if history - YEAR >= horizon else [])):
        then = states(customers_at(days, start))
        counts.append(then.assign(n=1, bought=then.index.isin(buyers(days, start, start + horizon)).astype(int)))
    table = pd.concat(counts).groupby(["silence", "purchases", "overdue"], as_index=False).sum()
    return PurchaseRates(
        horizon,
        history,
        None if np.isnan(cycle) else float(f"{cycle:.6g}"),
        tuple((int(s), int(p), int(o), int(n), int(b)) for s, p, o, n, b in table.to_numpy()),
    )


def evidence_rows(customers: pd.DataFrame, segments: np.ndarray, rates: PurchaseRates) -> list[dict[str, int]]:
    """The counts by segment and state that `evidence_of` takes."""
    gap = customers.gap.fillna(np.inf if rates.cycle_days is None else rates.cycle_days)
    rows = states(customers).assign(
        segment_id=segments,
        customers=1,
        purchase_days=customers.active_days,
        overdue_customers=(customers.recency_days > gap).astype(int),
        new_customers=(customers.tenure_days <= (rates.new_days or -1)).astype(int),
    )
    return rows.groupby(["segment_id", "silence", "purchases", "overdue"], as_index=False).sum().to_dict("records")


def shop(draw: np.random.Generator, *, customers: int, days: int, mean_gap: float, mean_life: float) -> pd.DataFrame:
    """Days with purchases of customers that come at their own rates and leave for good, each with a spend per purchase.

    As in the Pareto/NBD model: gamma rates and lives around the means; half of them come before the first day.
    """
    rows = []
    for number in range(customers):
        start = draw.uniform(-days, days)
        rate, life = draw.gamma(1.5) / (1.5 * mean_gap), draw.exponential(mean_life * draw.gamma(2) / 2)
        times, spend = [start], draw.lognormal(3, 0.8)
        while (time := times[-1] + draw.exponential(1 / rate)) < min(days, start + life):
            times.append(time)
        rows += [(f"c{number}", day, spend) for day in sorted({int(t) for t in times if 0 <= t < days})]
    return pd.DataFrame(rows, columns=["customer_id", "day", "spend"])
