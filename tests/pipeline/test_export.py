"""Audiences: customers of the published run in a file for a marketing tool."""

import io
import stat
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from customer_segmentation.cli import main
from customer_segmentation.config.audience import Audience
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.contract.tables import CUSTOMER_SEGMENTS
from customer_segmentation.stages import export_audience
from customer_segmentation.stages.audience_file import write_file
from tests.generated import configured, quiet


@pytest.fixture
def published(generated: Path) -> pd.DataFrame:
    return DeltaTable(str(generated / "tables" / "customer_segments")).to_pandas()


@pytest.fixture
def features(generated: Path, published: pd.DataFrame) -> pd.DataFrame:
    rows = DeltaTable(str(generated / "tables" / "customer_features")).to_pandas()
    return rows[rows.run_id == published.run_id[0]]


def export(spark: SparkSession, generated: Path, audience: Audience) -> str:
    return export_audience(quiet(spark, configured(generated, "tables")), audience)


def test_everybody_goes_to_a_parquet_file_as_the_table_has_them(
    spark: SparkSession, generated: Path, published: pd.DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "a new folder" / "all.parquet"

    told = export(spark, generated, Audience(file))

    written = pq.read_table(file)
    assert written.column_names == CUSTOMER_SEGMENTS.column_names
    table = DeltaTable(str(generated / "tables" / "customer_segments")).to_pyarrow_table()
    by_customer = {row["customer_id"]: row for row in table.to_pylist()}
    assert {row["customer_id"]: row for row in written.to_pylist()} == by_customer
    assert written.num_rows == len(published)
    places = list(zip(written["segment_id"].to_pylist(), written["rank_in_segment"].to_pylist(), strict=True))
    assert places == sorted(places)
    assert told == f"{len(published)} customers of all segments, run {published.run_id[0]}: {file}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["all.parquet"]


def test_the_best_of_some_segments_for_whom_a_condition_over_all_tables_holds(
    spark: SparkSession, generated: Path, published: pd.DataFrame, features: pd.DataFrame, tmp_path: Path
) -> None:
    customers = DeltaTable(str(generated / "tables" / "customers")).to_pandas()
    attribute = next(name for name in customers.columns if customers[name].nunique() in range(2, 12))
    value = customers[attribute].mode()[0]
    first, second = published.segment_id.drop_duplicates().sort_values().iloc[:2]
    name = published[published.segment_id == first].segment_name.iloc[0]
    longest = float(features.recency_days.quantile(0.9))
    where = f"recency_days <= {longest} AND `{attribute}` = '{value}' AND confidence >= 0"
    file = tmp_path / "best.csv"

    export(
        spark,
        generated,
        Audience(
            file,
            segments=[name.upper(), str(second)],
            where=where,
            columns=["customer_id", "Segment_Name", "monetary", attribute, "drivers"],
            limit=7,
        ),
    )

    written = pd.read_csv(file, dtype={"customer_id": str})
    known = published.merge(features[["customer_id", "recency_days", "monetary"]], on="customer_id")
    known = known.merge(customers[["customer_id", attribute]], on="customer_id", how="left")
    expected = known[known.segment_id.isin([first, second])].query(f"recency_days <= {longest}")
    expected = expected[expected[attribute] == value].sort_values(["segment_id", "rank_in_segment"])
    expected = expected.groupby("segment_id").head(7)
    assert len(expected) > 7, "the case has customers of both segments"
    assert list(written.columns) == ["customer_id", "Segment_Name", "monetary", attribute, "drivers"]
    assert list(written.customer_id) == list(expected.customer_id)
    assert list(written.monetary) == [float(amount) for amount in expected.monetary]
    assert written.drivers.str.startswith('[{"feature":').all()


def test_a_csv_file_has_no_nested_columns_unless_they_are_asked_for(
    spark: SparkSession, generated: Path, published: pd.DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "all.csv"

    export(spark, generated, Audience(file))

    written = pd.read_csv(file, float_precision="round_trip").set_index("customer_id")
    expected = published.drop(columns="drivers").set_index("customer_id").loc[written.index]
    assert list(written.columns) == list(expected.columns)
    for column in written.columns:
        assert [_text(value) for value in written[column]] == [_text(value) for value in expected[column]], column


def _text(value: object) -> str:
    """A value as text, whatever type a reader gave it."""
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def test_a_condition_that_cannot_be_computed_of_a_customer_does_not_hold(
    spark: SparkSession, generated: Path, tmp_path: Path
) -> None:
    told = export(spark, generated, Audience(tmp_path / "none.csv", where="CAST(customer_id AS int) / 0 > 1"))

    assert told.startswith("0 customers")
    assert (tmp_path / "none.csv").read_text().count("\n") == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"segments": ["Nobody knows"]}, "--segment Nobody knows: the published run has no such segment; it has "),
        ({"where": "recency_dais > 3"}, "--where: there is no column recency_dais; did you mean recency_days?"),
        ({"where": "recency_days + 1"}, "--where must be true or false for a customer"),
        ({"columns": ["customer_id", "nmae"]}, "--columns: there is no column nmae;"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_is_written(
    spark: SparkSession, generated: Path, tmp_path: Path, asked: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        export(spark, generated, Audience(tmp_path / "audience.csv", **asked))  # type: ignore[arg-type]

    assert said in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--output", "audience.xls"], "--output audience.xls: its name ends in neither .csv nor .parquet"),
        (["--output", "a.csv", "--limit", "0"], "--limit 0: must be 1 or more"),
        (["--output", "a.csv", "--where", "exists (SELECT 1)"], "may only use the row's own columns"),
        (["--output", "tests"], "--output tests: "),
    ],
)
def test_what_is_asked_for_in_a_wrong_way_is_told_before_spark_starts(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--config", "conf/demo.yml", *options]) == 2

    assert said in capsys.readouterr().err


def test_nothing_is_exported_before_anything_is_published(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing is published yet; run `customer-segmentation run` first"):
        export(spark, tmp_path, Audience(tmp_path / "audience.csv"))


def test_text_of_any_kind_comes_back_from_a_csv_file(spark: SparkSession, tmp_path: Path) -> None:
    texts = ["", None, 'a "quoted" one', "two\nlines", "a, b; c", "=1+1", "Zoë 🛒", "NULL", " spaces "]
    file = tmp_path / "texts.csv"

    assert write_file(spark.createDataFrame([(text,) for text in texts], "text string").coalesce(1), file, "csv") == 9

    read = pd.read_csv(
        io.StringIO(file.read_text("utf-8")), keep_default_na=False, na_values=[], skip_blank_lines=False
    )
    assert list(read.text) == [text or "" for text in texts]
    assert file.read_bytes().splitlines()[1:3] == [b'""', b""]


def test_a_file_that_could_not_be_written_whole_leaves_the_one_before(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "audience.csv"
    file.write_text("of before")
    rows = spark.range(10).selectExpr("id", "IF(id = 9, raise_error('no more'), 'x') AS text")

    with pytest.raises(Exception, match="no more"):
        write_file(rows, file, "csv")

    assert file.read_text() == "of before"
    assert [path.name for path in tmp_path.iterdir()] == ["audience.csv"]


def test_what_a_killed_export_left_of_its_file_is_removed_by_the_next(spark: SparkSession, tmp_path: Path) -> None:
    for name in (".audience.csv.writing-x1y2z3", ".other.csv.writing-x1y2z3", ".audience.csv.bak"):
        (tmp_path / name).write_text("customers")

    write_file(spark.range(1), tmp_path / "audience.csv", "csv")

    assert {path.name for path in tmp_path.iterdir()} == {
        "audience.csv",
        ".audience.csv.bak",
        ".other.csv.writing-x1y2z3",
    }
