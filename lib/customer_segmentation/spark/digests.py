"""A digest of rows, whatever their order."""

from pyspark.sql import Column
from pyspark.sql import functions as F


def digest_of_rows(*columns: Column | str) -> Column:
    """An aggregate that is the same for the same values in the same number of rows; null without rows.

    It is the sum of the rows' xxhash64, as a decimal of 38 digits: 10^19 rows fit.
    """
    return F.sum(F.xxhash64(*columns).cast("decimal(38,0)"))
