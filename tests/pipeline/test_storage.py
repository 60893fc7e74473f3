"""The warehouse, by itself."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config, Tables
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.stages.leftovers import forget_log, remove_leftovers
from customer_segmentation.storage import Warehouse, local_root
from tests.generated import quiet

SCHEMA = "storage_of_tests"
PUBLICATION = {"run_id": "20240310-0", "command": "run", "published_at": datetime.now(UTC)}


def test_the_version_of_a_table_is_that_of_its_newest_commit(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, Tables(root=str(tmp_path)))
    for version in range(3):
        warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
        assert warehouse.version(t.PUBLICATIONS) == version
    warehouse.set_properties(t.PUBLICATIONS, {"delta.checkpointInterval": "1"})
    warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
    forget_log(warehouse, t.PUBLICATIONS)

    newest = spark.sql(f"DESCRIBE HISTORY delta.`{warehouse.location(t.PUBLICATIONS)}` LIMIT 1").first()
    assert newest is not None
    assert len(list((tmp_path / t.PUBLICATIONS.name / "_delta_log").glob("*.json"))) == 1, "the log begins anew"
    assert warehouse.version(t.PUBLICATIONS) == newest["version"] == 4


@pytest.mark.parametrize("damage", ["gone", "cut off", "hint is no JSON"])
def test_a_log_is_forgotten_only_where_a_checkpoint_stands_for_it(
    spark: SparkSession, tmp_path: Path, damage: str
) -> None:
    warehouse = Warehouse(spark, Tables(root=str(tmp_path)))
    warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
    warehouse.set_properties(t.PUBLICATIONS, {"delta.checkpointInterval": "1"})
    log = tmp_path / t.PUBLICATIONS.name / "_delta_log"
    (checkpoint,) = log.glob("*.checkpoint.parquet")
    match damage:
        case "gone":
            checkpoint.unlink()
        case "cut off":
            checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
        case _:
            (log / "_last_checkpoint").write_text("no JSON")

    forget_log(warehouse, t.PUBLICATIONS)

    left = sorted(int(path.stem) for path in log.glob("*.json"))
    assert left == ([1] if damage == "hint is no JSON" else [0, 1])


@pytest.mark.slow
def test_a_log_keeps_the_commits_that_are_asked_for_and_the_checkpoint_before_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    warehouse = Warehouse(spark, Tables(root=str(tmp_path)))
    warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
    warehouse.set_properties(t.PUBLICATIONS, {"delta.checkpointInterval": "2"})
    for _ in range(4):
        warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])
    log = tmp_path / t.PUBLICATIONS.name / "_delta_log"

    forget_log(warehouse, t.PUBLICATIONS, needed_from=1)
    assert [int(path.stem) for path in sorted(log.glob("*.json"))] == [0, 1, 2, 3, 4, 5], "no checkpoint is that old"

    forget_log(warehouse, t.PUBLICATIONS, needed_from=3)
    assert [int(path.stem) for path in sorted(log.glob("*.json"))] == [2, 3, 4, 5]
    assert warehouse.operations_since(t.PUBLICATIONS, 3) == ["WRITE", "WRITE"]
    assert warehouse.read(t.PUBLICATIONS).count() == 5


@pytest.mark.slow
def test_rows_of_a_named_table_are_replaced_also_after_its_properties_changed(spark: SparkSession) -> None:
    warehouse = Warehouse(spark, Tables(root=None, schema=SCHEMA))

    def replace(run_id: str, *customers: str) -> None:
        common = {"segment_id": 1, "run_id": run_id, "as_of_date": date(2024, 3, 10)}
        rows = [{"customer_id": customer, **common} for customer in customers]
        warehouse.replace_rows(t.CUSTOMER_SEGMENTS_HISTORY, rows, column="run_id", value=run_id)

    replace("one", "a", "b")
    warehouse.set_properties(t.CUSTOMER_SEGMENTS_HISTORY, {"delta.checkpointInterval": "1"})
    replace("two", "c")
    replace("one", "d")

    rows = warehouse.read(t.CUSTOMER_SEGMENTS_HISTORY).orderBy("run_id").select("run_id", "customer_id").collect()
    assert [tuple(row) for row in rows] == [("one", "d"), ("two", "c")]
    spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.mark.classic("a server has folders of its own")
def test_what_a_first_write_left_is_removed_and_what_somebody_else_keeps_there_is_not(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = quiet(spark, Config.model_validate({"tables": {"root": str(tmp_path)}}))
    for name in ("returns/part-00000-x.snappy.parquet", "returns/.part-00000-x.snappy.parquet.crc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "customers").mkdir()
    (tmp_path / "customers" / "all.csv").touch()
    (tmp_path / "customers" / "part-00000.csv").touch()

    remove_leftovers(run)

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "customers/all.csv",
        "customers/part-00000.csv",
    ]


@pytest.mark.parametrize(
    ("key", "section", "root"),
    [
        ("sources.transactions", {"path": "/data/shop/customers/all.csv"}, "/data/shop/"),
        ("sources.transactions", {"path": "in", "joins": [{"path": "file:/t/returns", "using": ["a"]}]}, "file:///t"),
        ("sources.transactions", {"path": "s3://b/t/returns/x"}, "s3://b/t"),
        ("generate", {"path": "tables/engagement"}, "tables"),
    ],
)
def test_what_is_read_or_generated_is_not_in_the_folder_of_a_table(
    spark: SparkSession, key: str, section: dict[str, Any], root: str
) -> None:
    columns = {"customer_id": "who", "order_id": "no", "ordered_at": "at", "amount": "pay"}
    source = {"path": "in", "columns": columns} | (section if key != "generate" else {})
    settings = {"sources": {"transactions": source}, "tables": {"root": root}}
    settings |= {"generate": section} if key == "generate" else {}

    with pytest.raises(ConfigurationError, match=f"{key}: the path .* lies where the table .* is written"):
        quiet(spark, Config.model_validate(settings))


@pytest.mark.classic("a server has folders of its own")
@pytest.mark.parametrize("scheme", ["file:", "file://"])
def test_a_root_with_the_scheme_of_files_is_a_folder_of_this_machine(
    spark: SparkSession, tmp_path: Path, scheme: str
) -> None:
    tables = Tables(root=f"{scheme}{tmp_path}/with a space")
    warehouse = Warehouse(spark, tables)

    warehouse.append_rows(t.PUBLICATIONS, [PUBLICATION])

    assert local_root(tables) == warehouse.folder == tmp_path / "with a space"
    assert warehouse.log_folder(t.PUBLICATIONS) == tmp_path / "with a space" / "publications" / "_delta_log"
    assert warehouse.version(t.PUBLICATIONS) == warehouse.read(t.PUBLICATIONS).count() - 1 == 0
