"""Buckets of a histogram: round edges that fit the spread of the values, even or logarithmic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.display.formatting import plain_number
from customer_segmentation.explore.summary import Summary

MIN_SKEW = 6
"""The scale is logarithmic where the 99th percentile is more than this many times the median;
an exponential distribution has 6.6 times."""
_TARGET_BUCKETS = 24
"""Even buckets between the 1st and the 99th percentile; a few more or less, to have round edges."""
_MAX_LOGARITHMIC_BUCKETS = 32
_FINE = tuple(map(Decimal, ("1", "1.5", "2", "3", "5", "7")))
_COARSE = tuple(map(Decimal, ("1", "2", "5")))
_ROUND_STEPS = tuple(map(Decimal, ("1", "2", "2.5", "5", "10")))
_DOUBLINGS_UNDER_MEDIAN = 100
"""A logarithmic scale over values that reach 0 begins at the median by this."""


@dataclass(frozen=True)
class Buckets:
    """Half-open buckets: below the first edge, from each edge to under the next, from the last edge up.

    whole: the values are whole numbers, so that a bucket may be labelled by the numbers in it.
    """

    edges: tuple[Decimal, ...]
    whole: bool = False
    logarithmic: bool = False

    def __len__(self) -> int:
        return len(self.edges) + 1

    def index(self, value: str) -> Column:
        """Number of the bucket, from 0, that a column lies in; null where the column is.

        Args:
            value: name of a numeric column.
        """
        value = f"`{value}`"
        if not self.edges:
            return F.expr(f"if({value} is null, null, 0)")
        whens = " ".join(f"when {value} < {edge:f} then {number}" for number, edge in enumerate(self.edges))
        return F.expr(f"case when {value} is null then null {whens} else {len(self.edges)} end")

    def lower(self, number: int) -> Decimal | None:
        """First value of a bucket; None where it is open below."""
        return self.edges[number - 1] if number > 0 else None

    def upper(self, number: int) -> Decimal | None:
        """First value above a bucket; None where it is open above."""
        return self.edges[number] if number < len(self.edges) else None

    def label(self, number: int) -> str:
        """A bucket in words: `10 to <15`, `under 10`, `15 or more`; whole numbers as `3` or `3 to 4`."""
        lower, upper = self.lower(number), self.upper(number)
        if lower is None:
            return "any" if upper is None else f"under {plain_number(upper)}"
        if upper is None:
            return f"{plain_number(lower)} or more"
        if not self.whole:
            return f"{plain_number(lower)} to <{plain_number(upper)}"
        return plain_number(lower) if upper - lower == 1 else f"{plain_number(lower)} to {plain_number(upper - 1)}"


def fit_buckets(summary: Summary, *, whole: bool = False) -> Buckets:
    """Buckets with round edges for values of this spread: even, or logarithmic for skewed values.

    Args:
        summary: of the values; without any value there is a single bucket.
        whole: the values are whole numbers.
    """
    if not summary.quantiles or summary.minimum is None:
        return Buckets((), whole)
    low, median, high = (summary.quantiles[at] for at in (0.01, 0.5, 0.99))
    if 0 < median < high / MIN_SKEW:
        start = low if low > 0 else min(median, high) / _DOUBLINGS_UNDER_MEDIAN
        edges = _logarithmic(start, high, whole=whole)
        return Buckets((Decimal(0), *edges) if summary.minimum < 0 else edges, whole, logarithmic=True)
    return Buckets(_even(low, high, whole=whole), whole)


def _even(low: float, high: float, *, whole: bool) -> tuple[Decimal, ...]:
    step = _step(low, high, whole=whole)
    first = math.floor(Decimal(repr(low)) / step)
    last = math.floor(Decimal(repr(high)) / step) + 1
    return tuple(step * number for number in range(first, last + 1))


def _step(low: float, high: float, *, whole: bool) -> Decimal:
    if high > low:
        rough = Decimal(repr((high - low) / _TARGET_BUCKETS))
    else:
        rough = Decimal(1) if whole or not high else _power(abs(high))
    power = _power(float(rough))
    step = next(power * factor for factor in _ROUND_STEPS if power * factor >= rough)
    return Decimal(max(1, math.ceil(step))) if whole else step


def _logarithmic(low: float, high: float, *, whole: bool) -> tuple[Decimal, ...]:
    fine = _mantissas(low, high, _FINE)
    edges = fine if len(fine) <= _MAX_LOGARITHMIC_BUCKETS else _mantissas(low, high, _COARSE)
    return tuple(edge for edge in edges if edge == edge.to_integral_value()) if whole else edges


def _mantissas(low: float, high: float, mantissas: Sequence[Decimal]) -> tuple[Decimal, ...]:
    """From the last of the round numbers up to low, to the first above high."""
    power, beyond = _power(low), _power(high) * 10
    numbers = []
    while power <= beyond:
        numbers += [power * mantissa for mantissa in mantissas]
        power *= 10
    inner = [number for number, following in pairwise(numbers) if float(following) > low and float(number) <= high]
    above = next(number for number in numbers if float(number) > high)
    return (*inner, above)


def _power(value: float) -> Decimal:
    """The power of ten at or under a value above 0."""
    return Decimal(10) ** math.floor(math.log10(value))
