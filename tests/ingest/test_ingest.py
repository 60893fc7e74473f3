"""Order lines from files to accepted or rejected, each with its reasons, none lost."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks, CustomerSource, EngagementSource, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest import rejections
from customer_segmentation.ingest.batches import as_accepted, as_rejected
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.ingest.customers import validated_customers
from customer_segmentation.ingest.engagement import validated_events
from customer_segmentation.ingest.sources import fingerprint, read_source, with_lookups
from customer_segmentation.ingest.transactions import validated_lines

COLUMNS = {
    "customer_id": "customer",
    "order_id": "order",
    "ordered_at": "at",
    "product_id": "product",
    "quantity": "quantity",
    "unit_price": "price",
    "discount": "off",
}
GOOD = {
    "customer": "C1",
    "order": "O1",
    "at": "2024-03-01 10:00:00",
    "product": "P1",
    "quantity": "2",
    "price": "3.50",
    "off": "0.10",
}


def csv_source(path: Path, rows: list[dict[str, str]], **more: object) -> TransactionSource:
    names = list(GOOD)
    lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return TransactionSource(format="csv", path=str(path), columns=COLUMNS, **more)


def validated(spark: SparkSession, source: TransactionSource, checks: Checks | None = None) -> DataFrame:
    return validated_lines(spark, read_source(spark, source), source, CheckSuite(checks or Checks()))


def accepted_lines(spark: SparkSession, source: TransactionSource) -> DataFrame:
    return as_accepted(validated(spark, source))


def rejected_lines(spark: SparkSession, source: TransactionSource) -> DataFrame:
    return as_rejected(validated(spark, source), batch_id="b1")


def test_every_rejected_line_has_all_its_reasons_and_every_other_line_is_accepted(
    spark: SparkSession, tmp_path: Path
) -> None:
    cases = [
        ({}, []),
        ({"customer": " "}, ["missing_customer"]),
        ({"order": ""}, ["missing_order"]),
        ({"at": ""}, ["missing_date"]),
        ({"at": "2024-13-45"}, ["unreadable_date"]),
        ({"at": "1969-12-31"}, ["date_too_early"]),
        ({"quantity": "n/a"}, ["unreadable_number"]),
        ({"price": "3,50x"}, ["unreadable_number"]),
        ({"off": "?"}, ["unreadable_number"]),
        ({"price": ""}, ["missing_amount"]),
        ({"quantity": ""}, ["missing_quantity"]),
        ({"quantity": "0"}, ["zero_quantity"]),
        ({"quantity": "99999999"}, ["absurd_quantity"]),
        ({"price": "0.00", "off": "0"}, ["zero_price"]),
        ({"price": "0.00", "off": "7.00"}, []),
        ({"price": "-1"}, ["negative_price"]),
        ({"quantity": "-2"}, []),
        ({"customer": "", "at": "soon", "price": "x"}, ["missing_customer", "unreadable_date", "unreadable_number"]),
    ]
    rows = [{**GOOD, "product": f"P{i}", **change} for i, (change, _) in enumerate(cases)]
    # a comma inside a value would split the CSV line
    source = csv_source(tmp_path / "lines.csv", [{k: v.replace(",", ";") for k, v in row.items()} for row in rows])

    against = {json.loads(row[c.ROW])["product"]: row[c.REASONS] for row in rejected_lines(spark, source).collect()}
    good = {row[c.PRODUCT_ID] for row in accepted_lines(spark, source).collect()}

    assert against == {f"P{i}": reasons for i, (_, reasons) in enumerate(cases) if reasons}
    assert good == {f"P{i}" for i, (_, reasons) in enumerate(cases) if not reasons}


def test_a_line_is_typed_to_the_cent_and_a_negative_quantity_is_a_return(spark: SparkSession, tmp_path: Path) -> None:
    source = csv_source(tmp_path / "lines.csv", [GOOD, {**GOOD, "quantity": "-1.5", "product": "P2"}])

    actual = accepted_lines(spark, source).select(
        c.CUSTOMER_ID,
        c.ORDER_ID,
        F.col(c.ORDERED_AT).cast("string").alias("at"),
        c.PRODUCT_ID,
        F.col(c.QUANTITY).cast("string").alias("quantity"),
        F.col(c.AMOUNT).cast("string").alias("amount"),
        F.col(c.DISCOUNT).cast("string").alias("discount"),
        c.IS_RETURN,
    )

    expected = spark.createDataFrame(
        [
            ("C1", "O1", "2024-03-01 10:00:00", "P1", "2.000", "7.00", "0.10", False),
            ("C1", "O1", "2024-03-01 10:00:00", "P2", "-1.500", "-5.25", "0.10", True),
        ],
        "customer_id string, order_id string, at string, product_id string, quantity string, amount string, "
        "discount string, is_return boolean",
    )
    assert_df_equality(actual, expected, ignore_nullable=True, ignore_row_order=True)


def test_a_rejected_line_keeps_what_came_and_where_from(spark: SparkSession, tmp_path: Path) -> None:
    source = csv_source(tmp_path / "lines.csv", [{**GOOD, "customer": "", "product": 'P "<b>é'}])

    row = rejected_lines(spark, source).first()

    assert row[c.SOURCE_FILE].endswith("lines.csv")
    assert json.loads(row[c.ROW]) == {**GOOD, "customer": None, "product": 'P "<b>é'}
    assert row[c.REASONS] == ["missing_customer"]
    assert row[c.BATCH_ID] == "b1"


def test_a_lookup_adds_columns_and_never_lines(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("product,department\nP1,Dairy\nP1,Bakery\nP3,Meat\n")
    joins = [{"format": "csv", "path": str(tmp_path / "products.csv"), "using": ["product"]}]
    source = csv_source(tmp_path / "lines.csv", [GOOD, {**GOOD, "product": "P2"}], joins=joins)

    rows = with_lookups(spark, read_source(spark, source), source).select("product", "department").collect()

    assert sorted(map(tuple, rows), key=str) == [("P1", "Dairy"), ("P2", None)]


def test_the_mapping_takes_an_amount_a_return_flag_and_a_date_layout(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lines.json").write_text(
        '{"who": 7, "no": 1, "when": "01/02/2024", "value": 9.994, "back": true}\n'
        '{"who": 7, "no": 2, "when": "02/02/2024", "value": 9.995, "back": false}\n'
    )
    source = TransactionSource(
        format="json",
        path=str(tmp_path / "lines.json"),
        timestamp_format="dd/MM/yyyy",
        columns={
            "customer_id": "who",
            "order_id": "no",
            "ordered_at": "`when`",
            "amount": "value",
            "is_return": "back",
        },
    )

    rows = {row[c.ORDER_ID]: row for row in accepted_lines(spark, source).collect()}

    assert str(rows["1"][c.AMOUNT]) == "-9.99"
    assert str(rows["2"][c.AMOUNT]) in ("9.99", "10.00")  # 9.995 is no exact double
    assert rows["1"][c.IS_RETURN]
    assert not rows["2"][c.IS_RETURN]
    assert rows["1"][c.ORDERED_AT].date().isoformat() == "2024-02-01"


def test_a_customer_has_one_row_whatever_the_order_of_the_source(spark: SparkSession, tmp_path: Path) -> None:
    rows = [("C1", "30-39", "north"), ("C1", "40-49", "east"), ("C2", None, "south"), ("", "x", "y")]
    schema = "id string, `age group` string, region string"
    found = []
    for name, ordered in (("forth", rows), ("back", rows[::-1])):
        path = str(tmp_path / name)
        spark.createDataFrame(ordered, schema).coalesce(1).write.parquet(path)
        source = CustomerSource(path=path, columns={"customer_id": "id"})
        validated = validated_customers(spark, [source])
        assert rejections.count_rows(validated) == RowCounts(
            4, 2, 2, by_reason={"missing_customer": 1, "another_row": 1}
        )
        frame = rejections.accepted(validated)
        assert frame.columns == ["customer_id", "age_group", "region"]
        found.append(sorted(map(tuple, frame.collect()), key=str))

    assert found[0] == found[1] == [("C1", "40-49", "east"), ("C2", None, "south")]


def test_numbers_are_no_times_of_events(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql("SELECT 'C1' AS who, 1717236000000 AS at, 'click' AS what").write.parquet(str(tmp_path / "events"))
    columns = {"customer_id": "who", "occurred_at": "at", "event_type": "what"}
    events = {"format": "parquet", "path": str(tmp_path / "events")}

    with pytest.raises(
        DataRejectedError, match=r"sources.engagement.* occurred_at must be a timestamp.*'at' is bigint"
    ):
        validated_events(spark, [EngagementSource(**events, columns=columns)])
    columns["occurred_at"] = "timestamp_millis(at)"
    (row,) = validated_events(spark, [EngagementSource(**events, columns=columns)]).collect()
    assert row[c.OCCURRED_AT] == datetime(2024, 6, 1, 10)


def test_an_event_needs_a_customer_a_time_and_a_type(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "who,at,what\nC1,2024-01-01,click\n,2024-01-01,click\nC1,never,click\nC1,,\nC1,2024-01-02,click,too,many\n"
    )
    source = EngagementSource(
        format="csv",
        path=str(tmp_path / "events.csv"),
        columns={"customer_id": "who", "occurred_at": "at", "event_type": "what"},
    )

    validated = validated_events(spark, [source])
    rows = rejections.accepted(validated).collect()
    rejected = {tuple(row[c.REASONS]): row for row in rejections.rejected(validated, batch_id="b").collect()}

    assert [(row[c.CUSTOMER_ID], str(row[c.OCCURRED_AT]), row[c.EVENT_TYPE]) for row in rows] == [
        ("C1", "2024-01-01 00:00:00", "click")
    ]
    assert set(rejected) == {
        ("missing_customer",),
        ("unreadable_date",),
        ("missing_date", "missing_event_type"),
        ("malformed_line",),
    }
    assert json.loads(rejected[("unreadable_date",)][c.ROW]) == {"who": "C1", "at": "never", "what": "click"}
    assert "too,many" in rejected[("malformed_line",)][c.ROW]
    assert rejected[("missing_customer",)][c.SOURCE_FILE].endswith("events.csv")


def test_a_fingerprint_changes_with_the_files_the_mapping_and_the_settings(spark: SparkSession, tmp_path: Path) -> None:
    source = csv_source(tmp_path / "lines.csv", [GOOD])
    other_mapping = source.model_copy(update={"columns": source.columns.model_copy(update={"channel": "'web'"})})

    first = fingerprint(spark, [source], {"limit": 1})
    assert fingerprint(spark, [source], {"limit": 1}) == first
    assert fingerprint(spark, [other_mapping], {"limit": 1}) != first
    assert fingerprint(spark, [source], {"limit": 2}) != first

    csv_source(tmp_path / "lines.csv", [GOOD, GOOD])
    assert fingerprint(spark, [source], {"limit": 1}) != first


@pytest.mark.parametrize("partitions", [1, 7])
def test_the_judgement_does_not_depend_on_how_lines_lie(
    spark: SparkSession, tmp_path: Path, partitions: int, frame: Callable[..., DataFrame]
) -> None:
    rows = [(f"C{i % 5}", f"O{i}", "2024-01-01", str(i % 3), "1.00") for i in range(60)]
    lines = frame(rows, "c string, o string, t string, q string, p string").repartition(partitions)
    lines.write.parquet(str(tmp_path / "lines"))
    source = TransactionSource(
        path=str(tmp_path / "lines"),
        columns={"customer_id": "c", "order_id": "o", "ordered_at": "t", "quantity": "q", "unit_price": "p"},
    )

    assert accepted_lines(spark, source).count() == 40
    assert rejected_lines(spark, source).count() == 20
