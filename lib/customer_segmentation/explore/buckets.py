"""Buckets of a histogram: round edges that fit the spread of the values, even or logarithmic."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.display.chart_data import Columns
from customer_segmentation.display.formatting import plain_number, short_number
from customer_segmentation.preparation import sql

MIN_SKEW = 6
"""The scale is logarithmic where the 99th percentile is more than this many times the median;
an exponential distribution has 6.6 times."""
_TARGET_BUCKETS = 24
"""Even buckets between the 1st and the 99th percentile; a few more or less, to have round edges."""
_MAX_LOGARITHMIC_BUCKETS = 32
_FINE = tuple(map(Decimal, ("1", "1.5", "2", "3", "5", "7")))
_COARSE = tuple(map(Decimal, ("1", "2", "5")))
_ROUND_STEPS = tuple(map(Decimal, ("1", "2", "2.5", "5", "10")))
_LARGEST_DECIMAL = Decimal("1e38")
_DOUBLINGS_UNDER_MEDIAN = 100
"""A logarithmic scale over values that reach 0 begins at the median by this."""


@dataclass(frozen=True)
class Group:
    """Rows that share a value, a month or a range of a number.

    label: the value in text; None is a value too.
    amount: the sum over the rows; None where nothing was summed.
    lower, upper: of a range, half-open, None where it is open; both None for others.
    """

    label: str | None
    count: int
    amount: Decimal | None
    lower: Decimal | None = None
    upper: Decimal | None = None


@dataclass(frozen=True)
class Summary:
    """Spread of the known values of a number.

    minimum, maximum: exact, in the number's own type; None where no value is known.
    quantiles: by probability, as approximate as `distributions.ACCURACY` says; None where no value is known.
    """

    known: int
    minimum: int | float | Decimal | None
    maximum: int | float | Decimal | None
    mean: float | None
    quantiles: Mapping[float, float] | None

    @property
    def median(self) -> float | None:
        """The middle value."""
        return self.quantiles[0.5] if self.quantiles else None

    @property
    def nine_in_ten(self) -> tuple[float, float] | None:
        """From where to where they lie."""
        return (self.quantiles[0.05], self.quantiles[0.95]) if self.quantiles else None


def _literal(edge: Decimal) -> str:
    """The edge in SQL, as a double beyond what a decimal holds."""
    return f"{edge:f}" if abs(edge) < _LARGEST_DECIMAL else sql.double(float(edge))


@dataclass(frozen=True)
class Buckets:
    """Half-open buckets: below the first edge, from each edge to under the next, from the last edge up.

    whole: the values are whole numbers, so that a bucket may be labelled by the numbers in it.
    """

    edges: tuple[Decimal, ...]
    whole: bool = False
    logarithmic: bool = False

    def index(self, value: str) -> Column:
        """Number of the bucket, from 0, that a numeric column of this name lies in; null where the column is."""
        name = sql.column(value)
        whens = " ".join(f"when {name} < {_literal(edge)} then {number}" for number, edge in enumerate(self.edges))
        return F.expr(f"case when {name} is null then null {whens} else {len(self.edges)} end")

    def ends(self, number: int) -> tuple[Decimal | None, Decimal | None]:
        """First value of a bucket, and first value above it; None where it is open."""
        lower, upper = (None, *self.edges, None)[number : number + 2]
        return lower, upper

    def label(self, number: int) -> str:
        """A bucket in words: `10 to <15`, `under 10`, `15 or more`; whole numbers as `3` or `3 to 4`."""
        lower, upper = self.ends(number)
        if lower is None:
            return "any" if upper is None else f"under {plain_number(upper)}"
        if upper is None:
            return f"{plain_number(lower)} or more"
        if not self.whole:
            return f"{plain_number(lower)} to <{plain_number(upper)}"
        return plain_number(lower) if upper - lower == 1 else f"{plain_number(lower)} to {plain_number(upper - 1)}"

    def filled(self, groups: list[Group]) -> list[Group]:
        """The buckets with the rows of groups by their number, from the first to the last that has any."""
        by_number = {int(group.label): (group.count, group.amount) for group in groups if group.label is not None}
        return [
            Group(self.label(number), *by_number.get(number, (0, None)), *self.ends(number))
            for number in range(min(by_number, default=0), max(by_number, default=-1) + 1)
        ]


def histogram(buckets: Sequence[Group], title: str = "") -> Columns:
    """The buckets as a chart, with their edges as labels; the title is that of the labels' axis."""
    edges = [*(bucket.lower for bucket in buckets), buckets[-1].upper if buckets else None]
    labels = ["" if edge is None else short_number(edge) for edge in edges]
    return Columns(labels, [float(bucket.count) for bucket in buckets], title, is_histogram=True)


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
    step = _step(low, high, whole=whole)
    first, last = (math.floor(Decimal(repr(end)) / step) for end in (low, high))
    return Buckets(tuple(step * number for number in range(first, last + 2)), whole)


def _step(low: float, high: float, *, whole: bool) -> Decimal:
    if high > low:
        rough = Decimal(repr((high - low) / _TARGET_BUCKETS))
    else:
        rough = Decimal(1) if whole or not high else _power(abs(high))
    power = _power(float(rough))
    step = next(power * factor for factor in _ROUND_STEPS if power * factor >= rough)
    return Decimal(max(1, math.ceil(step))) if whole else step


def _logarithmic(low: float, high: float, *, whole: bool) -> tuple[Decimal, ...]:
    """From the last of the round numbers up to low, to the first above high."""
    edges: list[Decimal] = []
    for mantissas in (_FINE, _COARSE):
        powers = (_power(low) * 10**place for place in range(_power(high).adjusted() - _power(low).adjusted() + 2))
        numbers = [power * mantissa for power in powers for mantissa in mantissas]
        first, beyond = (bisect_right(numbers, end, key=float) for end in (low, high))
        edges = numbers[max(first - 1, 0) : beyond + 1]
        if len(edges) <= _MAX_LOGARITHMIC_BUCKETS:
            break
    return tuple(edge for edge in edges if edge == edge.to_integral_value()) if whole else tuple(edges)


def _power(value: float) -> Decimal:
    """The power of ten at or under a value above 0."""
    return Decimal(10) ** math.floor(math.log10(value))
