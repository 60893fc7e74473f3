"""Settings of a session, read and changed for a block."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.spark.code_generation import FEW_BYTES, code_made_for
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


def test_queries_over_few_bytes_are_interpreted_and_those_after_them_are_not(spark: SparkSession) -> None:
    compiled = spark.range(3).selectExpr("id + 1 AS next").where("next > 1")
    usual = setting(spark, "spark.sql.codegen.wholeStage"), setting(spark, "spark.sql.codegen.factoryMode")

    with code_made_for(spark, FEW_BYTES):
        assert setting(spark, "spark.sql.codegen.wholeStage") == "false"
        assert setting(spark, "spark.sql.codegen.factoryMode") == "NO_CODEGEN"
        interpreted = spark.range(3).selectExpr("id + 1 AS next").where("next > 1").collect()

    for size in (None, FEW_BYTES + 1):
        with code_made_for(spark, size):
            assert (
                setting(spark, "spark.sql.codegen.wholeStage"),
                setting(spark, "spark.sql.codegen.factoryMode"),
            ) == usual
    assert interpreted == compiled.collect()
