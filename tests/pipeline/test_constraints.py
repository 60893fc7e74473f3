"""Constraints of the tables: what Delta rejects, what the user is told, and what other readers need to know."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.config.schema import Tables
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConstraintViolatedError
from customer_segmentation.storage import Warehouse

DECLARED = t.KNOWN_TABLES
KEY = [t.Column("customer_id", "string", "Customer.", nullable=False), t.Column("run_id", "string", "Run.")]
SHARE = t.Column("confidence", "double", "How sure.", check="confidence BETWEEN 0 AND 1")
ROWS = t.Column("rows_in", "bigint", "Lines.", nullable=False, check="rows_in = a + b")
PARTS = [t.Column(name, "bigint", "Lines.") for name in "ab"]
TABLE = t.Table("checked", "a row", (*KEY, SHARE, ROWS, *PARTS), key=("customer_id",))
GOOD = {"customer_id": "c", "run_id": "r", "confidence": 0.5, "rows_in": 3, "a": 1, "b": 2}
SECRET = "hunter2"


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with the table, and the same one as an earlier release made it, without constraints."""
    root = tmp_path_factory.mktemp("constraints")
    warehouse = Warehouse(spark, Tables(root=str(root)))
    warehouse.append_rows(TABLE, [GOOD])
    columns = tuple(replace(column, nullable=True, check=None) for column in TABLE.columns)
    warehouse.append_rows(replace(TABLE, name="earlier", columns=columns), [GOOD])
    return root


@pytest.fixture
def warehouse(spark: SparkSession, folder: Path) -> Warehouse:
    return Warehouse(spark, Tables(root=str(folder)))


Write = Callable[[Warehouse, list[dict[str, Any]]], None]


def frame_of(warehouse: Warehouse, rows: list[dict[str, Any]]) -> DataFrame:
    ordered = [tuple(row[name] for name in TABLE.column_names) for row in rows]
    return warehouse.spark.createDataFrame(ordered, TABLE.ddl)


def merge(warehouse: Warehouse, rows: list[dict[str, Any]]) -> None:
    deleted = warehouse.spark.createDataFrame([("c",)], "customer_id string")
    warehouse.change(TABLE, deleted=deleted, key=["customer_id"], inserted=frame_of(warehouse, rows))


WRITES: dict[str, Write] = {
    "append": lambda warehouse, rows: warehouse.append_rows(TABLE, rows),
    "replace": lambda warehouse, rows: warehouse.replace_rows(TABLE, rows, column="run_id", value="r"),
    "merge": merge,
    "overwrite": lambda warehouse, rows: warehouse.overwrite(TABLE, frame_of(warehouse, rows)),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("bad", "name"),
    [
        ({"customer_id": None}, "customer_id"),
        ({"confidence": 1.0001}, "confidence"),
        ({"rows_in": 4}, "rows_in"),
    ],
)
def test_a_row_that_violates_a_constraint_is_not_written_and_not_shown(
    warehouse: Warehouse, folder: Path, write: str, bad: dict[str, Any], name: str
) -> None:
    before = DeltaTable(str(folder / "checked")).version()

    with pytest.raises(ConstraintViolatedError) as told:
        WRITES[write](warehouse, [GOOD | {"customer_id": SECRET} | bad])

    assert str(told.value).startswith(
        f"{folder / 'checked'}: a row that was to be written violates the constraint {name}: "
    )
    assert SECRET not in str(told.value)
    assert told.value.__cause__ is None
    assert DeltaTable(str(folder / "checked")).version() == before


def test_what_may_be_missing_may_be_and_an_update_is_verified_too(warehouse: Warehouse) -> None:
    warehouse.append_rows(TABLE, [GOOD | {"customer_id": "d", "confidence": None}])
    with pytest.raises(ConstraintViolatedError, match="violates the constraint confidence: `confidence` IS NULL OR"):
        warehouse.update(TABLE, {"confidence": "-1.0"}, where="customer_id = 'd'")


def test_constraints_outlast_a_table_that_is_overwritten(warehouse: Warehouse, folder: Path) -> None:
    warehouse.overwrite(TABLE, frame_of(warehouse, [GOOD]))

    assert DeltaTable(str(folder / "checked")).metadata().configuration.items() >= TABLE.properties.items()


def test_a_table_of_an_earlier_release_stays_without_constraints(warehouse: Warehouse, folder: Path) -> None:
    table = replace(TABLE, name="earlier")

    warehouse.append_rows(table, [GOOD | {"confidence": 7.0}])

    assert sorted(DeltaTable(str(folder / "earlier")).to_pyarrow_table()["confidence"].to_pylist()) == [0.5, 7.0]


@pytest.mark.slow
def test_a_constraint_that_an_earlier_release_declared_otherwise_is_dropped_and_no_other(
    spark: SparkSession, tmp_path: Path
) -> None:
    warehouse = Warehouse(spark, Tables(root=str(tmp_path)))
    former = replace(ROWS, check="rows_in = a")
    warehouse.append_rows(replace(TABLE, columns=(*KEY, SHARE, former, *PARTS)), [GOOD | {"a": 3}])
    warehouse.spark.sql(f"ALTER TABLE delta.`{tmp_path / 'checked'}` ADD CONSTRAINT own CHECK (a < 9)")

    for name, bad in {"own": {"a": 9, "rows_in": 11}, "confidence": {"confidence": 7.0}}.items():
        with pytest.raises(ConstraintViolatedError, match=f"violates the constraint {name}: "):
            warehouse.append_rows(TABLE, [GOOD | bad])
    warehouse.append_rows(TABLE, [GOOD])

    assert sorted(DeltaTable(str(tmp_path / "checked")).to_pyarrow_table()["a"].to_pylist()) == [1, 3]
    kept = {name for name in DeltaTable(str(tmp_path / "checked")).metadata().configuration if "constraints" in name}
    assert kept == {f"delta.constraints.{name}" for name in ("customer_id", "confidence", "own")}


@pytest.mark.parametrize("name", ["checked", "earlier"])
def test_other_readers_read_a_table_with_constraints(warehouse: Warehouse, folder: Path, name: str) -> None:
    own = sorted(warehouse.read(replace(TABLE, name=name)).collect())
    arrow = DeltaTable(str(folder / name)).to_pyarrow_table()

    assert sorted(tuple(row.values()) for row in arrow.to_pylist()) == [tuple(row) for row in own]
    assert sorted(duckdb.sql("SELECT * FROM arrow").fetchall()) == [tuple(row) for row in own]


def test_no_table_of_a_run_asks_a_reader_for_more_than_the_first_version(generated: Path) -> None:
    of_run = [path.parent for path in (generated / "tables").glob("*/_delta_log")]
    assert len(of_run) > 15
    for path in of_run:
        protocol = DeltaTable(str(path)).protocol()
        assert (path.name, protocol.min_reader_version, protocol.reader_features or []) == (path.name, 1, [])


def test_every_table_of_a_run_has_the_constraints_that_are_declared(generated: Path) -> None:
    declared = {table.name: table.properties for table in DECLARED}
    for log in (generated / "tables").glob("*/_delta_log"):
        entries = [json.loads(line) for line in (log / f"{0:020}.json").read_text().splitlines()]
        (made,) = (entry["metaData"] for entry in entries if "metaData" in entry)
        assert made["configuration"].items() >= declared[log.parent.name].items(), log.parent.name


def test_every_constraint_can_be_evaluated_and_is_false_only_of_a_key_that_is_missing(spark: SparkSession) -> None:
    queries = []
    for table in DECLARED:
        nulls = ", ".join(f"CAST(NULL AS {column.type}) AS `{column.name}`" for column in table.columns)
        queries += [
            f"SELECT '{table.name}.{column.name}' AS name, {column.constraint} AS holds FROM (SELECT {nulls})"
            for column in table.columns
            if column.constraint
        ]

    holds = {row["name"]: row["holds"] for row in spark.sql(" UNION ALL ".join(queries)).collect()}

    nullable = {f"{table.name}.{column.name}": column.nullable for table in DECLARED for column in table.columns}
    assert len(holds) > 40
    assert holds == {name: nullable[name] for name in holds}
