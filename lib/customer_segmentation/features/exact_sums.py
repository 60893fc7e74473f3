"""Sums that are exact, whatever their size, so that they do not depend on the order in which rows are added."""

from pyspark.sql import Column
from pyspark.sql import functions as F

_LOW_BITS = 24
"""Leaves the sum of the upper part room for 16 million rows of the largest bigint, that of the lower for 5 * 10^11."""

_DOUBLE_LOW_BITS = 48
"""Leaves the sum of the lower part room for 65,000 rows, that of the upper for 2^53 times the largest lower part."""


def large_sum(name: str) -> Column:
    """The sum of whole numbers as a double, over so many rows that a bigint may not hold it.

    Summed in two parts, each exact.
    """
    high, low = large_parts(name)
    return of_large_parts(F.sum(high), F.sum(low))


def large_parts(name: str) -> tuple[Column, Column]:
    """The upper and the lower part of a whole number, to be summed each by itself."""
    return F.shiftright(name, _LOW_BITS), F.col(name).bitwiseAND(F.lit((1 << _LOW_BITS) - 1))


def of_large_parts(high: Column, low: Column) -> Column:
    """The double of two parts, or of their sums."""
    return high.cast("double") * F.lit(float(1 << _LOW_BITS)) + low.cast("double")


def exact_sum(value: Column, *, binary_digits: int = 0) -> Column:
    """The sum of doubles, each rounded to so many digits after the binary point; null where there are none.

    Summed in two parts, each exact: the upper one in doubles of few digits, the lower one in whole numbers.
    """
    scale, unit = F.lit(2.0**binary_digits), F.lit(2.0 ** (_DOUBLE_LOW_BITS - binary_digits))
    high = F.rint(value / unit) * unit
    return F.sum(high) + F.sum(F.rint((value - high) * scale).cast("bigint")).cast("double") / scale
