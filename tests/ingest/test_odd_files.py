"""Files beside folders, columns of odd names and types, empty days: read whole, in batches, and with look-ups."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import CustomerSource, TransactionSource
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest.batches import as_accepted
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.customers import mapped_customers
from customer_segmentation.ingest.sources import read_source
from customer_segmentation.ingest.transactions import validated_lines
from customer_segmentation.spark.shuffling import spread
from customer_segmentation.stages import Run, ingest_sources
from customer_segmentation.stages.ingest import committed_batch
from tests.ingest.batches import COLUMNS, as_json, assert_as_if_read_anew, order, wrote
from tests.warehouse import read

HEADER = "who,no,at,pay\n"


def source_at(path: Path, format_: str, **more: Any) -> TransactionSource:
    return TransactionSource.model_validate({"format": format_, "path": str(path), "columns": COLUMNS, **more})


def lines_of(spark: SparkSession, source: TransactionSource, *more: str) -> list[tuple[Any, ...]]:
    """Order number, customer and other columns of the accepted lines, by order number."""
    lines = as_accepted(validated_lines(spark, read_source(spark, source), source, CheckSuite()))
    return [tuple(row) for row in lines.select("order_id", "customer_id", *more).orderBy("order_id").collect()]


def line(no: int, *more: str) -> str:
    return ",".join(["C1", str(no), "2024-01-01 10:00:00", "5", *more]) + "\n"


def wrote_parquet(path: Path, *rows: dict[str, Any], schema: pa.Schema | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


# --- files beside folders named column=value ---


def test_files_beside_folders_named_by_a_column_are_read_too(spark: SparkSession, tmp_path: Path) -> None:
    wrote(tmp_path / "2023.csv", HEADER + line(1))
    wrote(tmp_path / "month=01" / "a.csv", HEADER + line(2))
    wrote(tmp_path / "month=02" / "day=7" / "b.csv", HEADER + line(3))
    source = source_at(tmp_path, "csv")

    assert {(row.no, row.month, row.day) for row in read_source(spark, source).collect()} == {
        ("1", None, None),
        ("2", "01", None),
        ("3", "02", "7"),
    }
    assert [row[0] for row in lines_of(spark, source)] == ["1", "2", "3"]


def test_json_beside_folders_has_the_types_that_the_values_of_all_files_show(
    spark: SparkSession, tmp_path: Path
) -> None:
    wrote(tmp_path / "1.json", as_json(order(1, meta=None)))
    wrote(tmp_path / "month=01" / "2.json", as_json(order(2, meta={"channel": "web"})))
    source = source_at(tmp_path, "json", columns={**COLUMNS, "channel": "meta.channel"})

    assert lines_of(spark, source, "channel") == [("1", "C1", None), ("2", "C2", "web")]


def test_folders_below_other_folders_that_match_a_pattern_are_columns(spark: SparkSession, tmp_path: Path) -> None:
    for no, country in enumerate(["at", "de"]):
        wrote(tmp_path / country / "store=007" / "a.csv", HEADER + line(no))
    source = source_at(tmp_path / "*" / "store=*", "csv", columns={**COLUMNS, "store_id": "store"})

    assert lines_of(spark, source, "store_id") == [("0", "C1", "007"), ("1", "C1", "007")]


def test_a_column_that_the_files_have_beside_that_of_their_folder_shifts_no_other(
    spark: SparkSession, tmp_path: Path
) -> None:
    wrote(tmp_path / "no=07" / "a.csv", HEADER + line(1))

    assert lines_of(spark, source_at(tmp_path, "csv")) == [("07", "C1")]


@pytest.mark.classic("the setting is of the session that reads")
@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_the_value_of_a_folder_stays_text_where_a_session_takes_it_for_a_number(
    spark: SparkSession, tmp_path: Path, format_: str
) -> None:
    setting = "spark.sql.sources.partitionColumnTypeInference.enabled"
    if format_ == "csv":
        wrote(tmp_path / "store=007" / "a.csv", HEADER + line(1))
    else:
        wrote_parquet(tmp_path / "store=007" / "a.parquet", order(1))
    source = source_at(tmp_path, format_, columns={**COLUMNS, "store_id": "store"})
    usual = spark.conf.get(setting)
    spark.conf.set(setting, "true")
    try:
        assert lines_of(spark, source, "store_id") == [("1", "C1", "007")]
    finally:
        spark.conf.set(setting, usual)


# --- nested JSON ---


@pytest.mark.slow
def test_a_batch_of_json_may_have_keys_that_are_no_plain_words(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    odd = {"_id": {"$oid": "a"}, "buyer": {"first-name": "Ann", "@type": "b", "sizes": [{"38": 1, "a`b": "x,y"}]}}
    for no in (1, 2):
        wrote(tmp_path / "in" / f"{no}.json", as_json(order(no, **odd)))
        ingest_sources(run_of(format="json"))

    batch = committed_batch(run_of(format="json"))
    assert (batch.mode, batch.counts.accepted) == ("incremental", 2)
    assert_as_if_read_anew(tmp_path, run_of, format="json")


# --- look-ups ---


def with_lookup(path: Path, lookup: Path, **more: Any) -> TransactionSource:
    columns = {**COLUMNS, "product_id": "product_id", "category": "kind"}
    join = {"path": str(lookup), "using": ["product_id"], **more}
    return source_at(path, "csv", columns=columns, joins=[join])


def test_a_text_key_is_looked_up_among_numbers_as_it_is_written(spark: SparkSession, tmp_path: Path) -> None:
    text = "".join(line(no, product) for no, product in enumerate(["7", "007", "POST", ""]))
    wrote(tmp_path / "in.csv", HEADER.replace("\n", ",product_id\n") + text)
    wrote_parquet(tmp_path / "products.parquet", {"product_id": 7, "kind": "tea"}, {"product_id": None, "kind": "?"})
    source = with_lookup(tmp_path / "in.csv", tmp_path / "products.parquet")

    assert lines_of(spark, source, "product_id", "category") == [
        ("0", "C1", "7", "tea"),
        ("1", "C1", "007", None),
        ("2", "C1", "POST", None),
        ("3", "C1", None, None),
    ]


def test_a_look_up_in_other_case_adds_no_column_that_the_source_has(spark: SparkSession, tmp_path: Path) -> None:
    wrote(tmp_path / "in.csv", HEADER.replace("\n", ",product_id,name\n") + line(1, "7", "own"))
    wrote(tmp_path / "products.csv", "Product_ID,Name,KIND\n7,looked up,tea\n")
    source = with_lookup(tmp_path / "in.csv", tmp_path / "products.csv", format="csv")
    source = source.model_copy(update={"columns": source.columns.model_copy(update={"brand": "name"})})

    assert lines_of(spark, source, "product_id", "category", "brand") == [("1", "C1", "7", "tea", "own")]


# --- numbers ---


@pytest.mark.slow
def test_ids_that_no_double_holds_are_the_same_in_a_batch_and_read_anew(
    tmp_path: Path, run_of: Callable[..., Run]
) -> None:
    wrote_parquet(tmp_path / "in" / "1.parquet", order(1, who=2**53 + 1), order(2, who=17850))
    ingest_sources(run_of())
    wrote_parquet(tmp_path / "in" / "2.parquet", order(3, who=17850.0, pay=7), order(4, who=None, pay=8))
    ingest_sources(run_of())

    assert committed_batch(run_of()).mode == "incremental"
    lines = read(tmp_path / "tables", "transactions").sort_values("order_id")
    assert list(lines.customer_id) == [str(2**53 + 1), "17850", "17850"]
    assert [float(amount) for amount in lines.amount] == [5.5, 5.5, 7.0]
    assert_as_if_read_anew(tmp_path, run_of)
    wrote_parquet(tmp_path / "in" / "3.parquet", order(5, who=1.0))
    ingest_sources(run_of(root="anew"))
    assert committed_batch(run_of(root="anew")).mode == "incremental"


# --- columns that do no harm ---


def test_rows_are_spread_by_the_columns_that_have_a_hash(spark: SparkSession) -> None:
    frame = spark.range(4).select(
        "id", F.create_map("id", "id").alias("m"), F.array(F.parse_json(F.lit("1"))).alias("v"), F.lit("x").alias("a`b")
    )

    assert spread(frame, "parquet", [100 * 2**20]).count() == 4
    assert spread(frame.select("m"), "parquet", [100 * 2**20]).count() == 4


def test_a_source_may_have_a_column_named_like_the_one_of_its_files(spark: SparkSession, tmp_path: Path) -> None:
    wrote(tmp_path / "1.csv", HEADER.replace("\n", ",source_file\n") + line(1, "till"))
    wrote(tmp_path / "2.csv", HEADER.replace("\n", ",Source_File,more\n") + line(2, "web", "x"))
    source = source_at(tmp_path, "csv", columns={**COLUMNS, "channel": "original_source_file"})
    lines = validated_lines(spark, read_source(spark, source), source, CheckSuite())

    rows = lines.select("source_file", "channel", "row").orderBy("channel").collect()
    assert [(Path(row[0]).name, row[1], json.loads(row[2])["original_source_file"]) for row in rows] == [
        ("1.csv", "till", "till"),
        ("2.csv", "web", "web"),
    ]
    with pytest.raises(DataRejectedError, match=r"no column source_file; .*is called original_source_file"):
        lines_of(
            spark, source.model_copy(update={"columns": source.columns.model_copy(update={"brand": "source_file"})})
        )


def test_customers_keep_an_attribute_named_source_file(spark: SparkSession, tmp_path: Path) -> None:
    wrote(tmp_path / "1.csv", "who,source_file\nC1,till\n")
    wrote(tmp_path / "2.csv", "who,city,source_file\nC2,Bonn,web\n")
    source = CustomerSource.model_validate({"format": "csv", "path": str(tmp_path), "columns": {"customer_id": "who"}})

    rows = mapped_customers(spark, [source])
    assert {(row["customer_id"], row["source_file"]) for row in rows.collect()} == {("C1", "till"), ("C2", "web")}


def test_parquet_with_nanoseconds_and_unsigned_numbers_is_read(spark: SparkSession, tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("who", pa.uint64()),
            ("no", pa.uint32()),
            ("at", pa.timestamp("ns")),
            ("pay", pa.float64()),
            ("a", pa.uint8()),
            ("b", pa.uint16()),
            ("c", pa.list_(pa.uint8())),
            ("d", pa.struct([("e", pa.uint64())])),
        ]
    )
    row = {"who": 2**64 - 1, "no": 2**32 - 1, "at": datetime(2024, 1, 1), "pay": 1.5, "a": 255, "b": 65535}
    wrote_parquet(tmp_path / "a.parquet", row | {"c": [200], "d": {"e": 2**63}}, schema=schema)
    source = source_at(tmp_path, "parquet")

    assert lines_of(spark, source) == [(str(2**32 - 1), str(2**64 - 1))]
    read_row = read_source(spark, source).first()
    assert (read_row.a, read_row.b, read_row.c, int(read_row.d.e)) == (255, 65535, [200], 2**63)


# --- days without rows ---


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"multiLine": True}])
def test_a_day_without_orders_is_a_batch_without_lines(
    tmp_path: Path, run_of: Callable[..., Run], options: dict[str, Any]
) -> None:
    source = {"format": "json", "options": options, "columns": {**COLUMNS, "channel": "meta.channel"}}
    wrote(tmp_path / "in" / "1.json", as_json(order(1, meta={"channel": "web"})))
    ingest_sources(run_of(**source))
    wrote(tmp_path / "in" / "2.json", "\n")
    ingest_sources(run_of(**source))
    wrote(tmp_path / "in" / "3.json", as_json(order(3, meta={"channel": "web"})))
    ingest_sources(run_of(**source))

    batch = committed_batch(run_of(**source))
    assert (batch.mode, batch.counts.accepted) == ("incremental", 2)


# --- CSV without a header ---


@pytest.mark.slow
def test_csv_without_a_header_may_get_a_column(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    columns = dict(zip(COLUMNS, ["_c0", "_c1", "_c2", "_c3", "1"], strict=True))
    source = {"format": "csv", "options": {"header": False}, "columns": columns}
    wrote(tmp_path / "in" / "1.csv", line(1) + line(2, "too", "many") + line(3))
    ingest_sources(run_of(**source))
    wrote(tmp_path / "in" / "2.csv", line(4, "web") + line(5, "store"))
    ingest_sources(run_of(**source))

    batch = committed_batch(run_of(**source))
    assert (batch.mode, batch.counts.accepted, dict(batch.counts.by_reason)) == (
        "incremental",
        4,
        {"malformed_line": 1},
    )
    assert_as_if_read_anew(tmp_path, run_of, **source)


# --- Parquet columns that the mapping does not use, or that hold nothing ---


@pytest.mark.slow
def test_a_column_that_nobody_maps_may_have_any_type(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    wrote_parquet(tmp_path / "in" / "1.parquet", order(1, more={"a": 1}, flag=True, tags=["a"]))
    ingest_sources(run_of())
    wrote_parquet(tmp_path / "in" / "2.parquet", order(2, more={"a": 1, "b": 2}, flag="yes", tags=b"a"))
    ingest_sources(run_of())

    assert (committed_batch(run_of()).mode, committed_batch(run_of()).counts.accepted) == ("incremental", 2)
    assert_as_if_read_anew(tmp_path, run_of)


@pytest.mark.slow
def test_a_day_on_which_a_column_holds_nothing_does_not_retype_it(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    source = {"columns": {**COLUMNS, "channel": "channel", "discount": "off"}}
    days: list[dict[str, Any]] = [
        {"channel": None, "off": 0.5},
        {"channel": "web", "off": None},
        {"channel": None, "off": None, "who": None},
        {"channel": "web", "off": 1.5, "who": 7},
    ]
    for no, day in enumerate(days, start=1):
        (tmp_path / "in").mkdir(exist_ok=True)
        pd.DataFrame([order(no, **day), order(no + 10, **day)]).to_parquet(tmp_path / "in" / f"{no}.parquet")
        ingest_sources(run_of(**source))
        assert committed_batch(run_of(**source)).mode == ("full" if no in (1, 4) else "incremental")

    assert "column who is bigint, was string" in str(committed_batch(run_of(**source)).reason)
    assert committed_batch(run_of(**source)).counts.by_reason == {"missing_customer": 2}
    assert_as_if_read_anew(tmp_path, run_of, **source)


def test_columns_of_customers_and_look_ups_are_there_also_where_they_hold_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    wrote(tmp_path / "in.csv", HEADER.replace("\n", ",product_id\n") + line(1, "7"))
    wrote_parquet(tmp_path / "products.parquet", {"product_id": "7", "kind": None})
    wrote_parquet(tmp_path / "customers.parquet", {"who": "C1", "city": None})
    relation = {"path": str(tmp_path / "customers.parquet"), "columns": {"customer_id": "who"}}

    source = with_lookup(tmp_path / "in.csv", tmp_path / "products.parquet")
    assert lines_of(spark, source, "category") == [("1", "C1", None)]
    customers = mapped_customers(spark, [CustomerSource.model_validate(relation)])
    assert [(row["customer_id"], row["city"]) for row in customers.collect()] == [("C1", None)]


@pytest.mark.slow
def test_files_that_are_missing_are_told_with_why_they_are_needed(tmp_path: Path, run_of: Callable[..., Run]) -> None:
    source = {"path": str(tmp_path / "in" / "*.parquet"), "missing_files": "keep"}
    wrote_parquet(tmp_path / "in" / "1.parquet", order(1))
    ingest_sources(run_of(**source))
    (tmp_path / "in" / "1.parquet").unlink()
    wrote_parquet(tmp_path / "in" / "2.parquet", order(2, who=7))

    with pytest.raises(DataRejectedError, match=r"column who is bigint, was string.*1\.parquet"):
        ingest_sources(run_of(**source))
