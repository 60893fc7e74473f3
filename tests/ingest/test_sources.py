"""Sources in the formats, layouts and shapes that order lines come in."""

import gzip
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.config.schema import Checks, Config, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.ingest.batches import as_accepted, as_rejected
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.sources import files_of, has_file, read_source, single_file
from customer_segmentation.ingest.transactions import OWN_COLUMNS, typed_lines, validated_lines
from customer_segmentation.stages.ingest import SourceLines
from customer_segmentation.stages.ingest.unreadable import naming_unreadable_files
from tests.generated import quiet
from tests.postgres import postgres

MAPPING = {"customer_id": "who", "order_id": "no", "ordered_at": "at", "amount": "value", "quantity": "pieces"}
Rows = list[tuple[str, str, datetime, Decimal, Decimal]]
TWO: Rows = [
    ("C1", "1", datetime(2024, 3, 1, 10, 0), Decimal("1234.56"), Decimal("1.000")),
    ("C2", "2", datetime(2024, 3, 2, 0, 0), Decimal("0.50"), Decimal("2.500")),
]


def source(path: Path, format_: str, **more: Any) -> TransactionSource:
    return TransactionSource.model_validate({"format": format_, "path": str(path), "columns": MAPPING, **more})


def validated(spark: SparkSession, one: TransactionSource, **checks: Any) -> DataFrame:
    return validated_lines(spark, read_source(spark, one), one, CheckSuite(Checks(**checks)))


def rows(frame: DataFrame) -> Rows:
    """The accepted lines by order."""
    lines = as_accepted(frame).orderBy(c.ORDER_ID).collect()
    return [
        tuple(line[name] for name in ("customer_id", "order_id", "ordered_at", "amount", "quantity")) for line in lines
    ]


def reasons(frame: DataFrame) -> list[list[str]]:
    """The reasons against the rejected lines, in the order of the lines' text."""
    return [row[c.REASONS] for row in as_rejected(frame, batch_id="b").orderBy(c.ROW).collect()]


def test_a_gzipped_csv_of_another_country_is_read_to_the_cent(spark: SparkSession, tmp_path: Path) -> None:
    text = "who;no;at;value;pieces\nC1;1;01.03.2024 10:00;1.234,56;1\nC2;2;02.03.2024;0,5;2,5\n"
    (tmp_path / "lines.csv.gz").write_bytes(gzip.compress(text.encode("latin-1")))
    german = source(
        tmp_path / "lines.csv.gz",
        "csv",
        options={"sep": ";", "encoding": "ISO-8859-1"},
        timestamp_format=["dd.MM.yyyy HH:mm", "dd.MM.yyyy"],
        decimal_comma=True,
    )

    assert rows(validated(spark, german)) == TWO


def test_an_encoding_is_honoured(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_bytes("who;no;at;value;pieces\nJosé;1;2024-03-01;1;1\n".encode("latin-1"))
    latin = source(tmp_path / "lines.csv", "csv", options={"sep": ";", "encoding": "ISO-8859-1"})

    assert [row[0] for row in rows(validated(spark, latin))] == ["José"]


@pytest.mark.parametrize("text", ["1.23", "12,3,4", "1,234.5", "1.2345,0", "", "-", "1e3", ",5"])
def test_with_a_decimal_comma_what_is_written_otherwise_is_no_number(
    spark: SparkSession, tmp_path: Path, text: str
) -> None:
    (tmp_path / "lines.csv").write_text(f"who;no;at;value;pieces\nC1;1;2024-03-01;{text};1\n")
    german = source(tmp_path / "lines.csv", "csv", options={"sep": ";"}, decimal_comma=True)

    assert reasons(validated(spark, german)) == [["unreadable_number"] if text else ["missing_amount"]]


def test_a_csv_without_header_is_mapped_by_position(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("C1,1,2024-03-01 10:00:00,1234.56,1\nC2,2,2024-03-02,0.5,2.5\n")
    columns = dict(zip(MAPPING, ["_c0", "_c1", "_c2", "_c3", "_c4"], strict=True))

    headless = source(tmp_path / "lines.csv", "csv", options={"header": False}, columns=columns)

    assert rows(validated(spark, headless)) == TWO


def test_a_line_with_too_few_or_too_many_values_is_rejected_with_its_text(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("who,no,at,value,pieces\nC1,1,2024-03-01,1,1,extra\nC1,2,2024-03-01\n")
    torn = validated(spark, source(tmp_path / "lines.csv", "csv"))

    lines = as_rejected(torn, batch_id="b").collect()

    assert all(line[c.REASONS][0] == "malformed_line" for line in lines)
    assert sorted("extra" in line[c.ROW] for line in lines) == [False, True]
    assert rows(torn) == []


def test_json_lines_keep_their_numbers_as_written_and_a_broken_line_is_rejected(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "lines.json").write_text(
        '{"who": "C1", "no": 1, "at": "2024-03-01T10:00:00", "value": 1234.56, "pieces": 1}\n'
        '{"who": "C2", "no": 2, "at": "2024-03-02", "value": 0.50, "pieces": 2.5, "more": {"a": [1]}}\n'
        '{"who": "C3", "no": 3, "at": \n'
    )
    lines = validated(spark, source(tmp_path / "lines.json", "json"))

    assert rows(lines) == TWO
    assert [found[0] for found in reasons(lines)] == ["malformed_line"]


def test_a_delta_table_is_read_at_a_version(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    schema = "who string, no string, at timestamp, value decimal(18,2), pieces decimal(18,3)"
    spark.createDataFrame(TWO, schema).coalesce(1).write.format("delta").save(str(path))
    spark.createDataFrame(TWO[:1], schema).write.format("delta").mode("overwrite").save(str(path))

    assert rows(validated(spark, source(path, "delta"))) == TWO[:1]
    assert rows(validated(spark, source(path, "delta", version=0))) == TWO


@pytest.fixture(scope="module")
def database(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        lines = spark.range(1000).selectExpr(
            "id",
            "concat('C', id % 50) who",
            "id div 4 no",
            "timestamp_seconds(1700000000 + id) at",
            "cast(id / 100 + 0.01 as decimal(10,2)) value",
            "1 pieces",
        )
        lines.write.jdbc(url, "lines", properties={"user": "shop", "driver": "org.postgresql.Driver"})
        yield url


@pytest.mark.parametrize("column", [None, "id", "at"])
@pytest.mark.classic("it counts partitions by an RDD")
def test_a_database_table_is_read_whole_by_one_task_or_several(
    spark: SparkSession, database: str, column: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_USER", "shop")
    relation = {
        "format": "jdbc",
        "table": "public.lines",
        "options": {"url": database},
        "environment": {"user": "SHOP_USER"},
        "partition_column": column,
        "partitions": 3,
        "columns": MAPPING,
    }
    lines = validated(spark, TransactionSource.model_validate(relation))

    assert read_source(spark, TransactionSource.model_validate(relation)).rdd.getNumPartitions() == (3 if column else 1)
    assert rows(lines)[0][:2] == ("C0", "0")
    assert as_accepted(lines).agg({"amount": "sum"}).first()[0] == sum(
        Decimal(i) / 100 + Decimal("0.01") for i in range(1000)
    )


def test_a_secret_that_is_not_set_is_named_by_its_variable_only(spark: SparkSession) -> None:
    relation = {"format": "jdbc", "table": "x", "options": {"url": "jdbc:postgresql://h/d"}, "columns": MAPPING}

    with pytest.raises(ConfigurationError, match="NOBODY_SETS_THIS is not set"):
        read_source(
            spark, TransactionSource.model_validate({**relation, "environment": {"password": "NOBODY_SETS_THIS"}})
        )


@pytest.mark.parametrize(
    "relation",
    [
        {"format": "jdbc", "table": "x"},
        {"format": "jdbc", "path": "x", "options": {"url": "jdbc:x"}},
        {"format": "csv", "path": "x", "version": 3},
        {"format": "csv", "path": "x", "partition_column": "id"},
        {"format": "csv", "path": "x", "watermark": "changed"},
        {"format": "jdbc", "table": "x", "options": {"url": "jdbc:x"}, "overlap": "1 hour"},
        {"format": "jdbc", "table": "x", "options": {"url": "jdbc:x"}, "watermark": "at", "overlap": "an hour"},
        {"format": "csv", "path": "x", "missing_files": "forget"},
    ],
)
def test_settings_that_do_not_go_together_are_rejected(relation: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TransactionSource.model_validate({**relation, "columns": MAPPING})


def test_the_versions_of_a_line_need_a_number_and_a_time() -> None:
    with pytest.raises(ValidationError, match="needs both line_number and changed_at"):
        TransactionSource.model_validate({"path": "x", "columns": {**MAPPING, "changed_at": "at"}})


@pytest.fixture
def lines_file(tmp_path: Path) -> Path:
    (tmp_path / "lines.json").write_text(
        '{"who": "C1", "no": "1", "at": "2024-03-01", "value": "1", "pieces": "1", "tags": ["a"], "land": "DE"}\n'
        '{"who": "C2", "no": "2", "at": "2024-03-01", "value": "1", "pieces": "1", "tags": [], "land": "AT"}\n'
        '{"who": "C3", "no": "3", "at": "2024-03-01", "value": "1", "pieces": "1", "tags": [], "land": null}\n'
    )
    return tmp_path / "lines.json"


def test_where_leaves_out_what_is_not_true(spark: SparkSession, lines_file: Path) -> None:
    lines = validated(spark, source(lines_file, "json", where="land = 'DE'"))

    assert [row[0] for row in rows(lines)] == ["C1"]
    assert reasons(lines) == []


@pytest.mark.parametrize(
    ("column", "expression", "said"),
    [
        ("ordered_at", "cast(no as int)", "ordered_at must be a timestamp, a date or text"),
        ("customer_id", "tags", "customer_id must be text or a number, but 'tags' is array<string>"),
        ("amount", "to_date(at)", "amount must be a number or its text"),
    ],
)
def test_a_column_of_a_type_that_does_not_fit_is_rejected(
    spark: SparkSession, lines_file: Path, column: str, expression: str, said: str
) -> None:
    retyped = source(lines_file, "json", columns={**MAPPING, column: expression})

    with pytest.raises(DataRejectedError, match=said.replace("(", r"\(")):
        validated(spark, retyped)


@pytest.fixture
def mapped(spark: SparkSession, lines_file: Path, tmp_path: Path) -> Callable[..., SourceLines]:
    from customer_segmentation.config.schema import Config

    def make(**more: Any) -> SourceLines:
        relation = {"format": "json", "path": str(lines_file), "columns": MAPPING, **more}
        config = {"sources": {"transactions": relation}, "tables": {"root": str(tmp_path / "tables")}}
        return SourceLines(quiet(spark, Config.model_validate(config)))

    return make


def test_a_missing_column_is_told_with_those_there_are_and_a_hint(mapped: Callable[..., SourceLines]) -> None:
    with pytest.raises(DataRejectedError, match=r"there is no column valu; did you mean value.* It has .*who"):
        mapped(columns={**MAPPING, "amount": "valu"})


def test_a_where_that_is_no_condition_is_rejected(mapped: Callable[..., SourceLines]) -> None:
    with pytest.raises(DataRejectedError, match="where must be true or false for a row, but 'land' is string"):
        mapped(where="land")


@pytest.mark.parametrize(
    ("relation", "files", "others"),
    [
        ({"path": "shop/in"}, ["shop/in/a%20b.csv", "shop/in/day=1/c.csv"], ["shop/in/deeper/c.csv", "shop/inn/a.csv"]),
        ({"path": "shop/in/../a.csv"}, ["shop/a.csv"], ["shop/in/a.csv", "shop/b.csv"]),
        ({"path": "shop", "options": {"recursiveFileLookup": True}}, ["shop/in/deeper/c.csv"], ["a.csv"]),
        ({"path": "*/lines-{1,2}.csv"}, ["shop/lines-1.csv"], ["tables/transactions/part-0.csv", "lines-1.csv"]),
        ({"path": "shop/[^t]*"}, ["shop/lines.csv"], ["shop/tables/a.csv"]),
        ({"path": "tables/lines", "format": "delta"}, ["tables/lines/month=1/x/0.parquet"], ["tables/b/a.parquet"]),
        ({"table": "x", "format": "jdbc", "options": {"url": "jdbc:x"}}, [], ["a.csv"]),
        ({"table": "no.such_table", "format": "delta"}, [], ["a.parquet"]),
    ],
)
def test_a_file_is_of_the_source_that_is_read_from_it(
    spark: SparkSession, relation: dict[str, Any], files: list[str], others: list[str]
) -> None:
    one = TransactionSource.model_validate({"format": "csv", "columns": MAPPING, **relation})

    found = {name: has_file(spark, one, f"{Path.cwd().as_uri()}/{name}") for name in (*files, *others)}

    assert found == dict.fromkeys(files, True) | dict.fromkeys(others, False)


@pytest.mark.parametrize(("path", "is_of_it"), [("s3://raw/shop", True), ("/shop", True), ("s3://lake/shop", False)])
def test_a_file_is_of_no_source_in_another_bucket(spark: SparkSession, path: str, *, is_of_it: bool) -> None:
    one = TransactionSource.model_validate({"format": "csv", "path": path, "columns": MAPPING})

    assert has_file(spark, one, "s3://raw/shop/a.csv") == is_of_it


@pytest.mark.parametrize(
    ("file", "raised"),
    [
        ("shop/orders/day=1/a.csv", DataRejectedError),
        ("shop/products.csv", DataRejectedError),
        ("shop/tables/transactions/part-0.parquet", RuntimeError),
        ("shop/tables/customer_segmentation_scratch_0/part-0.parquet", RuntimeError),
        ("spark-warehouse/segments.db/transactions/part-0.parquet", RuntimeError),
    ],
)
def test_only_a_damaged_file_of_a_source_or_a_look_up_is_its_fault(
    spark: SparkSession, file: str, raised: type[Exception]
) -> None:
    lookup = {"format": "csv", "path": "shop/products.csv", "using": ["product"]}
    orders = source(Path("shop/orders"), "csv", joins=[lookup])
    config = Config.model_validate({"sources": {"transactions": [orders]}, "tables": {"root": "shop/x/../tables"}})
    error = (
        f"[FAILED_READ_FILE.NO_HINT] Encountered error while reading file {Path.cwd().as_uri()}/{file}. SQLSTATE: KD001"
    )

    run = quiet(spark, config)

    with (
        pytest.raises(raised, match=file),
        naming_unreadable_files(run, "sources.transactions", run.sources.transactions),
    ):
        raise RuntimeError(error)


def test_a_single_file_is_listed_without_spark_as_with_it(spark: SparkSession, tmp_path: Path) -> None:
    nanoseconds = {"a.csv": 0, "b.csv": 100_000_000, "c.csv": 120_999_999, "d.csv": 123_456_789, "e.csv": 7_000_000}
    for number, (name, fraction) in enumerate(nanoseconds.items()):
        (tmp_path / name).write_text("x" * (1 + number))
        os.utime(tmp_path / name, ns=(0, 1_400_000_000 * 10**9 + fraction))

    by_spark = files_of(spark, source(tmp_path, "csv"))

    assert len(by_spark) == len(nanoseconds)
    assert by_spark == {
        key: value for name in nanoseconds for key, value in (single_file(f"{tmp_path}/{name}") or {}).items()
    }
    (tmp_path / "empty.csv").touch()  # which Spark passes over
    assert all(
        single_file(path) is None
        for path in (str(tmp_path), f"file:{tmp_path}/a.csv", f"{tmp_path}/*.csv", f"{tmp_path}/empty.csv")
    )


@pytest.mark.parametrize("price", [{"amount": "price"}, {"unit_price": "price", "amount": None}])
def test_what_is_read_does_not_depend_on_whether_texts_of_it_are_kept(
    spark: SparkSession, price: dict[str, str | None]
) -> None:
    """Digests of lines, values and failed checks, of values that can't be read or are too large for their columns."""
    numbers = [1.5, 0.0, -0.0, -2.25, float("nan"), float("inf"), 1e17, 123456.789, None]
    times = [datetime(2024, 3, 1, 8), datetime(1500, 1, 1), None]
    frame = spark.createDataFrame(
        [
            ("C1", "O1", time, number, 7 * number if number else number, number, time)
            for number in numbers
            for time in times
        ],
        "who string, no string, at timestamp, price double, pieces double, off double, changed timestamp",
    ).selectExpr("*", "'f' AS source_file")
    columns = {"customer_id": "who", "order_id": "no", "ordered_at": "at", "quantity": "pieces", "discount": "off"}
    columns |= {"line_number": "no", "changed_at": "changed", **price}
    mapping = TransactionSource.model_validate({"path": "-", "columns": columns})
    failed = CheckSuite().failed().alias("failed")

    kept, left = (
        typed_lines(spark, frame, mapping, only_unread=only_unread).select(*OWN_COLUMNS, failed).collect()
        for only_unread in (False, True)
    )

    assert len(kept) == len(numbers) * len(times)
    assert sorted(map(repr, kept)) == sorted(map(repr, left))
