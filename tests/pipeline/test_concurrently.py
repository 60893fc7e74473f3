"""Actions started together, and what is spread over several tasks."""

import threading
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.spark.concurrently import at_once, started
from customer_segmentation.spark.shuffling import spread
from customer_segmentation.stages.builds import COMMITTED, builds_of, record_build
from tests.csv_lines import COLUMNS
from tests.generated import quiet


def test_results_come_in_the_order_of_the_actions_whichever_ends_first() -> None:
    second_is_done = threading.Event()

    def first() -> str:
        assert second_is_done.wait(30), "both are at work at the same time"
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    assert at_once(first, second) == ["first", "second"]
    assert at_once() == []


def test_a_result_is_waited_for_where_it_is_asked_for_and_an_error_raised_there() -> None:
    may_go_on, ended = threading.Event(), []

    def wait() -> None:
        assert may_go_on.wait(30)
        ended.append("waited")

    def fail() -> None:
        raise ValueError("no")

    with started(wait, fail, lambda: "ready") as (waited, failed, ready):
        assert (ready(), ended) == ("ready", [])
        with pytest.raises(ValueError, match="no"):
            failed()
        may_go_on.set()
    assert ended == ["waited"], "the block's end waits for all"
    assert waited() is None


def test_an_error_is_raised_when_all_actions_have_ended() -> None:
    failed, ended = threading.Event(), []

    def fail() -> None:
        failed.set()
        raise ValueError("no")

    def go_on() -> None:
        assert failed.wait(30)
        ended.append("went on")

    with pytest.raises(ValueError, match="no"):
        at_once(fail, go_on)
    assert ended == ["went on"]


def test_actions_on_spark_see_the_same_session(spark: SparkSession) -> None:
    counts = at_once(*(spark.range(number).count for number in range(6)))
    assert counts == list(range(6))


def test_steps_of_several_tables_are_recorded_at_once_before_there_is_a_record(
    spark: SparkSession, tmp_path: Path
) -> None:
    sources = {"transactions": {"format": "csv", "path": str(tmp_path / "in"), "columns": COLUMNS}}
    run = quiet(spark, Config.model_validate({"sources": sources, "tables": {"root": str(tmp_path / "tables")}}))
    tables = [t.RETURNS, t.CUSTOMERS, t.ENGAGEMENT]

    at_once(*(partial(record_build, run, table, COMMITTED, {"batch": place}) for place, table in enumerate(tables)))

    kept = run.warehouse.read(t.TABLE_BUILDS).select("table_name", "made_from").collect()
    assert sorted(map(tuple, kept)) == sorted((table.name, f'{{"batch": {i}}}') for i, table in enumerate(tables))
    assert [build.is_on_record for build in builds_of(run.warehouse, *tables)] == [True] * 3


def test_rows_of_one_columnar_file_are_spread_and_stay_the_same(spark: SparkSession) -> None:
    frame = spark.range(1000).select("id", F.when(F.col("id") % 3 > 0, F.col("id").cast("string")).alias("a b"))
    megabyte = 2**20
    parted = spread(frame, "parquet", [4 * megabyte])
    assert parted.select(F.spark_partition_id()).distinct().count() == 2
    assert sorted(parted.collect(), key=lambda row: row[0]) == frame.collect()
    for file_format, sizes in (("csv", [99 * megabyte]), ("parquet", [megabyte]), ("parquet", [9 * megabyte] * 2)):
        assert spread(frame, file_format, sizes) is frame
