"""Rows that are kept in tables where Spark keeps none."""

import threading
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Tables
from customer_segmentation.scratch import NAME, ScratchTables, scratch_tables
from customer_segmentation.storage import Warehouse
from tests.file_systems import default_file_system

SCHEMA = "scratch_of_tests"


@pytest.fixture(params=["by path", "by name"])
def warehouse(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Warehouse:
    by_name = request.param == "by name"
    return Warehouse(spark, Tables(root=None, schema=SCHEMA) if by_name else Tables(root=str(tmp_path)))


def left(warehouse: Warehouse) -> list[str]:
    """The names of the scratch tables that are there."""
    if not warehouse.is_named:
        return sorted(path.name for path in Path(warehouse.home).glob(f"{NAME}*"))
    warehouse.make_schema()
    return sorted(row.tableName for row in warehouse.spark.sql(f"SHOW TABLES IN {SCHEMA} LIKE '{NAME}*'").collect())


def test_rows_are_kept_as_they_are_under_any_names(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = spark.sql("SELECT 1 AS `a b`, named_struct('Customer ID', 'x', 'n;', array(1, NULL)) AS line, 2 AS `a b`")
    scratch = ScratchTables(warehouse)

    with scratch.kept(rows) as kept:
        assert kept.columns == rows.columns
        assert kept.collect() == rows.collect()
        assert len(left(warehouse)) == 1
        lasting = scratch.keep(rows.limit(0))

    assert len(left(warehouse)) == 1
    assert lasting.count() == 0
    scratch.remove_all()
    assert left(warehouse) == []


def test_what_a_killed_command_left_is_removed_by_the_next(spark: SparkSession, warehouse: Warehouse) -> None:
    ScratchTables(warehouse).keep(spark.range(3).toDF("n"))
    assert len(left(warehouse)) == 1

    with scratch_tables(warehouse):
        assert left(warehouse) == []


@pytest.mark.classic("sets the session's file system")
def test_what_a_killed_command_left_in_another_file_system_is_emptied_by_the_next(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "40000")  # as `spark-submit` sets it
    root, files = tmp_path / "shop", tmp_path / "files-of-scratch"
    root.mkdir()  # by accident: no tables are in it
    warehouse = Warehouse(spark, Tables(root=str(root)))

    with default_file_system(spark, path=root, files=files):
        killed = ScratchTables(warehouse)
        for number in range(2):
            killed.keep(spark.range(number + 3).toDF("n"))
        with scratch_tables(warehouse):
            rows = [spark.read.parquet(warehouse.place(f"{NAME}{number}")).count() for number in range(2)]

    assert rows == [0, 0]
    assert not list(root.iterdir())


def test_a_block_that_fails_leaves_nothing_and_its_own_error(spark: SparkSession, warehouse: Warehouse) -> None:
    scratch = ScratchTables(warehouse)
    with pytest.raises(ZeroDivisionError), scratch.kept(spark.range(1).toDF("n")):
        _ = 1 / 0

    assert left(warehouse) == []


def test_several_threads_keep_rows_of_their_own(spark: SparkSession, tmp_path: Path) -> None:
    scratch, found = ScratchTables(Warehouse(spark, Tables(root=str(tmp_path)))), dict[int, int]()

    def keep(number: int) -> None:
        found[number] = scratch.keep(spark.range(number).toDF("n")).count()

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {number: number for number in range(1, 5)}
    scratch.remove_all()
    assert not list(tmp_path.iterdir())
