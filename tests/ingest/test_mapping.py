"""What a mapping makes of a row: dirty values are null beside what came, and never end a run."""

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest.batches import as_accepted, as_rejected
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.expressions import columns_of, has_zone, null_safe
from customer_segmentation.ingest.sources import read_source
from customer_segmentation.ingest.transactions import typed_lines, validated_lines
from customer_segmentation.ingest.values import NumberStyle, as_id, as_number, as_text, as_timestamp, mapped

Frame = Callable[[list[tuple], str], DataFrame]
MAPPING = {"customer_id": "who", "order_id": "no", "ordered_at": "at", "amount": "value", "quantity": "pieces"}
SCHEMA = "who string, no string, at string, value string, pieces string, price string, extra string"
GOOD = {"who": "C1", "no": "1", "at": "2024-03-01", "value": "10.50", "pieces": "3", "price": "3.50", "extra": ""}


@pytest.fixture
def lines(frame: Frame) -> Callable[..., DataFrame]:
    """Rows like GOOD with changes, as a source gives them."""

    def make(*changes: dict[str, Any], schema: str = SCHEMA) -> DataFrame:
        rows = [tuple({**GOOD, **change}.values()) for change in changes]
        return frame(rows, schema).withColumn(c.SOURCE_FILE, F.lit("a file"))

    return make


def source(columns: dict[str, Any] | None = None, **more: Any) -> TransactionSource:
    return TransactionSource.model_validate({"path": "x", "columns": {**MAPPING, **(columns or {})}, **more})


def validated(spark: SparkSession, rows: DataFrame, one: TransactionSource, **more: Any) -> DataFrame:
    return validated_lines(spark, rows, one, CheckSuite(Checks(**more)))


def told(lines: DataFrame) -> dict[str, list[str]]:
    """The reasons against the lines by their customer."""
    rows = lines.select(c.ROW, c.REASONS).collect()
    return {json.loads(row[c.ROW])["who"]: row[c.REASONS] for row in rows}


EXPRESSIONS = [
    # expression, its value for the row of good values
    ("cast(t as bigint)", 3),
    ("t::int", 3),
    ("int(t)", 3),
    ("t * u", Decimal("10.50")),
    ("t + 1", 4),
    ("u - n", Decimal("1.50")),
    ("1 / n", 0.5),
    ("1 / t", Decimal(1) / 3),
    ("n % 2", 0),
    ("10 div n", 5),
    ("-u", Decimal("-3.50")),
    ("abs(u)", Decimal("3.50")),
    ("to_date(s, 'dd.MM.yyyy')", date(2024, 3, 1)),
    ("to_timestamp(s, 'dd.MM.yyyy')", datetime(2024, 3, 1)),
    ("year(to_date(s, 'dd.MM.yyyy'))", 2024),
    ("a[1]", "y"),
    ("element_at(a, 2)", "y"),
    ("split(s, '[.]')[2]", "2024"),
    ("make_date(2024, n, 1)", date(2024, 2, 1)),
    ("coalesce(cast(t as int), 0)", 3),
    ("case when u > 3 then 'dear' else 'cheap' end", "dear"),
    ("if(t in (3, 4), 'yes', 'no')", "yes"),
    ("n * 2000000000 * 2000000000", None),
    ("elt(n, s, t)", "3"),
    ("conv(t, 10, 2)", "11"),
    ("unix_timestamp(s, 'dd.MM.yyyy')", 1709251200),
    ("transform(a, x -> cast(x as int))[0]", None),
    ("decimal(t)", 3),
]


def test_an_expression_gives_null_for_what_it_cannot_compute(frame: Frame) -> None:
    rows = frame(
        [("3", "3.50", 2, "01.03.2024", ["x", "y"]), ("x", "?", 0, "99.99.2024", []), ("", " ", -7, "soon", ["z"])],
        "t string, u string, n int, s string, a array<string>",
    ).repartition(2)

    made = [mapped(text, rows).alias(f"e{i}") for i, (text, _) in enumerate(EXPRESSIONS)]
    found = {row["t"]: row for row in rows.select("t", *made).collect()}

    for i, (text, expected) in enumerate(EXPRESSIONS):
        value = found["3"][f"e{i}"]
        if isinstance(expected, Decimal):
            assert abs(Decimal(value) - expected) < Decimal("0.000001"), text
        else:
            assert value == expected, text
    dirty = {text: found["x"][f"e{i}"] for i, (text, _) in enumerate(EXPRESSIONS)}
    for text in (
        "cast(t as bigint)",
        "t * u",
        "1 / n",
        "to_date(s, 'dd.MM.yyyy')",
        "a[1]",
        "10 div n",
        "make_date(2024, n, 1)",
    ):
        assert dirty[text] is None, text
    # What can't be computed is not what was not there: neither the other branch nor the default stands for it.
    for text in ("coalesce(cast(t as int), 0)", "case when u > 3 then 'dear' else 'cheap' end", "elt(n, s, t)"):
        assert dirty[text] is None, text


def test_a_safe_form_means_the_same_and_leaves_alone_what_cannot_fail() -> None:
    from pyspark.sql.types import IntegerType, StringType

    types = {"a": StringType(), "b": StringType(), "n": IntegerType()}
    for text in (
        "a",
        "`Customer ID`",
        "land = 'DE'",
        "n > 3",
        "a like 'C%'",
        "regexp_replace(a, '[.]0$', '')",
        "'store'",
    ):
        assert null_safe(text, {**types, "land": StringType()}).sql == text
    assert null_safe("a * b", types).sql.count("DECIMAL") == 2
    assert null_safe("n * n", types).sql.lower() == "try_multiply(n, n)"
    assert not null_safe("elt(n, a)", types).is_safe
    assert columns_of("coalesce(net, gross - `Sales Tax`) + s.part") == ("net", "gross", "Sales Tax", "s")
    assert columns_of("dateadd(day, 3, at)") == ("at",)
    assert columns_of("datediff(till, since)") == ("till", "since")
    assert columns_of("transform(list, x -> x + y)") == ("list", "y")


def test_money_stays_exact_where_both_factors_are_text(spark: SparkSession, lines: Callable[..., DataFrame]) -> None:
    rows = lines({}, {"pieces": "0.1", "price": "0.30"}, {"pieces": "1234567", "price": "0.01"})

    typed = typed_lines(spark, rows, source({"amount": "pieces * price"})).select(c.AMOUNT).collect()

    assert sorted(str(row[0]) for row in typed) == ["0.03", "10.50", "12345.67"]


def test_what_could_not_be_computed_is_unreadable_and_what_was_not_there_is_missing(
    spark: SparkSession, lines: Callable[..., DataFrame]
) -> None:
    rows = lines(
        {"who": "good"},
        {"who": "text", "price": "n/a"},
        {"who": "none", "price": None, "pieces": None},
        {"who": "blank", "price": " ", "pieces": "\u00a0"},
        {"who": "date", "at": "32.03.2024"},
        {"who": "undated", "at": " "},
        {"who": "overflow", "price": "9" * 17, "pieces": "9999"},
        {"who": "infinite", "price": "1e400"},
    ).withColumn("at", F.when(F.col("at") == "2024-03-01", "01.03.2024").otherwise(F.col("at")))
    columns = {"amount": "pieces * price", "quantity": None, "ordered_at": "to_date(at, 'dd.MM.yyyy')"}

    assert told(validated(spark, rows, source(columns))) == {
        "good": [],
        "text": ["unreadable_number"],
        "none": ["missing_amount"],
        "blank": ["missing_amount"],
        "date": ["unreadable_date"],
        "undated": ["missing_date"],
        "overflow": ["unreadable_number"],
        "infinite": ["unreadable_number"],
    }


def test_a_discount_that_is_null_because_its_author_meant_it_is_none(
    spark: SparkSession, lines: Callable[..., DataFrame]
) -> None:
    rows = lines({"who": "a", "extra": "none"}, {"who": "b", "extra": "x"}, {"who": "c", "extra": "1"})

    meant = source({"discount": "case when extra = '1' then price end"})
    failed = source({"discount": "cast(nullif(extra, 'none') as decimal(9,2))"})

    assert told(validated(spark, rows, meant)) == {"a": [], "b": [], "c": []}
    assert told(validated(spark, rows, failed)) == {"a": [], "b": ["unreadable_number"], "c": []}


@pytest.mark.slow
def test_a_mark_of_returns_is_read_as_true_or_false_or_the_line_is_rejected(
    spark: SparkSession, lines: Callable[..., DataFrame]
) -> None:
    marks = {"yes": True, " N ": False, "1.0": True, "0.0": False, "NaN": False, None: False, " ": False, "R": None}
    customers = {f"C{place}": is_return for place, is_return in enumerate(marks.values())}
    rows = lines(*({"who": who, "extra": mark} for who, mark in zip(customers, marks, strict=True)))
    own, meant = source({"is_return": "extra"}), source({"is_return": "case when extra = 'R' then true end"})

    assert told(validated(spark, rows, own)) == {
        who: ["unreadable_return"] if is_return is None else [] for who, is_return in customers.items()
    }
    read = validated(spark, rows, own, severity={"unreadable_return": "warn"}).collect()
    assert {row.customer_id for row in read if row.is_return} == {"C0", "C2"}
    assert {row.customer_id: row.warnings for row in read if row.warnings} == {"C7": ["unreadable_return"]}
    assert {row.customer_id for row in validated(spark, rows, meant).collect() if row.is_return} == {"C7"}
    assert not any(told(validated(spark, rows, meant)).values())
    with_gaps = rows.withColumn("extra", F.expr("if(extra = 'R', 1d, double('NaN'))"))
    assert {row.customer_id for row in validated(spark, with_gaps, own).collect() if row.is_return} == {"C7"}


def test_amounts_that_do_not_fit_are_rejected(spark: SparkSession, lines: Callable[..., DataFrame]) -> None:
    rows = lines(
        {"who": "most", "value": "1000000000000"},
        {"who": "more", "value": "1000000000000.01"},
        {"who": "back", "value": "-2e12", "pieces": "-1"},
        {"who": "huge", "value": "1e30"},
        {"who": "not", "value": "NaN"},
        {"who": "off", "extra": "1e13"},
    )

    assert told(validated(spark, rows, source({"discount": "extra"}))) == {
        "most": [],
        "more": ["absurd_amount"],
        "back": ["absurd_amount"],
        "huge": ["unreadable_number"],
        "not": ["unreadable_number"],
        "off": ["absurd_amount"],
    }
    assert told(validated(spark, rows, source(), max_amount=5e12))["more"] == []


def test_where_compares_text_with_numbers_and_leaves_out_what_it_cannot_judge(
    spark: SparkSession, lines: Callable[..., DataFrame]
) -> None:
    rows = lines({"who": "a", "extra": "2.5"}, {"who": "b", "extra": "x"}, {"who": "c", "extra": "0"})

    assert list(told(validated(spark, rows, source(where="extra > 0")))) == ["a"]
    assert list(told(validated(spark, rows, source(where="1 / extra > 0")))) == ["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.50", "12.50"),
        ("(12.50)", "-12.50"),
        ("12.50-", "-12.50"),
        ("-12.50", "-12.50"),
        ("−12.50", "-12.50"),
        ("$12.50", "12.50"),
        ("-$12.50", "-12.50"),
        ("($12.50)", "-12.50"),
        ("$(12.50)", "-12.50"),
        ("12.50 €", "12.50"),
        ("EUR 12.50", "12.50"),
        ("12.50 USD", "12.50"),
        ("US$ 1,234.50", "1234.50"),
        ("1,234,567.89", "1234567.89"),
        ("1 234.50", "1234.50"),
        ("1\u00a0234.50", "1234.50"),
        ("1\u202f234.50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("1’234.50", "1234.50"),
        (".5", "0.50"),
        ("1,2", None),
        ("12,50", None),
        ("1.2.3", None),
        ("(12.50", None),
        ("--1", None),
        ("(-1)", None),
        ("abc", None),
        ("12 apples", None),
        ("", None),
    ],
)
def test_numbers_of_an_accountant(number_of: Callable[..., Any], text: str, expected: str | None) -> None:
    assert number_of(text, accounting=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.234,56 €", "1234.56"),
        ("(1.234,56)", "-1234.56"),
        ("€ 12,50-", "-12.50"),
        ("1 234,5", "1234.50"),
        ("1.23", None),
    ],
)
def test_numbers_of_an_accountant_with_a_decimal_comma(
    number_of: Callable[..., Any], text: str, expected: str | None
) -> None:
    assert number_of(text, accounting=True, decimal_comma=True) == expected


@pytest.fixture(scope="module")
def number_of(spark: SparkSession) -> Callable[..., Any]:
    def number(text: str, **style: bool) -> str | None:
        rows = spark.createDataFrame([(text,)], "t string")
        value = rows.select(as_number("t", "decimal(18,2)", style=NumberStyle(**style))).first()[0]
        return None if value is None else str(value)

    return number


def test_accounting_numbers_are_read_in_expressions_too(spark: SparkSession, lines: Callable[..., DataFrame]) -> None:
    rows = lines({"price": "1.234,50 €", "pieces": "2"}, {"price": "(3,50)", "pieces": "2"})

    typed = typed_lines(spark, rows, source({"amount": "pieces * price"}, decimal_comma=True, accounting=True))

    assert sorted(str(row[0]) for row in typed.select(c.AMOUNT).collect()) == ["-7.00", "2469.00"]


def test_ids_that_became_doubles_are_whole_numbers_again(frame: Frame) -> None:
    doubles = [12346.0, 12345678.0, 1e15, 123456789012345680.0, float("nan"), None, 12.5, -3.0, 0.0]
    rows = frame([(value,) for value in doubles], "d double")

    assert [row[0] for row in rows.select(as_text(F.col("d"))).collect()] == [
        "12346",
        "12345678",
        "1000000000000000",
        "123456789012345680",
        None,
        None,
        "12.5",
        "-3",
        "0",
    ]


def test_ids_of_a_database_that_has_decimals_alone_are_whole_numbers(frame: Frame) -> None:
    rows = frame([(Decimal("12346"),), (Decimal("100"),), (Decimal("1.5"),)], "d decimal(38,10)")

    assert [row[0] for row in rows.select(as_text(F.col("d"))).collect()] == ["12346", "100", "1.5000000000"]


def test_the_text_of_an_id_stays_but_for_the_trace_of_a_double(frame: Frame) -> None:
    texts = {
        "17850.0": "17850",
        "1.2345678E7": "12345678",
        "NaN": None,
        "nan": None,
        "00123": "00123",
        "007.0": "007.0",
        "17850.00": "17850.00",
        "1.5": "1.5",
        "12E5": "12E5",
        "A.0": "A.0",
        "\ufeffK1\u200b": "K1",
        "\u00a0K2 ": "K2",
        " ": None,
    }
    rows = frame([(text,) for text in texts], "t string")

    assert {row[0]: row[1] for row in rows.select("t", as_id(F.col("t"))).collect()} == texts


def test_a_local_time_is_one_of_the_source_and_an_offset_is_kept(frame: Frame) -> None:
    texts = {
        "2024-07-01 10:00:00": "2024-07-01 08:00:00",
        "2024-01-01": "2023-12-31 23:00:00",
        "2024-07-01T10:00:00Z": "2024-07-01 10:00:00",
        "2024-07-01T10:00:00+05:00": "2024-07-01 05:00:00",
        "2024-07-01 10:00:00 Asia/Tokyo": "2024-07-01 01:00:00",
        "2024-03-31 02:30:00": "2024-03-31 01:30:00",  # does not exist: half past three
        "2024-10-27 02:30:00": "2024-10-27 00:30:00",  # twice: the first
        "soon": None,
    }
    rows = frame([(text,) for text in texts], "t string")

    def told(column: Any) -> dict[str, str | None]:
        return {row[0]: row[1] for row in rows.select("t", column.cast("string")).collect()}

    assert told(as_timestamp(F.col("t"), [], timezone="Europe/Berlin")) == texts
    patterns = ["yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ssXXX"]
    by_pattern = told(as_timestamp(F.col("t"), patterns, timezone="Europe/Berlin"))
    assert by_pattern["2024-07-01 10:00:00"] == "2024-07-01 08:00:00"
    assert by_pattern["2024-07-01T10:00:00+05:00"] == "2024-07-01 05:00:00"
    assert [has_zone(layout) for layout in ("dd.MM.yyyy", "yyyy-MM-dd'Z'", "dd.MM.yy X", "HH:mm VV", "z")] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_dates_and_local_timestamps_are_of_the_zone_and_moments_are_not(frame: Frame) -> None:
    rows = frame(
        [(date(2024, 7, 1), datetime(2024, 7, 1, 10), datetime(2024, 7, 1, 10))], "d date, n timestamp_ntz, m timestamp"
    )

    row = rows.select(
        *(as_timestamp(F.col(name), [], timezone="Europe/Berlin").cast("string") for name in "dnm")
    ).first()

    assert tuple(row) == ("2024-06-30 22:00:00", "2024-07-01 08:00:00", "2024-07-01 10:00:00")


def test_the_bounds_of_days_are_local(spark: SparkSession, lines: Callable[..., DataFrame]) -> None:
    rows = lines({"who": "late", "at": "2024-06-30 23:30:00"}, {"who": "next", "at": "2024-07-01 00:30:00"})
    berlin = source(timezone="Europe/Berlin")

    checks = CheckSuite(known_before=date(2024, 7, 1), timezone="Europe/Berlin")

    assert told(validated_lines(spark, rows, berlin, checks)) == {"late": [], "next": ["date_in_future"]}
    assert told(validated_lines(spark, rows, source(), checks)) == {
        "late": [],
        "next": ["date_in_future"],
    }


def test_a_time_zone_that_there_is_not_is_rejected() -> None:
    with pytest.raises(ValidationError, match="is not a time zone"):
        source(timezone="Europe/Berlim")


@pytest.mark.parametrize("with_flag", [True, False])
def test_money_given_back_without_goods_is_a_return(
    spark: SparkSession, lines: Callable[..., DataFrame], with_flag: bool
) -> None:
    rows = lines(
        {"who": "back", "value": "-15", "pieces": "0", "extra": "refund"},
        {"who": "unsigned", "value": "15", "pieces": "0", "extra": "refund"},
        {"who": "none", "value": "-15", "pieces": None, "extra": "refund"},
        {"who": "nothing", "value": "0", "pieces": "0", "extra": "refund"},
        {"who": "sale", "value": "15", "pieces": "0"},
    )
    lines_ = validated(spark, rows, source({"is_return": "extra = 'refund'"} if with_flag else {}))

    accepted = {row[c.CUSTOMER_ID]: row for row in as_accepted(lines_).collect()}
    reasons = {name: codes for name, codes in told(lines_).items() if codes}

    assert set(accepted) == ({"back", "unsigned", "none"} if with_flag else {"back"})
    assert all(
        (row[c.QUANTITY], row[c.AMOUNT], row[c.IS_RETURN]) == (0, Decimal(-15), True) for row in accepted.values()
    )
    assert reasons["sale"] == ["zero_quantity"]
    assert "zero_quantity" in reasons["nothing"]


def line_ids(spark: SparkSession, rows: DataFrame, one: TransactionSource | None = None) -> list[int]:
    return [row[0] for row in typed_lines(spark, rows, one or source()).select(c.LINE_ID).collect()]


def test_what_makes_a_line_is_what_is_mapped(spark: SparkSession, lines: Callable[..., DataFrame]) -> None:
    first = line_ids(spark, lines({}, {"value": "11"}, {"who": None}, {"pieces": None}, {"value": "x"}, {"value": "y"}))

    assert len(set(first)) == 6
    assert line_ids(spark, lines({"extra": "another export"})) == first[:1]
    assert line_ids(spark, lines({}).withColumn("later", F.lit(1))) == first[:1]
    # As typed: written otherwise, it is the same.
    assert line_ids(spark, lines({"value": "10.5", "at": "2024-03-01 00:00:00", "who": " C1"})) == first[:1]
    assert line_ids(spark, lines({}).withColumn("pieces", F.lit(3))) == first[:1]


def test_the_place_of_a_null_makes_a_difference(spark: SparkSession, lines: Callable[..., DataFrame]) -> None:
    rows = lines({"who": "a", "no": None}, {"who": None, "no": "a"})

    assert len(set(line_ids(spark, rows))) == 2


def test_a_column_of_a_lookup_does_not_make_a_line(
    spark: SparkSession, lines: Callable[..., DataFrame], tmp_path: Path
) -> None:
    ids = []
    for department in ("Dairy", "Bakery"):
        (tmp_path / "products.csv").write_text(f"no,department\n1,{department}\n")
        joins = [{"format": "csv", "path": str(tmp_path / "products.csv"), "using": ["no"]}]
        ids += line_ids(spark, lines({}), source({"category": "upper(department)"}, joins=joins))

    assert ids[0] == ids[1] == line_ids(spark, lines({}))[0]


def test_what_a_lookup_is_asked_for_makes_a_line(
    spark: SparkSession, lines: Callable[..., DataFrame], tmp_path: Path
) -> None:
    (tmp_path / "products.csv").write_text("extra,sku\npen,P1\ncup,P2\n")
    joins = [{"format": "csv", "path": str(tmp_path / "products.csv"), "using": ["extra"]}]
    rows = lines({"extra": "pen"}, {"extra": "cup"}, {"extra": "cup"}, {"extra": "pan"}, {"extra": "pot"})

    by_sku = line_ids(spark, rows, source({"product_id": "sku"}, joins=joins))
    by_either = line_ids(spark, rows, source({"product_id": "coalesce(sku, extra)"}, joins=joins))
    by_itself = line_ids(spark, rows, source({"product_id": "extra", "category": "sku"}, joins=joins))

    assert len(set(by_sku)) == len(set(by_either)) == 4
    assert set(by_itself) == set(line_ids(spark, rows, source({"product_id": "extra"})))
    assert len(set(line_ids(spark, rows, source({"category": "'none'"}, joins=joins)))) == 1, "nothing is asked for"


BERLIN = datetime(2024, 7, 1, 8)


@pytest.mark.parametrize(
    ("expression", "instant"),
    [
        ("at", BERLIN),
        ("to_timestamp(at)", BERLIN),
        ("cast(concat(day, ' 10:00') as timestamp)", BERLIN),
        ("cast(zoned as timestamp)", datetime(2024, 7, 1, 15)),
        ("coalesce(try_to_timestamp(at, 'dd.MM.yyyy HH:mm'), try_to_timestamp(at, 'yyyy-MM-dd HH:mm'))", BERLIN),
        ("case when at is null then null else to_timestamp(at, 'yyyy-MM-dd HH:mm') end", BERLIN),
        ("if(day = '', null, to_timestamp(at, 'yyyy-MM-dd HH:mm'))", BERLIN),
        ("timestamp_seconds(seconds)", datetime(2024, 7, 1, 10)),
        ("cast(seconds as timestamp)", datetime(2024, 7, 1, 10)),
    ],
)
def test_a_time_without_offset_is_of_the_sources_zone_however_it_is_read(
    spark: SparkSession, expression: str, instant: datetime
) -> None:
    row = ("C1", "1", "2024-07-01 10:00", "2024-07-01", "2024-07-01T10:00:00-05:00", 1719828000, "1", "1")
    schema = "who string, no string, at string, day string, zoned string, seconds long, value string, pieces string"
    rows = spark.createDataFrame([row], schema).withColumn(c.SOURCE_FILE, F.lit("a file"))

    (line,) = typed_lines(
        spark, rows, source({"ordered_at": expression}, timezone="Europe/Berlin"), timezone="UTC"
    ).collect()

    assert line[c.ORDERED_AT] == instant


def test_a_missing_column_names_the_source_or_the_lookup(
    spark: SparkSession, lines: Callable[..., DataFrame], tmp_path: Path
) -> None:
    (tmp_path / "products.csv").write_text("product,department\nP1,Dairy\n")
    joins = [{"format": "csv", "path": str(tmp_path / "products.csv"), "using": ["no"]}]

    with pytest.raises(
        DataRejectedError, match=r"the look-up .*products\.csv.* no column no; .*It has product, department"
    ):
        typed_lines(spark, lines({}), source(joins=joins))
    joins[0]["using"] = ["product"]
    with pytest.raises(DataRejectedError, match=r"products\.csv is joined by .* no column product; .*It has who, no"):
        typed_lines(spark, lines({}), source(joins=joins))
    rows = lines({}).withColumn("product", F.lit("P1"))
    with pytest.raises(
        DataRejectedError,
        match=r"no column departement; did you mean department\? It has who.*; its look-ups add department",
    ):
        typed_lines(spark, rows, source({"category": "departement"}, joins=joins))
    with pytest.raises(DataRejectedError, match=r"no column lnd; .*It has who"):
        typed_lines(spark, rows, source(where="lnd = 'DE'"))


def test_a_broken_line_is_not_taken_for_another_broken_line(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("who,no,at,value,pieces\nbroken\nbroken,too\nC1,1,2024-03-01,1,1,x\n")
    csv = TransactionSource.model_validate({"format": "csv", "path": str(tmp_path / "lines.csv"), "columns": MAPPING})

    rows = (
        as_rejected(validated(spark, read_source(spark, csv), csv), batch_id="b").select(c.LINE_ID, c.REASONS).collect()
    )

    assert len({row[0] for row in rows}) == 3
    assert all("malformed_line" in row[1] for row in rows)
