"""Attributes of any name and type, ids that match nothing, and events that are delivered twice."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config import Config
from customer_segmentation.config.schema import CustomerSource, EngagementSource, Value
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.contract.features.value import value_features
from customer_segmentation.features.attributes import with_attributes, with_has_attributes
from customer_segmentation.ingest import rejections
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.ingest.customers import (
    RESERVED,
    attributes,
    describe_renamed,
    mapped_customers,
    renamed_attributes,
    validated_customers,
)
from customer_segmentation.ingest.engagement import validated_events
from customer_segmentation.insight.traits import traits
from customer_segmentation.stages import Run, ingest_sources
from customer_segmentation.stages.assign import assign_segments
from customer_segmentation.stages.builds import COMMITTED
from customer_segmentation.stages.features import build_features, clustered_features
from customer_segmentation.stages.ingest.entities import entity_loads
from customer_segmentation.stages.train import train_segments
from customer_segmentation.storage import Warehouse
from tests.csv_lines import Sheet
from tests.generated import quiet
from tests.warehouse import read

OURS = ["customer_id", "has_attributes", "segment_id", "run_id", "as_of_date", "frequency", "monetary", "confidence"]
NOT_OURS = ["row", "reasons", "source_file", "__row", "value", "features", "weight", "prediction", "point", "name"]


def parquet_source(folder: Path, table: pd.DataFrame, *, customer_id: str = "who", **mapped: str) -> CustomerSource:
    path = folder / "customers.parquet"
    table.to_parquet(path, index=False)
    return CustomerSource(path=str(path), columns={"customer_id": customer_id, **mapped})


def test_an_attribute_may_have_any_name_and_is_renamed_only_where_ours_has_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    names = [*OURS, *(name.upper() for name in NOT_OURS), "Segment-Name"]
    source = parquet_source(tmp_path, pd.DataFrame({"who": ["C1"], **{name: [name] for name in names}}))

    validated = validated_customers(spark, [source])
    rows = rejections.accepted(validated)

    renamed = {name: f"source_{name}" for name in OURS} | {"Segment-Name": "source_Segment_Name"}
    assert rows.first().asDict() == {"customer_id": "C1"} | {renamed.get(name, name): name for name in names}
    assert renamed_attributes(rows) == {name: source_name for source_name, name in renamed.items()}
    assert "'frequency' is source_frequency" in describe_renamed(rows)
    assert not RESERVED & {name.lower() for name in attributes(validated)}


@pytest.mark.parametrize("name", ["Run_ID", "FREQUENCY", "Customer_Id"])
def test_upper_and_lower_case_make_no_other_name(spark: SparkSession, tmp_path: Path, name: str) -> None:
    source = parquet_source(tmp_path, pd.DataFrame({"who": ["C1"], name: ["x"]}))

    assert rejections.accepted(validated_customers(spark, [source])).columns == ["customer_id", f"source_{name}"]


def test_a_mapped_attribute_named_like_a_column_of_ours_is_renamed(spark: SparkSession, tmp_path: Path) -> None:
    source = parquet_source(tmp_path, pd.DataFrame({"who": ["C1"], "f": [7]}), frequency="f", id="f + 1", row="f + 2")

    assert rejections.accepted(validated_customers(spark, [source])).collect() == [("C1", 7, 8, 9)]
    assert attributes(mapped_customers(spark, [source])) == ["source_frequency", "id", "row"]


def test_names_that_become_equal_are_told_apart_by_numbers(spark: SparkSession, tmp_path: Path) -> None:
    names = ["First Name", "first-name", "first_name", "First.Name", "%", "first_name_2", "Größe"]
    source = parquet_source(tmp_path, pd.DataFrame({"who": ["C1"], **{name: [name] for name in names}}))

    (row,) = rejections.accepted(validated_customers(spark, [source])).collect()

    assert row.asDict() == {
        "customer_id": "C1",
        "First_Name_3": "First Name",
        "first_name_4": "first-name",
        "first_name": "first_name",
        "First_Name_5": "First.Name",
        "_": "%",
        "first_name_2": "first_name_2",
        "Größe": "Größe",
    }


@pytest.mark.parametrize("customer_id", ["Who", "`Who`", "who"])
def test_the_column_of_the_id_is_no_attribute_however_it_is_written(
    spark: SparkSession, tmp_path: Path, customer_id: str
) -> None:
    source = parquet_source(tmp_path, pd.DataFrame({"Who": ["C1"], "city": ["Bonn"]}), customer_id=customer_id)

    assert attributes(mapped_customers(spark, [source])) == ["city"]


def test_a_source_with_a_column_source_file_is_read_with_it_and_where_it_came_from(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("who,Source_File,source\nC1,a,x\n,b,y\n")
    source = CustomerSource(format="csv", path=str(path), where="source_file <> 'c'", columns={"customer_id": "who"})

    validated = validated_customers(spark, [source])

    assert rejections.accepted(validated).collect() == [("C1", "a", "x")]
    (rejected,) = rejections.rejected(validated, batch_id="b").collect()
    assert json.loads(rejected[c.ROW]) == {"who": None, "Source_File": "b", "source": "y"}
    assert rejected[c.SOURCE_FILE].endswith("customers.csv")


def test_attributes_of_any_type_are_kept_in_a_type_that_a_table_has(
    spark: SparkSession, tmp_path: Path, frame: Callable[..., DataFrame]
) -> None:
    frame(
        [("C1", {"a": 1}, datetime(2024, 1, 2), ["x"], None), ("C1", {"a": 2}, datetime(2024, 1, 1), ["y"], None)],
        "who string, tags map<string,int>, since timestamp_ntz, likes array<string>, nothing string",
    ).select(
        "*",
        F.expr("named_struct('first name', 'Ada')").alias("person"),
        F.expr("array(named_struct('a', 1))").alias("pets"),
        F.expr("interval 3 days").alias("wait"),
    ).write.parquet(str(tmp_path / "p"))
    source = CustomerSource(path=str(tmp_path / "p"), columns={"customer_id": "who"})
    void = CustomerSource(path=str(tmp_path / "p"), columns={"customer_id": "who", "nothing": "null"})

    rows = rejections.accepted(validated_customers(spark, [source]))
    rows.write.format("delta").save(str(tmp_path / "d"))

    (kept,) = spark.read.format("delta").load(str(tmp_path / "d")).collect()
    assert kept.asDict() == {
        "customer_id": "C1",
        "tags": '{"a":2}',
        "since": datetime(2024, 1, 1),
        "likes": ["y"],
        "nothing": None,
        "person": '{"first name":"Ada"}',
        "pets": '[{"a":1}]',
        "wait": "INTERVAL '3' DAY",
    }
    assert dict(mapped_customers(spark, [void]).dtypes)["nothing"] == "string"


def test_sources_that_disagree_on_an_attribute_are_put_together(spark: SparkSession, tmp_path: Path) -> None:
    for name, table in (
        ("a", pd.DataFrame({"who": ["C1"], "Age": [41], "score": [1], "Since": [True]})),
        ("b", pd.DataFrame({"who": ["C2"], "age": ["40-49"], "score": [1.5], "City": ["Bonn"]})),
    ):
        (tmp_path / name).mkdir()
        table.to_parquet(tmp_path / name / "customers.parquet", index=False)
    sources = [CustomerSource(path=str(tmp_path / name), columns={"customer_id": "who"}) for name in "ab"]

    rows = {
        row[c.CUSTOMER_ID]: row.asDict() for row in rejections.accepted(validated_customers(spark, sources)).collect()
    }

    assert rows == {
        "C1": {"customer_id": "C1", "Age": "41", "score": 1.0, "Since": True, "City": None},
        "C2": {"customer_id": "C2", "Age": "40-49", "score": 1.5, "Since": None, "City": "Bonn"},
    }


def test_a_copy_of_a_customer_and_a_second_row_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    table = pd.DataFrame({"who": ["C1", "C1", "C1", None, None], "age": [41, 41, 40, 1, 1]})

    validated = validated_customers(spark, [parquet_source(tmp_path, table)])

    assert rejections.accepted(validated).collect() == [("C1", 41)]
    assert rejections.count_rows(validated).by_reason == {"missing_customer": 2, "another_row": 2}


EVENTS = "who,at,kind,by,campaign,note\n"
EVENT_COLUMNS = {"customer_id": "who", "occurred_at": "at", "event_type": "kind", "channel": "by"}


def test_an_event_that_is_delivered_twice_is_one_event_and_its_copies_are_rejected_as_they_came(
    spark: SparkSession, tmp_path: Path
) -> None:
    for day, lines in (
        ("1", ["C1,2024-06-01 10:00:00,mail,web,S,first", "C1,2024-06-01 10:00:00,mail,,S,no channel"]),
        (
            "2",
            [
                "C1,2024-06-01 10:00:00,mail,web,S,again",
                " C1 ,2024-06-01T10:00:00Z,mail,web,S,written otherwise",
                "C1,2024-06-01 10:00:00,mail,,S,no channel again",
                "C1,2024-06-01 10:00:01,mail,web,S,later",
                "C1,2024-06-01 10:00:00,click,web,S,another type",
                "C1,2024-06-01 10:00:00,mail,web,T,another campaign",
                "C2,2024-06-01 10:00:00,mail,web,S,another customer",
                ",2024-06-01 10:00:00,mail,web,S,nobody",
                ",2024-06-01 10:00:00,mail,web,S,nobody",
            ],
        ),
    ):
        (tmp_path / f"{day}.csv").write_text(EVENTS + "\n".join(lines) + "\n")
    source = EngagementSource(format="csv", path=str(tmp_path), columns={**EVENT_COLUMNS, "campaign_id": "campaign"})

    validated = validated_events(spark, [source])

    assert rejections.accepted(validated).count() == 6
    assert rejections.accepted(validated).distinct().count() == 6
    assert rejections.count_rows(validated) == RowCounts(11, 6, 5, by_reason={"missing_customer": 2, "duplicate": 3})
    rejected = rejections.rejected(validated, batch_id="b").where("array_contains(reasons, 'duplicate')").collect()
    notes = {json.loads(row[c.ROW])["note"] for row in rejected}
    assert notes == {"again", "written otherwise", "no channel again"}
    assert rejections.rejected(validated_events(spark, [source]), batch_id="b").count() == 5


def test_whether_a_customer_has_attributes_is_told_and_those_asked_for_are_texts(
    frame: Callable[..., DataFrame],
) -> None:
    features = frame([("C1",), ("C2",)], "customer_id string")
    customers = frame([("C1", 41, "Bern", True)], "customer_id string, age int, city string, member boolean")

    told = {row[0]: row[1] for row in with_has_attributes(features, customers).collect()}
    rows = {row[0]: tuple(row) for row in with_attributes(features, customers, ["age", "member"]).collect()}

    assert told == {"C1": True, "C2": False}
    assert [row[1] for row in with_has_attributes(features, None).collect()] == [False, False]
    assert rows == {"C1": ("C1", "41", "true"), "C2": ("C2", None, None)}


def test_traits_are_told_of_attributes_with_any_name(frame: Callable[..., DataFrame]) -> None:
    people = [(f"C{number}", number % 2, "yes" if number % 2 else "no") for number in range(200)]
    assigned = frame([row[:2] for row in people], "customer_id string, segment_id int")
    customers = frame(
        [(who, value, value) for who, _, value in people], "customer_id string, segment_id string, count string"
    )

    told = traits(assigned, customers)

    assert [trait["attribute"] for trait in told[1]] == ["count", "segment_id"]
    assert {trait["value"] for trait in told[1]} == {"yes"}


ORDERS = Sheet(customer="C1", order="O1", at="2024-03-01 12:00:00", price="5.00", number="1")


def shop(folder: Path, customers: pd.DataFrame | None, *, day: int = 20, **settings: Any) -> Config:
    """A shop of 40 customers until a day of March, half of whom buy much, with a table of customers."""
    lines = [
        ORDERS.line(
            customer=f"C{who}",
            order=f"O{who}-{number}",
            at=f"2024-03-{1 + (7 * who + number) % (day - 1):02} 12:00:00",
            price=str(5 + who % 3 + 200 * (who % 2)),
        )
        for who in range(40)
        for number in range(2 + 6 * (who % 2))
    ]
    ORDERS.written(folder / "orders.csv", lines)
    source = {
        "format": "csv",
        "path": str(folder / "orders.csv"),
        "columns": {"customer_id": "customer", "order_id": "order", "ordered_at": "at", "unit_price": "price"},
    }
    sources: dict[str, Any] = {"transactions": [source]}
    if customers is not None:
        customers.to_parquet(folder / "customers.parquet", index=False)
        sources["customers"] = [{"path": str(folder / "customers.parquet"), "columns": {"customer_id": "who"}}]
    values = {"sources": sources, "tables": {"root": str(folder / "tables")}}
    return Config.model_validate(values | settings)


def clustered_by(*names: str) -> dict[str, Any]:
    return {
        "features": ["frequency", "monetary"],
        "k": 2,
        "retrain_after_days": 0,
        "preparation": {"attributes": list(names)},
    }


class Told:
    """The results of a run's stages by name."""

    def __init__(self, spark: SparkSession, config: Config, caplog: pytest.LogCaptureFixture) -> None:
        caplog.clear()
        self.run = quiet(spark, config)
        with caplog.at_level("INFO", logger="customer_segmentation"):
            ingest_sources(self.run)
            build_features(self.run)
        self.results = {
            record.args[0]: record.args[2] for record in caplog.records if record.msg == "%s: done in %.1f s: %s"
        }


def whole(run: Run) -> None:
    ingest_sources(run)
    build_features(run)
    train_segments(run)
    assign_segments(run)


def load_customers(spark: SparkSession, config: Config) -> str:
    """Reads customers alone, the order lines being there; says what was found."""
    return entity_loads(quiet(spark, config))["customers"]()


@pytest.mark.slow
def test_another_source_that_was_half_read_leaves_nothing_once_the_first_one_is_back(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shop(tmp_path, pd.DataFrame({"who": ["C1"], "city": ["Bonn"]}))
    ingest_sources(quiet(spark, config))
    (tmp_path / "other").mkdir()
    other = shop(tmp_path / "other", pd.DataFrame({"who": ["C1", "C2"], "city": ["Ulm", "Ulm"]}))
    other = other.model_copy(update={"tables": config.tables})
    append_rows = Warehouse.append_rows

    def killed_before_its_record(self: Warehouse, table: t.Table, rows: list[dict[str, Any]]) -> None:
        if table is t.TABLE_BUILDS and rows[0]["status"] == COMMITTED:
            raise KeyboardInterrupt
        append_rows(self, table, rows)

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "append_rows", killed_before_its_record)
        with pytest.raises(KeyboardInterrupt):
            load_customers(spark, other)
    assert set(read(tmp_path / "tables", "customers").city) == {"Ulm"}
    with pytest.raises(ConfigurationError, match="customers may have rows of other sources"):
        quiet(spark, config).inputs.customers()

    assert load_customers(spark, config).startswith("1 rows in = 1 accepted")
    assert read(tmp_path / "tables", "customers").city.tolist() == ["Bonn"]
    assert load_customers(spark, config) == "unchanged"
    assert quiet(spark, config).inputs.customers().count() == 1


@pytest.mark.long
@pytest.mark.slow
def test_customers_are_clustered_by_attributes_of_any_name(spark: SparkSession, tmp_path: Path) -> None:
    names = [*NOT_OURS[:3], *NOT_OURS[4:], "id", "count", "customers", "segment", "source_segment_id", "of"]
    table = pd.DataFrame({"who": [f"C{who}" for who in range(40)]})
    for place, name in enumerate(names):
        table[name if name != "source_segment_id" else "Segment_ID"] = [f"{(who + place) % 2}" for who in range(40)]
    asked = ["source_Segment_ID" if name == "source_segment_id" else name for name in names]

    whole(quiet(spark, shop(tmp_path, table, clustering=clustered_by(*asked))))

    assert len(read(tmp_path / "tables", "customer_segments")) == 40
    assert "row" not in read(tmp_path / "tables", "customer_features").columns


@pytest.mark.long
@pytest.mark.slow
def test_an_attribute_that_changes_its_type_stops_no_later_run(spark: SparkSession, tmp_path: Path) -> None:
    people = [f"C{who}" for who in range(40)]
    tables = [
        pd.DataFrame(
            {"who": people, "age": [20 + who % 3 for who in range(40)], "vip": [who % 2 == 0 for who in range(40)]}
        ),
        pd.DataFrame({"who": people, "AGE": [f"{who % 3} dozen" for who in range(40)], "vip": [1.5, 2.5] * 20}),
    ]

    for day, table in zip((20, 22), tables, strict=True):
        whole(quiet(spark, shop(tmp_path, table, day=day, clustering=clustered_by("age", "vip"))))

    features = read(tmp_path / "tables", "customer_features")
    of_value = {each.name for each in value_features(Value().horizons)}
    assert set(features.columns) == {*t.CUSTOMER_FEATURES.column_names, *of_value}
    assert features.has_attributes.all()
    assert len(read(tmp_path / "tables", "pipeline_runs")) == 2


@pytest.mark.long
@pytest.mark.slow
def test_attributes_that_are_mapped_by_name_stand_beside_the_features_as_text(
    spark: SparkSession, tmp_path: Path
) -> None:
    table = pd.DataFrame({"who": ["C1", "C2"], "years": [41, 17], "id": ["a", "b"], "other": ["x", "y"]})
    config = shop(tmp_path, table)
    sources = config.sources.model_dump(exclude_none=True, by_alias=True)
    sources["customers"][0]["columns"] |= {"age": "years", "id": "id", "frequency": "other"}
    run = quiet(spark, Config.model_validate(config.model_dump(by_alias=True) | {"sources": sources}))
    ingest_sources(run)
    build_features(run)

    features = run.warehouse.read(t.CUSTOMER_FEATURES)
    added = ["customer_age", "customer_id_text", "customer_frequency"]

    always = [*t.CUSTOMER_FEATURES.column_names, *(each.name for each in value_features(config.value.horizons))]
    assert features.columns == [*always, *added]
    assert features.select(added).where("customer_id = 'C1'").collect() == [("41", "a", "x")]
    assert "Attribute age" in features.schema["customer_age"].metadata["comment"]
    assert clustered_features(run).columns == always


@pytest.mark.long
@pytest.mark.slow
def test_a_table_of_features_that_holds_attributes_of_an_earlier_release_is_written_on(
    spark: SparkSession, tmp_path: Path
) -> None:
    config = shop(tmp_path, pd.DataFrame({"who": ["C1"], "age": ["young"]}))
    run = quiet(spark, config)
    ingest_sources(run)
    build_features(run)
    with_age = run.warehouse.read(t.CUSTOMER_FEATURES).withColumn("customer_age", F.lit(41.0))
    location = run.warehouse.location(t.CUSTOMER_FEATURES)
    with_age.write.format("delta").mode("overwrite").option("overwriteSchema", "true").partitionBy(c.RUN_ID).save(
        location
    )

    later = quiet(
        spark, shop(tmp_path, pd.DataFrame({"who": ["C1"], "age": ["young"]}), day=22, clustering=clustered_by("age"))
    )
    ingest_sources(later)
    build_features(later)

    of_value = [each.name for each in value_features(config.value.horizons)]
    assert clustered_features(later).columns == [*t.CUSTOMER_FEATURES.column_names, *of_value, "age"]
    assert clustered_features(later).where("age = 'young'").count() == 1


@pytest.mark.long
@pytest.mark.slow
def test_attributes_that_are_not_there_are_told_with_those_that_may_be_meant(
    spark: SparkSession, tmp_path: Path
) -> None:
    table = pd.DataFrame({"who": ["C1"], "frequency": ["often"], "home_city": ["Bonn"]})
    run = quiet(spark, shop(tmp_path, table))
    ingest_sources(run)
    build_features(run)

    for asked, hint in (
        ("frequency", "did you mean source_frequency?"),
        ("homecity", "did you mean home_city?"),
        ("xyz", "known here: source_frequency, home_city"),
    ):
        config = run.config.model_copy(
            update={
                "clustering": run.config.clustering.model_copy(
                    update={"preparation": run.config.clustering.preparation.model_copy(update={"attributes": [asked]})}
                )
            }
        )
        with pytest.raises(ConfigurationError) as error:
            clustered_features(quiet(spark, config))
        assert f"{asked} is not among the customers' attributes; {hint}" in str(error.value)


@pytest.mark.long
@pytest.mark.slow
def test_ids_that_match_nothing_are_told_with_their_share_and_no_id_is(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = pd.DataFrame({"who": [*(f"C{who}" for who in range(30)), *(f"X{who}" for who in range(10))], "run_id": "r"})
    config = shop(tmp_path, table)
    path = tmp_path / "events.csv"
    path.write_text(EVENTS + "C1,2024-03-02 10:00:00,mail,web,S,\nX1,2024-03-02 10:00:00,mail,web,S,\n" * 2)
    engagement = [{"format": "csv", "path": str(path), "columns": EVENT_COLUMNS}]
    sources = config.sources.model_dump(exclude_none=True, by_alias=True) | {"engagement": engagement}
    config = Config.model_validate(config.model_dump(by_alias=True) | {"sources": sources})

    first = Told(spark, config, caplog)
    again = Told(spark, config, caplog)

    assert first.results["customers"] == (
        "40 rows in = 40 accepted + 0 rejected; 10 of 40 rows kept (25.0%) are of customers without an order line; "
        "attributes renamed: 'run_id' is source_run_id"
    )
    assert first.results["engagement"] == (
        "4 rows in = 2 accepted + 2 rejected: 2 duplicate; 1 of 2 rows kept (50.0%) are of customers without an order "
        "line"
    )
    assert first.results["features"].startswith(
        "40 customers as of 2024-03-20; 10 of them (25.0%) have no row in customers; "
    )
    assert again.results["customers"] == "unchanged"
    assert again.results["features"].startswith("40 customers as of 2024-03-20; 10 of them (25.0%)")
    comments = {
        field.name: field.metadata.get("comment")
        for field in DeltaTable(str(tmp_path / "tables" / "customers")).schema().fields
    }
    assert comments["source_run_id"] == "Attribute, named run_id in the source."


@pytest.mark.long
@pytest.mark.slow
def test_ids_that_all_match_nothing_are_asked_about(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told(spark, shop(tmp_path, pd.DataFrame({"who": [f"{who}" for who in range(4)]})), caplog)

    assert "(100%) are of customers without an order line: do the ids of the sources fit?" in told.results["customers"]
    assert "(100%) have no row in customers: do the ids of the sources fit?" in told.results["features"]
