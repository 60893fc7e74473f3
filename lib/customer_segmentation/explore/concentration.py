"""Concentration of revenue: Lorenz curve, Gini coefficient, share of the top customers.

A customer who brought back more than was bought counts as one who spent nothing, so that shares lie between 0 and 1.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, pairwise

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.explore.buckets import Group

TOPS = (0.01, 0.05, 0.10, 0.20)
_DIGITS = 3
"""Customers whose spend is equal in its first digits, this many, count as equal; it is exact in what they add up to."""
_POINTS = 100


@dataclass(frozen=True)
class Top(Group):
    """The customers who spend most, such as `top 5%`, rounded up to whole ones; part is their share of all spend."""

    part: float = 0.0


@dataclass(frozen=True)
class Concentration:
    """How spend is spread over customers.

    gini: 0 when all spend the same, towards 1 when one spends all; None where nobody spends.
    lorenz: points (share of customers, share of spend), smallest spenders first, from (0, 0) to (1, 1).
    """

    customers: int
    spend: Decimal
    gini: float | None
    tops: list[Top]
    lorenz: list[tuple[float, float]]


def spend_group(spend: Column) -> Column:
    """The first digits and the size of an amount: customers who share it count as equal."""
    size = F.floor(F.log10(F.abs(spend).cast("double")))
    digits = F.floor(F.abs(spend).cast("double") / F.pow(F.lit(10.0), size - _DIGITS + 1))
    return F.when(spend <= 0, F.lit("0")).otherwise(F.concat_ws("e", digits.cast("string"), size.cast("string")))


def concentration(groups: list[Group]) -> Concentration:
    """How spend is spread, from customers counted and summed by `spend_group`."""
    parts = sorted(
        ((group.count, max(group.amount or Decimal(0), Decimal(0))) for group in groups),
        key=lambda part: part[1] / part[0],
    )
    people = [0, *accumulate(count for count, _ in parts)]
    amounts = [Decimal(0), *accumulate(amount for _, amount in parts)]
    customers, spend = people[-1], amounts[-1]
    if not spend:
        return Concentration(customers, spend, None, [], [])

    def spend_of_smallest(count: int | float) -> Decimal:
        """Spend of so many customers, smallest spenders first; within a group all spend the same."""
        place = max(bisect_left(people, count), 1)
        into = Decimal(count - people[place - 1]) / parts[place - 1][0]
        return amounts[place - 1] + into * parts[place - 1][1]

    area = sum(
        float(count * (lower + upper) / (customers * spend))
        for (count, _), (lower, upper) in zip(parts, pairwise(amounts), strict=True)
    )
    tops = []
    for part in TOPS:
        count = math.ceil(round(part * customers, 9))
        amount = (spend - spend_of_smallest(customers - count)).quantize(Decimal("0.01"))
        tops.append(Top(f"top {part:.0%}", count, amount, part=float(amount / spend)))
    shares = [step / _POINTS for step in range(_POINTS + 1)]
    points = [(share, float(spend_of_smallest(customers * share) / spend)) for share in shares]
    return Concentration(customers, spend, max(0.0, 1 - area), tops, points)
