"""Files as people have them: read right, or rejected in a sentence that names the file and what it is."""

import gzip
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.config.schema import CustomerSource, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest.batches import as_accepted
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.sources import files_of, read_source, with_lookups
from customer_segmentation.ingest.transactions import validated_lines

MAPPING = {"customer_id": "who", "order_id": "no", "ordered_at": "at", "amount": "value", "product_id": "product"}
HEADER = "who,no,at,value,product\n"
Read = Callable[..., list[tuple]]


@pytest.fixture
def read(spark: SparkSession, tmp_path: Path) -> Read:
    """Order number, customer and product of the accepted lines below a folder (or of a file in it)."""

    def lines(name: str = "", format_: str = "csv", **more: Any) -> list[tuple]:
        accepted = as_accepted(validated(spark, source(tmp_path / name, format_, **more)))
        return sorted(tuple(row) for row in accepted.select(c.ORDER_ID, c.CUSTOMER_ID, c.PRODUCT_ID).collect())

    return lines


def source(path: Path, format_: str = "csv", **more: Any) -> TransactionSource:
    return TransactionSource.model_validate({"format": format_, "path": str(path), "columns": MAPPING, **more})


def validated(spark: SparkSession, one: TransactionSource, **more: Any) -> DataFrame:
    return validated_lines(spark, read_source(spark, one, **more), one, CheckSuite())


def line(no: int, product: str = "Tea", who: str = "C1") -> str:
    return f"{who},{no},2024-03-01,1.50,{product}\n"


# --- quotes ---


def test_quotes_are_doubled_within_quotes(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line(1, '"Tea, ""Earl"" Grey"') + line(2, '"C:\\"') + line(3, '5" pipe'))

    assert read() == [("1", "C1", 'Tea, "Earl" Grey'), ("2", "C1", "C:\\"), ("3", "C1", '5" pipe')]


def test_a_value_in_quotes_may_hold_the_end_of_a_line(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line(1, '"two\nlines"') + line(2))
    (tmp_path / "b.csv").write_text(HEADER + line(3))

    assert read() == [("1", "C1", "two\nlines"), ("2", "C1", "Tea"), ("3", "C1", "Tea")]


def test_a_quote_that_is_never_closed_takes_one_line_along_and_not_the_file(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line(1, '"open') + "".join(line(i) for i in range(2, 1000)))

    assert len(read()) >= 998


# --- encodings ---


@pytest.mark.parametrize(
    ("encoding", "product"),
    [
        ("cp1252", "Größe € 5 – “L”…"),
        ("windows-1252", "Œuvre"),
        ("ISO-8859-15", "5 €"),
        ("cp1250", "Żółć"),
        ("windows-1251", "Чай"),
        ("KOI8-R", "Чай"),
        ("cp850", "Größe"),
        ("Shift_JIS", "日本茶"),
        ("GBK", "中国茶"),
        ("UTF-16", "日本茶"),
        ("UTF-16LE", "日本茶"),
        ("UTF-16BE", "Größe"),
        ("UTF-32", "日本茶"),
        ("utf_16", "日本茶"),
        ("latin1", "Größe"),
    ],
)
def test_any_encoding_is_read(read: Read, tmp_path: Path, encoding: str, product: str) -> None:
    (tmp_path / "a.csv").write_bytes(
        (HEADER.replace("product", "größe") + line(1, product)).encode(encoding, "replace")
    )
    columns = {**MAPPING, "product_id": "`größe`"}
    if encoding in ("windows-1251", "KOI8-R", "Shift_JIS", "GBK"):
        (tmp_path / "a.csv").write_bytes((HEADER + line(1, product)).encode(encoding))
        columns = MAPPING

    assert read(options={"encoding": encoding}, columns=columns) == [("1", "C1", product)]


def test_an_encoding_that_there_is_not_is_rejected(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line(1))

    with pytest.raises(DataRejectedError, match="does not read text in cp99999; write it in UTF-8"):
        read(options={"encoding": "cp99999"})


def test_marks_and_invisible_spaces_are_no_part_of_names_and_ids(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffwho,\u00a0no ,at\u200b,value,product\n" + line(1, who="\u00a0C1\u200b"))
    (tmp_path / "b.csv").write_bytes(("\ufeff" + HEADER + line(2)).encode("utf-16-le"))

    assert read("a.csv") == [("1", "C1", "Tea")]
    assert read("b.csv", options={"encoding": "UTF-16LE"}) == [("2", "C1", "Tea")]


# --- what is no CSV ---


def zipped(**files: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name.replace("__", "/"), text)

    return write


def holding(data: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(data)


def parquet(path: Path) -> None:
    pq.write_table(pa.table({"who": ["C1"]}), path)


TEXT = (HEADER + line(1, "Größe")).encode("cp1252")


@pytest.mark.parametrize(
    ("write", "format_", "options", "said"),
    [
        (zipped(orders=HEADER), "csv", {}, "is a zip archive; unpack it"),
        (zipped(xl__workbook="<x/>"), "csv", {}, "is an Excel workbook"),
        (holding(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)), "csv", {}, "is an Excel workbook"),
        (holding(b"%PDF-1.7\n"), "csv", {}, "is a PDF document"),
        (holding(b"\n<!DOCTYPE html><html>"), "csv", {}, "is a web page"),
        (holding(b"<?xml version='1.0'?><a/>"), "csv", {}, "is XML"),
        (holding(gzip.compress(TEXT)), "csv", {}, "is compressed by gzip.*end in .gz"),
        (parquet, "csv", {}, "is a Parquet file, not CSV; set format: parquet"),
        (holding(b'{"who": "C1"}\n'), "csv", {}, "is JSON, not CSV; set format: json"),
        (holding(("\ufeff" + HEADER).encode("utf-16-le")), "csv", {}, "UTF-16; set options.encoding to UTF-16"),
        (holding(HEADER.encode("utf-16-le")), "csv", {}, "set options.encoding to UTF-16LE"),
        (holding(TEXT), "csv", {}, "is not text in UTF-8; set options.encoding"),
        (holding(("\ufeff" + HEADER).encode()), "csv", {"encoding": "cp1252"}, "is text in UTF-8"),
        (holding(bytes(range(256)) * 20), "csv", {}, "binary"),
        (holding(b"sep=;\r\n" + HEADER.encode()), "csv", {}, "begins with a line that names its separator"),
        (holding(HEADER.encode("utf-8")), "csv", {"encoding": "UTF-16"}, "is not text in UTF-16"),
        (holding(HEADER.encode() + "Größe".encode()), "csv", {"encoding": "cp1252"}, "is text in UTF-8"),
        (zipped(orders="{}"), "json", {}, "is a zip archive"),
        (holding(HEADER.encode()), "json", {}, "has no JSON"),
        (holding(HEADER.encode()), "parquet", {}, "is no Parquet file but text"),
        (holding(b'{"who": "C1"}\n'), "parquet", {}, "JSON; set format: json"),
        (zipped(orders=HEADER), "parquet", {}, "is a zip archive"),
        (holding(b"PAR1 and no more"), "parquet", {}, "damaged Parquet file"),
    ],
)
def test_another_kind_of_file_is_named_for_what_it_is(
    spark: SparkSession, tmp_path: Path, write: Any, format_: str, options: dict[str, str], said: str
) -> None:
    write(tmp_path / "orders.dat")

    with pytest.raises(
        DataRejectedError, match=rf"sources.transactions: \S*orders\.dat can't be read: it .*{said}"
    ) as caught:
        read_source(spark, source(tmp_path, format_, options=options))
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_packed_files_are_read_by_their_names(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((HEADER + line(1)).encode()))

    assert read() == [("1", "C1", "Tea")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HEADER.encode(), "is not compressed as .gz says"),
        (gzip.compress(HEADER.encode() * 99)[:40], "is damaged"),
        (gzip.compress(HEADER.encode() * 99)[:-8], "is damaged"),
    ],
)
def test_a_packed_file_that_is_not_whole_is_named(spark: SparkSession, tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.csv.gz").write_bytes(data)

    with pytest.raises(DataRejectedError, match=rf"a\.csv\.gz can't be read: it {said}"):
        read_source(spark, source(tmp_path))


def test_another_separator_is_hinted_at(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text((HEADER + line(1)).replace(",", ";"))

    with pytest.raises(DataRejectedError, match=r"no column who; the separator may be another one, see options\.sep"):
        validated(spark, source(tmp_path))


# --- headers ---


def test_empty_files_and_headers_alone_have_no_lines(read: Read, tmp_path: Path) -> None:
    (tmp_path / "0.csv").write_text("")
    (tmp_path / "1.csv").write_text("\ufeff\n")
    (tmp_path / "2.csv").write_text(HEADER)
    (tmp_path / "3.csv").write_text("\n" + HEADER + line(1))

    assert read() == [("1", "C1", "Tea")]
    assert read("0.csv") == read("2.csv") == []


def test_headers_in_other_styles_are_the_same_columns(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("CustomerID,Order No,ordered_at,value,product\n" + line(1))
    (tmp_path / "b.csv").write_text(
        "product;x\n".replace(";x", ",order_no,ordered at,Value,customer_id") + "Tea,2,2024-03-01,1,C2\n"
    )
    (tmp_path / "c.csv").write_text("Customer Id,ORDER-NO,OrderedAt,VALUE,PRODUCT,more\n" + line(3).strip() + ",x\n")
    columns = {**MAPPING, "customer_id": "customer_id", "order_id": "`Order No`", "ordered_at": "ordered_at"}

    assert read(columns=columns) == [("1", "C1", "Tea"), ("2", "C2", "Tea"), ("3", "C1", "Tea")]
    for file in "abc":
        assert len(read(f"{file}.csv", columns=columns)) == 1, file


def test_columns_that_only_look_alike_stay_apart(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,no,at,value,product,Who.\n" + line(1).strip() + ",nobody\n")

    assert read() == [("1", "C1", "Tea")]


def test_a_file_that_lacks_a_mapped_column_is_rejected_by_name(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line(1))
    (tmp_path / "b.csv").write_text(HEADER.replace("value", "price") + line(2))

    with pytest.raises(
        DataRejectedError, match=r"b\.csv can't be read: CSV header without value, .* it has who, no, at, price"
    ):
        read_source(spark, source(tmp_path))


def test_new_files_alone_are_read_under_the_names_of_the_mapping(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line(1))
    (tmp_path / "b.csv").write_text("Who,NO,At,Value,Product\n" + line(2))
    both = source(tmp_path)
    files = sorted(files_of(spark, both))

    names = [[name.lower() for name in read_source(spark, both, files=[file]).columns] for file in files]

    assert names[0] == names[1]  # case aside, which Spark does not tell apart
    assert read_source(spark, both, files=files[1:]).count() == 1


# --- names of files ---


@pytest.mark.parametrize(
    "name",
    [
        "a b.csv",
        "orders (1).csv",
        "a[1].csv",
        "a{b,c}.csv",
        "a*?.csv",
        "a%20b.csv",
        "été 日.csv",
        "a#1+2&x.csv",
        "a\\b.csv",
    ],
)
def test_files_are_read_by_their_exact_names(spark: SparkSession, read: Read, tmp_path: Path, name: str) -> None:
    (tmp_path / "ab.csv").write_text(HEADER + line(9))
    (tmp_path / name).write_text(HEADER + line(1))

    every = source(tmp_path)
    file = next(file for file in files_of(spark, every) if not file.endswith("/ab.csv"))

    assert read_source(spark, every, files=[file]).select("no").collect()[0][0] == "1"
    assert read_source(spark, every, files=[file]).count() == 1
    assert read(name) == [("1", "C1", "Tea")]


def test_a_folder_may_have_signs_of_a_pattern_in_its_name(read: Read, tmp_path: Path) -> None:
    for folder, no in (("in [2024]", 1), ("in 2", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(HEADER + line(no))

    assert read("in [2024]") == [("1", "C1", "Tea")]
    assert read("in [2]") == [("2", "C1", "Tea")]


# --- JSON ---


def test_json_is_read_as_lines_as_arrays_and_over_several_lines(read: Read, tmp_path: Path) -> None:
    def order(no: int) -> dict[str, Any]:
        return {"who": "C1", "no": no, "at": "2024-03-01", "value": 1.5, "product": "Tea"}

    (tmp_path / "array.json").write_text(json.dumps([order(1), order(2)]))
    (tmp_path / "marked.json").write_text("\ufeff" + json.dumps(order(3)) + "\n")
    (tmp_path / "pretty.json").write_text(json.dumps([order(4)], indent=2))
    (tmp_path / "one.json").write_text(json.dumps(order(5), indent=2))
    (tmp_path / "short.json").write_text(json.dumps({"no": 6, "who": "C1", "at": "2024-03-01", "value": 2}) + "\n")
    (tmp_path / "none.json").write_text("")

    assert [row[0] for row in read(format_="json")] == ["1", "2", "3", "4", "5", "6"]


# --- Parquet ---


def written(path: Path, **columns: Any) -> None:
    rows = {"who": ["C1"], "no": ["1"], "at": ["2024-03-01"], "value": ["1.50"], "product": ["Tea"], **columns}
    pq.write_table(pa.table({name: values for name, values in rows.items() if values is not None}), path)


@pytest.mark.slow
def test_parquet_files_of_pandas_have_nanoseconds(spark: SparkSession, tmp_path: Path) -> None:
    moment = datetime(2024, 7, 1, 10, 0, 0, 123_456)
    for name, zone in (("local", None), ("moment", "UTC")):
        at = pa.array([moment], pa.timestamp("ns", tz=zone))
        written(tmp_path / f"{name}.parquet", at=at, product=pa.array(["Tea"]).dictionary_encode())
    old = tmp_path / "old.parquet"
    pq.write_table(
        pa.table({"who": ["C1"], "no": ["1"], "at": pa.array([moment], pa.timestamp("ns")), "value": [1.5]}),
        old,
        use_deprecated_int96_timestamps=True,
    )

    def at(name: str, **more: Any) -> str:
        columns = {**MAPPING, "product_id": None}
        lines = validated(spark, source(tmp_path / f"{name}.parquet", "parquet", columns=columns, **more))
        return as_accepted(lines).first()[c.ORDERED_AT].replace(tzinfo=UTC).isoformat()

    assert at("local") == at("moment") == at("old") == "2024-07-01T10:00:00.123456+00:00"
    assert at("local", timezone="Europe/Berlin") == "2024-07-01T08:00:00.123456+00:00"
    assert at("moment", timezone="Europe/Berlin") == "2024-07-01T10:00:00.123456+00:00"


def test_parquet_files_with_other_types_and_more_columns_are_read_together(read: Read, tmp_path: Path) -> None:
    written(tmp_path / "1.parquet", who=["12346"], product=None)
    written(tmp_path / "2.parquet", who=[12346], no=[2], value=[1])
    written(tmp_path / "3.parquet", who=[12346.0], no=[3.0], value=[1.5])
    written(tmp_path / "4.parquet", no=["4"], at=pa.array([datetime(2024, 3, 1)], pa.timestamp("us", tz="UTC")))
    written(tmp_path / "5.parquet", no=["5"], at=pa.array([datetime(2024, 3, 1)], pa.timestamp("us")))

    assert read(format_="parquet") == [
        ("1", "12346", None),
        ("2", "12346", "Tea"),
        ("3", "12346", "Tea"),
        ("4", "C1", "Tea"),
        ("5", "C1", "Tea"),
    ]


def test_parquet_files_whose_types_do_not_go_together_are_rejected_by_file_and_column(
    spark: SparkSession, tmp_path: Path
) -> None:
    written(tmp_path / "1.parquet")
    written(tmp_path / "2.parquet", product=[["Tea"]])

    with pytest.raises(
        DataRejectedError, match=r"2\.parquet can't be read .* column product is array<string>.*1\.parquet"
    ):
        read_source(spark, source(tmp_path, "parquet"))


def test_partition_folders_are_columns_whatever_the_files(read: Read, tmp_path: Path) -> None:
    for month, header in (("01", HEADER), ("02", HEADER.upper())):
        (tmp_path / "in" / f"month={month}").mkdir(parents=True)
        (tmp_path / "in" / f"month={month}" / "a b.csv").write_text(header + line(int(month)))

    assert read("in", columns={**MAPPING, "product_id": "month"}) == [("1", "C1", "01"), ("2", "C1", "02")]


# --- other relations ---


def test_customers_and_lookups_are_read_the_same_way(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffid,city\n1,Köln\n".encode())
    (tmp_path / "b.csv").write_text("City,ID\nBonn,2\n")
    customers = CustomerSource.model_validate(
        {"format": "csv", "path": str(tmp_path), "columns": {"customer_id": "id", "city": "city"}}
    )
    assert sorted(map(tuple, read_source(spark, customers).select("id", "city").collect())) == [
        ("1", "Köln"),
        ("2", "Bonn"),
    ]

    (tmp_path / "lookup.dat").write_bytes("who,land\nC1,Österreich\n".encode("cp1252"))
    joins = [
        {"format": "csv", "path": str(tmp_path / "lookup.dat"), "using": ["who"], "options": {"encoding": "cp1252"}}
    ]
    one = source(tmp_path, joins=joins)
    rows = with_lookups(spark, spark.createDataFrame([("C1",)], "who string"), one)
    assert rows.select("land").collect()[0][0] == "Österreich"
