"""How many tasks a shuffle feeds."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_PARTITIONS = "spark.sql.shuffle.partitions"


@contextmanager
def at_most_partitions(spark: SparkSession, most: int) -> Iterator[None]:
    """Frames computed in the block are shuffled into at most so many partitions.

    For few rows that much is made of: each task costs as much as many of them.
    """
    usual = str(spark.conf.get(_PARTITIONS))
    if usual.isdecimal() and int(usual) <= most:
        yield
        return
    spark.conf.set(_PARTITIONS, str(most))
    try:
        yield
    finally:
        spark.conf.set(_PARTITIONS, usual)
