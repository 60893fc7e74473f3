"""The warehouse, by itself."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from delta import DeltaTable
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Tables
from customer_segmentation.contract import tables as t
from customer_segmentation.storage import Warehouse

SCHEMA = "storage_of_tests"
PUBLICATION = {"run_id": "20240310-0", "command": "run", "published_at": datetime.now(UTC)}


def test_the_version_of_a_table_is_that_of_its_newest_commit(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, Tables(root=str(tmp_path)))
    for version in range(3):
        warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
        assert warehouse.version(t.PUBLICATIONS) == version
    warehouse.set_properties(t.PUBLICATIONS, {"delta.checkpointInterval": "1"})
    warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
    warehouse.forget_log(t.PUBLICATIONS)

    newest = DeltaTable.forPath(spark, warehouse.location(t.PUBLICATIONS)).history(1).first()
    assert newest is not None
    assert len(list((tmp_path / t.PUBLICATIONS.name / "_delta_log").glob("*.json"))) == 1, "the log begins anew"
    assert warehouse.version(t.PUBLICATIONS) == newest["version"] == 4


@pytest.mark.parametrize("is_named", [False, True], ids=["by path", "by name"])
def test_files_of_tables_are_told_from_those_of_sources(spark: SparkSession, tmp_path: Path, is_named: bool) -> None:
    warehouse = Warehouse(spark, Tables(root=None, schema=SCHEMA) if is_named else Tables(root=f"{tmp_path}/a/../lake"))
    warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
    [file] = warehouse.read(t.PUBLICATIONS).inputFiles()

    assert warehouse.has_file(file)
    assert not warehouse.has_file(f"file://{tmp_path}/orders/part-0.parquet")

    if is_named:
        spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")
