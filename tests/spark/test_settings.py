"""Settings of a session, read and changed for a block."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.spark.settings import at_most, setting
from customer_segmentation.spark.shuffling import at_most_partitions

PARTITIONS = "spark.sql.shuffle.partitions"


@pytest.fixture
def as_they_come(spark: SparkSession) -> Iterator[SparkSession]:
    """The session with the number of partitions that Spark has where nobody sets one."""
    before = spark.conf.get(PARTITIONS)
    spark.conf.unset(PARTITIONS)
    yield spark
    spark.conf.set(PARTITIONS, before)


def test_partitions_that_nobody_set_are_as_before_after_a_block_with_fewer(as_they_come: SparkSession) -> None:
    usual = as_they_come.conf.get(PARTITIONS)
    assert usual is not None
    assert int(usual) > 1

    with at_most_partitions(as_they_come, 1):
        assert as_they_come.conf.get(PARTITIONS) == "1"

    assert as_they_come.conf.get(PARTITIONS) == usual
    with at_most_partitions(as_they_come, int(usual) + 1):
        assert as_they_come.conf.get(PARTITIONS) == usual


def test_a_setting_that_is_not_known_has_no_value_and_one_that_can_not_be_set_stays(spark: SparkSession) -> None:
    assert setting(spark, "spark.sql.no.such.setting") is None
    assert setting(spark, "spark.sql.no.such.setting", "7") == "7"
    with at_most(spark, "spark.sql.warehouse.dir", 1):  # a static one
        assert setting(spark, "spark.sql.warehouse.dir") != "1"
