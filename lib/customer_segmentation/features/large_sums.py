"""Sums over so many customers that a whole number of 64 bits may not hold them."""

from pyspark.sql import Column
from pyspark.sql import functions as F

_LOW_BITS = 24
"""Leaves the sum of the upper part room for 16 million rows of the largest bigint, that of the lower for 5 * 10^11."""


def large_sum(name: str) -> Column:
    """The sum of whole numbers as a double, over so many rows that a bigint may not hold it.

    Summed in two parts, each exact, so that it does not depend on the order of the rows.
    """
    high, low = F.shiftright(name, _LOW_BITS), F.col(name).bitwiseAND(F.lit((1 << _LOW_BITS) - 1))
    return F.sum(high).cast("double") * F.lit(float(1 << _LOW_BITS)) + F.sum(low).cast("double")
