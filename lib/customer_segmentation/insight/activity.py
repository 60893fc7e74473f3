"""Whether a segment's customers are active: by what customers in the same state did before, and by their own rhythm.

A quintile says nothing of that: in every shop a fifth of the customers bought longest ago. Here the shop is looked at
as it was one horizon ago, and where its history reaches back that far, in the same season a year ago: which customers
bought in the days after, by their state then. These rates, applied to today's states, are the share of a segment that
is expected to buy again.

A state is how long the last purchase is ago, on how many days the customer has bought, and how overdue it is, each in
a few classes. The rate of a state with few customers is drawn to that of the wider class that it is part of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.segment_rules import Activity
from customer_segmentation.contract import columns as c
from customer_segmentation.features.lines_by_customer import DAY

SILENCE_CUTS = (3, 7, 14, 21, 30, 45, 60, 90, 120, 150, 180, 240, 300, 365, 480, 600, 730, 1095)
"""Days since the last purchase up to which a class goes; the last class has no end."""
PURCHASE_CUTS = (1, 2, 4, 9, 19, 49)
"""Days with a purchase up to which a class goes."""
OVERDUE_CUTS = (0.5, 1, 2, 4, 8)
"""Days since the last purchase by the customer's mean gap up to which a class goes; class 0 has no gap yet."""

PRIOR_CUSTOMERS = 20
"""Customers of the wider class that count for the rate of a state beside its own."""
MIN_CUSTOMERS = 50
"""Customers then, fewer of whom say nothing of those of today."""
MIN_HORIZON = 7
"""Days ahead, fewer of which say nothing."""
YEAR = 365

STANDARD_ERRORS = 2.0
"""Standard errors by which a segment has to be on its side of a limit."""
_INACTIVE: tuple[Activity, ...] = ("lost", "lapsed")
MAX_SHARE = {"lost": 0.15, "lapsed": 0.3}
"""Expected share of buyers, by that of all customers, up to which a segment is called so: well below half of it, as
shops change from one season to the next ..."""
MAX_UPPER = {"lost": 0.25, "lapsed": 0.5}
"""... and what its upper bound may be at most."""
MIN_ODDS = 2.5
"""Odds of buying, by those of all customers, that the lower bound of an active segment has to reach. Odds, as a share
can't be twice that of all customers where most of them buy."""
MOST = 0.5
"""Share of the customers above which something holds for most of them."""

NEW_DAYS = (30, 90)
"""A customer is new for as long as the shop's cycle, but at least and at most so many days."""
MIN_HISTORY_OF_NEW = 3
"""Times as long the shop's history has to be for customers to be called new at all."""


@dataclass(frozen=True)
class PurchaseRates:
    """How often customers bought within a horizon, by their state at its start.

    horizon_days: length of the horizon.
    history_days: days from the first purchase of all to the as-of date.
    cycle_days: median of the customers' mean gaps between days with a purchase; None where nobody came back.
    counts: silence, purchases and overdue (classes of the state), customers in it then, and those that bought after.
    """

    horizon_days: int
    history_days: int
    cycle_days: float | None
    counts: tuple[tuple[int, int, int, int, int], ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether enough customers were there then."""
        return sum(customers for *_, customers, _ in self.counts) >= MIN_CUSTOMERS

    @property
    def new_days(self) -> int | None:
        """Days up to which a customer counts as new; None where the history is too short to tell."""
        days = round(min(NEW_DAYS[1], max(NEW_DAYS[0], self.cycle_days or NEW_DAYS[1])))
        return days if self.history_days >= MIN_HISTORY_OF_NEW * days else None

    def rate(self, silence: int, purchases: int, overdue: int) -> float:
        """The share of customers in a state that buys within the horizon, 0 to 1."""
        for key in ((silence, purchases, overdue), (silence, purchases)):
            if key in self._rates:
                return self._rates[key]
        return self._rates[(silence,)]

    @cached_property
    def _rates(self) -> dict[tuple[int, ...], float]:
        """Rates by silence, by silence and purchases, by the whole state; each drawn to the one before.

        That by silence is drawn to the next shorter one: nobody could be silent for longer than there was history.
        """
        customers: dict[tuple[int, ...], int] = {}
        buyers: dict[tuple[int, ...], int] = {}
        for *state, count, bought in self.counts:
            for length in range(4):
                key = tuple(state[:length])
                customers[key] = customers.get(key, 0) + count
                buyers[key] = buyers.get(key, 0) + bought
        rates: dict[tuple[int, ...], float] = {}
        wider = buyers[()] / customers[()]
        for silence in range(len(SILENCE_CUTS) + 1):
            key = (silence,)
            wider = _drawn(buyers.get(key, 0), customers.get(key, 0), wider)
            rates[key] = wider
        for length in (2, 3):
            for key in (key for key in customers if len(key) == length):
                rates[key] = _drawn(buyers[key], customers[key], rates[key[:-1]])
        return rates

    def to_dict(self) -> dict[str, Any]:
        """The rates as JSON-able data."""
        return {
            "horizon_days": self.horizon_days,
            "history_days": self.history_days,
            "cycle_days": self.cycle_days,
            "counts": [list(row) for row in self.counts],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PurchaseRates":
        """The rates from what `to_dict` gives."""
        counts = (
            (int(s), int(p), int(o), int(customers), int(buyers)) for s, p, o, customers, buyers in data["counts"]
        )
        cycle = data["cycle_days"]
        return cls(
            int(data["horizon_days"]),
            int(data["history_days"]),
            None if cycle is None else float(cycle),
            tuple(sorted(counts)),
        )


@dataclass(frozen=True)
class Evidence:
    """What the customers of a segment show of their activity.

    customers: how many they are.
    purchase_days, overall_purchase_days: mean number of days with a purchase, here and of all customers.
    one_time: share with a single day with a purchase.
    overdue: share whose last purchase is longer ago than their own mean gap, or the shop's cycle for one-time buyers.
    new: share whose first purchase is at most `PurchaseRates.new_days` ago; 0 where that can't be told.
    buys_again, overall: expected share with a purchase within the horizon, here and of all customers; None if unknown.
    error: standard error of the share that will be seen.
    horizon_days: the horizon.
    """

    segment_id: int
    customers: int
    purchase_days: float = 1.0
    overall_purchase_days: float = 1.0
    one_time: float = 0.0
    overdue: float = 0.0
    new: float = 0.0
    buys_again: float | None = None
    overall: float | None = None
    error: float = 0.0
    horizon_days: int = field(default=90, kw_only=True)

    @property
    def activity(self) -> Activity:
        """The word for it; mixed where the evidence is for neither side, or there is none."""
        # Where nobody bought, no segment is worse than others.
        if self.buys_again is not None and self.overall:
            upper = self.buys_again + STANDARD_ERRORS * self.error
            lower = self.buys_again - STANDARD_ERRORS * self.error
            if self.overdue > MOST:
                for word in _INACTIVE:
                    limit, upper_limit = MAX_SHARE[word] * self.overall, MAX_UPPER[word] * self.overall
                    if self.buys_again <= limit and upper <= upper_limit:
                        return word
            elif self.new <= MOST and lower > 0 and _odds(lower) >= MIN_ODDS * _odds(self.overall):
                return "active"
        return "new" if self.new > MOST else "mixed"


def purchase_rates(days: DataFrame, features: DataFrame, *, as_of: date, horizon_days: int) -> PurchaseRates:
    """The rates of a shop up to a date. Runs two aggregations.

    Args:
        days: customer_id and day, one row for each day on which a customer made a purchase; later days do not enter.
        features: the customers at the date, with recency_days, active_days and tenure_days.
        as_of: the date.
        horizon_days: days ahead; at most half of the shop's history is used.
    """
    gap = _mean_gap(F.col(c.RECENCY_DAYS), F.col("active_days"), F.col("tenure_days"))
    row = features.agg(F.max("tenure_days"), F.percentile(gap, 0.5)).first()
    assert row is not None, "an aggregation without grouping has one row"
    history, cycle = int(row[0] or 0), None if row[1] is None else float(f"{row[1]:.6g}")
    horizon = min(horizon_days, history // 2)
    if horizon < MIN_HORIZON:
        return PurchaseRates(horizon, history, cycle)
    starts = [as_of - timedelta(horizon)]
    if horizon < YEAR and history - YEAR >= horizon:
        starts.append(as_of - timedelta(YEAR))
    return PurchaseRates(horizon, history, cycle, _counts(days, starts, horizon=horizon))


def segment_evidence(assigned: DataFrame, rates: PurchaseRates) -> list[Evidence]:
    """The evidence on every segment of today's customers. Runs one aggregation.

    Args:
        assigned: customers with segment_id, recency_days, active_days and tenure_days; those who lack one of these
            show nothing, and of a segment of such customers alone there is no evidence.
        rates: of the same shop.
    """
    recency, purchases, tenure = F.col(c.RECENCY_DAYS), F.col("active_days"), F.col("tenure_days")
    gap = F.coalesce(_mean_gap(recency, purchases, tenure), F.lit(rates.cycle_days).cast("double"))
    is_new = F.lit(False) if rates.new_days is None else tenure <= rates.new_days
    rows = (
        assigned.where(recency.isNotNull() & purchases.isNotNull() & tenure.isNotNull())
        .groupBy(c.SEGMENT_ID, *_state(recency, purchases, tenure))
        .agg(
            F.count(F.lit(1)).alias("customers"),
            F.sum(purchases).alias("purchase_days"),
            F.count_if(recency > gap).alias("overdue_customers"),
            F.count_if(is_new).alias("new_customers"),
        )
        .collect()
    )
    return evidence_of([row.asDict() for row in rows], rates)


def evidence_of(rows: Sequence[Mapping[str, Any]], rates: PurchaseRates) -> list[Evidence]:
    """The evidence on segments from counts by segment and state, ordered by segment_id.

    Args:
        rows: segment_id, silence, purchases, overdue (classes of the state), customers, purchase_days (their sum),
            overdue_customers, new_customers.
        rates: of the same shop.

    The error is that of two samples: the customers of today who will or won't buy, and as many of then, of whom the
    rates are.
    """
    if not rows:
        return []
    rows = sorted(rows, key=lambda row: (row[c.SEGMENT_ID], row["silence"], row["purchases"], row["overdue"]))
    names = (c.SEGMENT_ID, "customers", "purchase_days", "overdue_customers", "new_customers", "purchases")
    segment, customers, days, overdue, new, purchases = (np.array([float(row[name]) for row in rows]) for name in names)
    known = rates.is_known
    rate = np.array([rates.rate(row["silence"], row["purchases"], row["overdue"]) for row in rows]) if known else None
    everybody = customers.sum()
    evidence = []
    for segment_id in np.unique(segment):
        here = segment == segment_id
        count = customers[here].sum()
        buys_again = overall = None
        error = 0.0
        if rate is not None:
            buys_again, overall = _mean(rate[here], customers[here]), _mean(rate, customers)
            error = float(np.sqrt(2 * (customers * rate * (1 - rate))[here].sum()) / count)
        evidence.append(
            Evidence(
                segment_id=int(segment_id),
                customers=int(count),
                purchase_days=float(days[here].sum() / count),
                overall_purchase_days=float(days.sum() / everybody),
                one_time=float(customers[here & (purchases == 0)].sum() / count),
                overdue=float(overdue[here].sum() / count),
                new=float(new[here].sum() / count),
                buys_again=buys_again,
                overall=overall,
                error=error,
                horizon_days=rates.horizon_days,
            )
        )
    return evidence


def _counts(days: DataFrame, starts: Sequence[date], *, horizon: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """Customers by their state at the starts, and how many of them bought in the horizon after; all starts together."""
    day = F.col(DAY)
    looks = {
        start: (F.when(day < F.lit(start), day), F.lit(start), F.lit(start + timedelta(horizon))) for start in starts
    }
    sums = [
        F.struct(
            F.date_diff(start, F.max(before)).alias("recency"),
            F.count(before).alias("purchases"),
            F.date_diff(start, F.min(before)).alias("tenure"),
            F.coalesce(F.max((day >= start) & (day < end)), F.lit(False)).alias("bought"),
        ).alias(f"look_{number}")
        for number, (before, start, end) in enumerate(looks.values())
    ]
    customers = days.groupBy(c.CUSTOMER_ID).agg(*sums)
    then = customers.select(F.inline(F.array(*(f"look_{number}" for number in range(len(sums)))))).where(
        "purchases > 0"
    )
    state = _state(F.col("recency"), F.col("purchases"), F.col("tenure"))
    counted = then.select(*state, "bought").groupBy("silence", "purchases", "overdue")
    rows = counted.agg(F.count(F.lit(1)), F.count_if("bought")).collect()
    return tuple(sorted((row[0], row[1], row[2], row[3], row[4]) for row in rows))


def _state(recency: Column, purchases: Column, tenure: Column) -> list[Column]:
    """The classes of a customer's state: silence, purchases and overdue."""
    ratio = F.try_divide(recency.cast("double"), _mean_gap(recency, purchases, tenure))
    return [
        _cuts_below(recency, SILENCE_CUTS).alias("silence"),
        _cuts_below(purchases, PURCHASE_CUTS).alias("purchases"),
        F.when(purchases > 1, 1 + _cuts_below(ratio, OVERDUE_CUTS)).otherwise(0).alias("overdue"),
    ]


def _mean_gap(recency: Column, purchases: Column, tenure: Column) -> Column:
    """Mean days between days with a purchase; null for a customer with one."""
    return F.when(purchases > 1, (tenure - recency).cast("double") / (purchases - 1))


def _cuts_below(value: Column, cuts: Sequence[float]) -> Column:
    return sum((F.when(value > cut, 1).otherwise(0) for cut in cuts), F.lit(0))


def _drawn(buyers: int, customers: int, wider: float) -> float:
    return (buyers + PRIOR_CUSTOMERS * wider) / (customers + PRIOR_CUSTOMERS)


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / weights.sum())


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else float("inf")
