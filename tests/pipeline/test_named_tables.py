"""Tables by name in a schema, as in Unity Catalog, hold what tables by path do after the same commands."""

import io
import random
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import (
    Run,
    backtest_segments,
    erase_customers,
    maintain,
    roll_back,
    verify_tables,
    write_report,
)
from tests.csv_lines import COLUMNS, SHEET, Line, seeded
from tests.generated import quiet
from tests.pipeline.test_runs import AS_OF, orders

pytestmark = [pytest.mark.slow, pytest.mark.long]

SOURCE, SCHEMA = "shop_of_names.orders", "segments_of_names"
COMPARED = [
    t.TRANSACTIONS,
    t.REJECTED_TRANSACTIONS,
    t.CUSTOMER_HISTORY,
    t.CUSTOMER_FEATURES,
    t.CUSTOMER_SEGMENTS,
    t.CUSTOMER_SEGMENTS_HISTORY,
    t.SEGMENT_PROFILES,
    t.SEGMENT_TRANSITIONS,
    t.BACKTESTS,
]
OTHERWISE_NAMED = {"batch_id", "ingested_at", "tested_at", "source_file", "run_id", "made_from", "published_at"}


class Shop:
    """The tables of one configuration of the shop."""

    def __init__(self, spark: SparkSession, folder: Path, tables: dict[str, str | None]) -> None:
        self.spark = spark
        self.settings = {
            "as_of": AS_OF.isoformat(),
            "sources": {"transactions": {"format": "delta", "table": SOURCE, "columns": COLUMNS}},
            "checks": {"max_rejected_share": 1.0},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
            "backtest": {"horizons": [14], "folds": 1, "bootstraps": 20, "learned": False},
            "report": {"path": str(folder / "report.html")},
            "tables": tables,
        }

    def run(self) -> Run:
        return quiet(self.spark, Config.model_validate(self.settings))

    def rows(self, table: t.Table) -> list[str]:
        frame: pd.DataFrame = self.run().warehouse.read(table).toPandas()
        return sorted(map(str, frame.drop(columns=OTHERWISE_NAMED, errors="ignore").to_dict("records")))


def delivered(spark: SparkSession, lines: Sequence[Line]) -> None:
    columns = ", ".join(f"`{name}` string" for name in SHEET.names)
    spark.createDataFrame(lines, columns).write.format("delta").mode("append").saveAsTable(SOURCE)


def test_named_tables_hold_what_tables_by_path_do_from_a_first_run_to_an_erasure(
    spark: SparkSession, tmp_path: Path
) -> None:
    draw: random.Random = seeded()
    console = Console(file=io.StringIO())
    spark.sql("CREATE SCHEMA shop_of_names")
    named = Shop(spark, tmp_path / "named", {"root": None, "schema": SCHEMA})
    by_path = Shop(spark, tmp_path / "by_path", {"root": str(tmp_path / "tables")})
    delivered(spark, [*orders(0, range(60), draw), SHEET.line(who="C1", no="bad", at="2024-03-01", pieces="many")])

    def same(what: str) -> None:
        for table in COMPARED:
            if by_path.run().warehouse.exists(table):
                assert named.rows(table) == by_path.rows(table), f"{table.name} after {what}"

    for shop in (named, by_path):
        run_pipeline(shop.run(), console)
    same("the first run")
    first = named.run().publication.current_run_id()
    delivered(spark, [*orders(1000, range(60, 66), draw), SHEET.line(who="C2", no="new", at="2024-03-09", pieces="2")])
    for shop in (named, by_path):
        run_pipeline(shop.run(), console)
    same("the next day")
    assert named.run().publication.current_run_id() != first
    assert len(verify_tables(named.run())) == len(verify_tables(by_path.run()))

    for shop in (named, by_path):
        assert roll_back(shop.run()) == first
        write_report(shop.run(), console)
        backtest_segments(shop.run(), console)
    same("a rollback and a backtest")
    removed = []
    for shop in (named, by_path):
        removed.append(erase_customers(shop.run(), ["C7", "C61"]).rows_removed)
        run_pipeline(shop.run(), console)
        maintain(shop.run())
    assert removed[0] == removed[1]
    same("an erasure, a run and maintenance")
    assert not any("'C7'" in row for row in named.rows(t.CUSTOMER_SEGMENTS_HISTORY))
    verify_tables(named.run())  # raises where it finds something
    assert {row.tableName for row in spark.sql(f"SHOW TABLES IN {SCHEMA}").collect()} >= {x.name for x in COMPARED}
