"""Fixes where rows lie before a fit: MLlib's result depends on the partitions and the order within them."""

import math

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

ROWS_PER_PARTITION = 250_000


def in_fixed_order(frame: DataFrame, *, rows: int, by: list[str]) -> DataFrame:
    """The same rows in a number of partitions that follows from their count, sorted within them.

    Args:
        rows: how many there are.
        by: columns that distinguish the rows.
    """
    partitions = math.ceil(rows / ROWS_PER_PARTITION)
    return frame.repartition(max(1, partitions), *by).sortWithinPartitions(*by)


def hashed_share(frame: DataFrame, *, share: float, seed: int, by: list[str]) -> DataFrame:
    """About this share of the rows, 0 to 1, the same ones for a seed whatever the partitions. Nothing is sorted."""
    steps = 1 << 30
    step = F.pmod(F.xxhash64(F.lit(seed), *by), F.lit(steps))
    return frame.where(step < F.lit(math.ceil(share * steps)))
