"""Features against literal frames, a pandas oracle on random histories, and what must always hold."""

import random
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config import Config
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.contract.features import FEATURES, Feature
from customer_segmentation.contract.features.catalogue import catalogue
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.features.build import customer_features
from customer_segmentation.features.rfm_scores import RFM_GRID, SEGMENT_OF_CELL, CutPoints, cut_points, rfm_scores
from customer_segmentation.ingest.order_lines import order_lines
from customer_segmentation.spark.settings import changed
from customer_segmentation.stages import assign_segments, ingest_sources, train_segments
from customer_segmentation.stages.features import build_features, clustered_features
from tests.csv_lines import Sheet
from tests.deployment.places import environment
from tests.feature_oracle import oracle
from tests.features.test_history import Ledger
from tests.generated import ROOT, quiet
from tests.order_lines import Line, line, random_line

AS_OF = date(2024, 7, 1)
AS_OF_TIME = datetime(2024, 7, 1)


def features_of(
    spark: SparkSession,
    lines: list[Line],
    engagement: DataFrame | None = None,
    returned_orders: DataFrame | None = None,
) -> dict[str, dict]:
    transactions = spark.createDataFrame(lines, TRANSACTIONS.ddl)
    rows = customer_features(
        transactions, engagement, returned_orders, as_of=AS_OF, response_events=["click"]
    ).collect()
    return {row[c.CUSTOMER_ID]: row.asDict() for row in rows}


@pytest.mark.slow
def test_a_fully_returned_order_is_no_purchase_but_was_paid_and_returned(spark: SparkSession) -> None:
    lines = [
        line(order="O1", at="2024-05-01", amount="30.00"),
        line(order="O2", at="2024-06-20", product="P2", quantity="2", amount="10.00"),
        line(order="R1", at="2024-06-25", product="P2", quantity="-2", amount="-10.00", is_return=True),
        line("C2", order="O3", at="2024-06-01", amount="5.00"),
        line("C2", order="R2", at="2024-06-02", quantity="-1", amount="-5.00", is_return=True),
        line("C3", order="O2", at="2024-06-20"),  # the same number, another customer
    ]
    returned_orders = spark.createDataFrame(
        [("C1", "O2", True), ("C2", "O3", True), ("C3", "O2", False)],
        "customer_id string, order_id string, is_fully_returned boolean",
    )

    features = features_of(spark, lines, returned_orders=returned_orders)

    assert set(features) == {"C1", "C3"}
    first = features["C1"]
    assert (first["frequency"], first["recency_days"], first["distinct_products"]) == (1, 61, 1)
    assert (first["monetary"], first["average_order_value"], first["items_per_order"]) == (Decimal("30.00"), 30.0, 1.0)
    # Of the orders placed, 1 of 2, drawn to 2 of 3 over both customers with the weight of 5 orders; C2 is none of them.
    assert first["return_order_rate"] == pytest.approx((1 + 5 * 2 / 3) / (2 + 5))
    assert features["C3"]["return_order_rate"] == pytest.approx((1 + 5 * 2 / 3) / (1 + 5))
    assert first["return_rate"] == pytest.approx((2 * 10 / 40 + 5 * 10 / 50) / (2 + 5))
    assert features["C3"]["frequency"] == 1


def test_one_customer_counted_by_hand(spark: SparkSession) -> None:
    features = features_of(
        spark,
        [
            line(order="O1", at="2024-06-01 12:00:00", quantity="2", amount="20.00", discount="5.00"),
            line(order="O1", at="2024-06-01 12:00:00", product="P2", category="K2", amount="5.00"),
            line(order="O2", at="2024-06-11 23:59:59", amount="30.00"),
            line(order="O3", at="2024-06-12 00:00:00", quantity="-1", amount="-10.00", is_return=True),
            line(order="O4", at="2024-01-02 08:00:00", amount="45.00"),
        ],
    )["C1"]

    assert features["recency_days"] == 20
    assert features["frequency"] == 3
    assert features["monetary"] == Decimal("90.00")
    assert features["tenure_days"] == 181
    assert features["active_days"] == 3
    assert features["days_between_orders"] == pytest.approx(161 / 2)
    assert features["average_order_value"] == pytest.approx(100 / 3)
    assert features["items_per_order"] == pytest.approx(5 / 3)
    assert features["distinct_products"] == 2
    assert features["distinct_categories"] == 2
    assert features["discount_rate"] == pytest.approx(5 / 105)
    assert features["return_rate"] == pytest.approx(0.1)
    assert features["recent_spend_share"] == pytest.approx(0.55)
    assert features["weekend_share"] == pytest.approx(0.5)  # 2024-06-01 was a Saturday, 2024-06-11 a Tuesday


@pytest.mark.slow
def test_only_what_happened_before_the_date_enters(spark: SparkSession) -> None:
    before = [line(at="2024-06-30 23:59:59")]
    after = [line(order="O2", at="2024-07-01 00:00:00", amount="999.00"), line(customer="C2", at="2024-08-01 00:00:00")]

    assert features_of(spark, before + after) == features_of(spark, before)


def test_a_customer_who_only_returned_is_not_eligible(spark: SparkSession) -> None:
    features = features_of(spark, [line(), line(customer="C2", quantity="-1", amount="-5", is_return=True)])

    assert set(features) == {"C1"}


@pytest.mark.slow
def test_events_are_counted_by_kind_and_customers_without_any_have_zero(
    spark: SparkSession, frame: Callable[..., DataFrame]
) -> None:
    at = datetime(2024, 6, 1)
    events = frame(
        [
            ("C1", at, "mailing", "post"),
            ("C1", at, "mail", "web"),
            ("C1", at, "mail", "web"),
            ("C1", at, "click", "web"),
            ("C1", at, "click", "app"),
            ("C1", at, "click", None),
            ("C1", datetime(2024, 7, 1), "click", "web"),
            ("C9", at, "click", "web"),
        ],
        "customer_id string, occurred_at timestamp, event_type string, channel string",
    )

    features = features_of(spark, [line(), line(customer="C2")], events)

    assert {k: (v["contacts"], v["responses"]) for k, v in features.items()} == {"C1": (3, 3), "C2": (0, 0)}
    assert features["C1"]["response_by_channel"] == [("app", 0, 1, None), ("post", 1, 0, 0.0), ("web", 2, 1, 0.5)]
    assert features["C2"]["response_by_channel"] == []


@pytest.mark.parametrize("partitions", [1, 5])
def test_every_feature_equals_a_pandas_oracle_on_random_histories(spark: SparkSession, partitions: int) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    lines = [random_line(draw) for _ in range(800)]
    orders = sorted({(row[0], row[1]) for row in lines if not row[-5]})
    returned_orders = [(*order, draw.random() < 0.5) for order in draw.sample(orders, len(orders) // 8)]
    events = [
        (
            f"C{draw.randrange(50)}",
            AS_OF_TIME - timedelta(hours=draw.randrange(-99, 9999)),
            draw.choice(["mail", "click"]),
            draw.choice(["web", "post", None]),
            draw.choice(["spring", "sale", None]),
        )
        for _ in range(400)
    ]
    transactions = spark.createDataFrame(lines, TRANSACTIONS.ddl).repartition(partitions)

    rows = customer_features(
        transactions,
        spark.createDataFrame(
            events,
            "customer_id string, occurred_at timestamp, event_type string, channel string, campaign_id string",
        ),
        spark.createDataFrame(returned_orders, "customer_id string, order_id string, is_fully_returned boolean"),
        as_of=AS_OF,
        response_events=["click"],
    ).collect()

    expected = oracle(lines, {row[:2]: row[2] for row in returned_orders}, events, AS_OF)
    features = {row[c.CUSTOMER_ID]: row.asDict() for row in rows}
    assert set(features) == set(expected)
    for customer, row in expected.items():
        assert features[customer]["top_categories"] == row["top_categories"], customer
        for feature in FEATURES:
            value, right = features[customer][feature.name], row[feature.name]
            if right is None or value is None or feature.type != "double":
                assert value == right, (customer, feature.name)
            else:
                assert value == pytest.approx(right, abs=1e-8, rel=1e-9), (customer, feature.name)


def test_later_data_never_changes_an_earlier_row(spark: SparkSession) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    lines = [random_line(draw) for _ in range(300)]
    known = [row for row in lines if row[2] < AS_OF_TIME]
    assert len(known) < len(lines)

    assert features_of(spark, lines) == features_of(spark, known)


@pytest.mark.slow
def test_amounts_as_large_as_a_column_holds_are_summed_exactly(spark: SparkSession) -> None:
    largest = "900000000000000.01"
    lines = [
        line(f"C{who}", order=f"O{number}", quantity="90000000000000", amount=largest, at=f"2024-06-0{1 + number}")
        for who in range(20)
        for number in range(9)
    ]

    features = features_of(spark, lines)

    # In cents, all customers spend more than a whole number of 64 bits holds.
    assert {row["monetary"] for row in features.values()} == {9 * Decimal(largest)}
    assert {row["spend_short"] for row in features.values()} == {9 * Decimal(largest)}
    assert {row["price_level"] for row in features.values()} == {1.0}
    assert features["C1"]["average_item_price"] == pytest.approx(10.0)


def thousand_billions(folder: Path, lines: int) -> Config:
    """A configuration with so many lines of 10^12 of one customer."""
    sheet = Sheet(customer="C1", order="O1", at="2024-06-01 12:00:00", product="P1", price="1000000000000.00")
    sheet.written(
        folder / "orders.csv", [sheet.line(product=f"P{number}", order=f"O{number % 90}") for number in range(lines)]
    )
    columns = {
        "customer_id": "customer",
        "order_id": "order",
        "ordered_at": "at",
        "product_id": "product",
        "amount": "price",
    }
    source = {"format": "csv", "path": str(folder / "orders.csv"), "columns": columns}
    return Config.model_validate({"sources": {"transactions": source}, "tables": {"root": str(folder / "tables")}})


@pytest.mark.long
@pytest.mark.slow
def test_a_customer_whose_sums_overflow_is_rejected_with_the_largest_amount_and_without_a_name(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = quiet(spark, thousand_billions(tmp_path, 10_000))
    ingest_sources(run)

    with pytest.raises(
        DataRejectedError, match=r"largest amount of a line is 1,000,000,000,000\.00.*checks\.max_amount"
    ) as it:
        build_features(run)

    assert "C1" not in str(it.value)


def test_sums_just_below_the_limit_are_exact(spark: SparkSession) -> None:
    lines = spark.range(9_999).selectExpr(
        "'C1' AS customer_id", "id % 90 AS order_id", "'2024-06-01' AS ordered_at", "1e12BD AS amount"
    )

    (row,) = customer_features(lines, as_of=AS_OF).select("monetary").collect()

    assert row.monetary == 9_999 * Decimal(10**12)


def test_the_grid_is_an_exact_partition_of_the_125_cells() -> None:
    cells = [cell for cells in RFM_GRID.values() for cell in cells.split()]

    assert sorted(cells) == sorted(f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6))
    assert len(RFM_GRID) == 11


def test_cut_points_are_the_quintiles_of_pandas(frame: Callable[..., DataFrame]) -> None:
    draw = random.Random(3)
    rows = [
        (draw.randrange(300), draw.choice([1, 1, 1, 2, 7]), Decimal(draw.randrange(10**6)) / 100) for _ in range(500)
    ]
    table = pd.DataFrame(rows, columns=["r", "f", "m"]).astype(float)

    cuts = cut_points(frame(rows, "recency_days int, frequency bigint, monetary decimal(18,2)"))

    for name, values in zip("rfm", (cuts.recency, cuts.frequency, cuts.monetary), strict=True):
        assert values == pytest.approx(tuple(table[name].quantile([0.2, 0.4, 0.6, 0.8])), rel=1e-8)


def test_scores_point_the_right_way_and_equal_customers_score_equally(frame: Callable[..., DataFrame]) -> None:
    cuts = CutPoints((10.0, 20.0, 30.0, 40.0), (1.0, 1.0, 2.0, 4.0), (0.0, 50.0, 100.0, 500.0))
    rows = [
        (5, 9, Decimal("900")),
        (10, 1, Decimal("-5")),
        (11, 1, Decimal("0")),
        (99, 2, Decimal("50.01")),
        (5, 9, Decimal("900")),
    ]

    scored = rfm_scores(frame(rows, "recency_days int, frequency bigint, monetary decimal(18,2)"), cuts=cuts).collect()

    assert [row[c.RFM_SCORE] for row in scored] == ["555", "511", "411", "133", "555"]
    assert [row[c.RFM_SEGMENT] for row in scored] == [SEGMENT_OF_CELL[row[c.RFM_SCORE]] for row in scored]


def test_scores_of_another_number_are_brought_to_the_grid(frame: Callable[..., DataFrame]) -> None:
    rows = [(day, 10 - day, Decimal(10 - day)) for day in range(1, 10)]
    customers = frame(rows, "recency_days int, frequency bigint, monetary decimal(18,2)")

    scored = rfm_scores(customers, cuts=cut_points(customers, scores=3)).orderBy(c.RECENCY_DAYS).collect()

    assert [row[c.RFM_SCORE] for row in scored] == ["333"] * 3 + ["222"] * 3 + ["111"] * 3
    assert {row[c.RFM_SCORE]: row[c.RFM_SEGMENT] for row in scored} == {
        "333": SEGMENT_OF_CELL["555"],
        "222": SEGMENT_OF_CELL["333"],
        "111": SEGMENT_OF_CELL["111"],
    }
    assert scored[0][c.RFM_NUMBER] == 3.0


@pytest.mark.parametrize("scores", [2, 4, 7, 9])
def test_whatever_the_number_of_scores_the_best_are_champions_and_the_worst_lost(
    frame: Callable[..., DataFrame], scores: int
) -> None:
    rows = [(day, 19 - day, Decimal(19 - day)) for day in range(1, 19)]
    customers = frame(rows, "recency_days int, frequency bigint, monetary decimal(18,2)")

    scored = rfm_scores(customers, scores=scores).orderBy(c.RECENCY_DAYS).collect()

    assert scored[0][c.RFM_SCORE] == 3 * str(scores)
    assert scored[-1][c.RFM_SCORE] == "111"
    assert (scored[0][c.RFM_SEGMENT], scored[-1][c.RFM_SEGMENT]) == ("Champions", "Lost")


def shop(folder: Path, **settings: Any) -> Config:
    """A configuration of a shop whose order lines a test writes."""
    columns = dict.fromkeys(("customer_id", "order_id", "ordered_at", "amount"), "x")
    sources = {"transactions": {"path": "-", "columns": columns}}
    return Config.model_validate(
        {"as_of": AS_OF.isoformat(), "sources": sources, "tables": {"root": str(folder / "tables")}, **settings}
    )


@pytest.mark.long
@pytest.mark.slow
def test_a_derived_feature_is_a_column_and_a_change_of_it_builds_no_other_table(
    spark: SparkSession, tmp_path: Path
) -> None:
    draw = random.Random(9)
    plain = quiet(spark, shop(tmp_path))
    Ledger(plain).change([random_line(draw, line_id) for line_id in range(300)], [])
    build_features(plain)
    versions = [plain.warehouse.version(table) for table in (t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY)]
    derived = {"spend_per_order": "Monetary / frequency", "is_late": "if(overdue_ratio > 1, 1, 0)"}
    clustering = {"features": ["recency_days", "spend_per_order"], "k": 2, "smallest_share": 0.0}
    run = quiet(spark, shop(tmp_path, features={"derived": derived}, clustering=clustering))

    build_features(run)
    train_segments(run)
    assign_segments(run)

    assert [run.warehouse.version(table) for table in (t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY)] == versions
    features = clustered_features(run).toPandas()
    assert len(features) == len(clustered_features(plain).collect())
    expected = (features.monetary.astype(float) / features.frequency).to_numpy()
    assert features.spend_per_order.to_numpy() == pytest.approx(expected, abs=1e-8)
    assert set(features.is_late) == {0.0, 1.0}
    field = run.warehouse.read(t.CUSTOMER_FEATURES).schema["spend_per_order"]
    assert "features.derived" in field.metadata["comment"]
    assert run.models.newest is not None
    assert run.models.newest.preparation.names == clustering["features"]
    profiles = run.warehouse.rows(t.SEGMENT_PROFILES, column=c.RUN_ID, value=run.run_id).collect()
    assert len(profiles) == 2
    assert all(row["averages"].keys() >= derived.keys() for row in profiles)


MINIMAL = [c.CUSTOMER_ID, c.ORDER_ID, c.ORDERED_AT, c.AMOUNT]
RESTING_ON = {
    c.PRODUCT_ID: {"distinct_products", "variety_seeking"},
    c.CATEGORY: {
        *("distinct_categories", "category_entropy", "top_category_share", "top_categories_share", "price_level"),
    },
    c.QUANTITY: {"items_per_order", "average_item_price", "price_level"},
    c.DISCOUNT: {"discount_rate", "discounted_share", "price_sensitivity"},
    c.CHANNEL: {"distinct_channels", "main_channel_share"},
    c.BRAND: {"distinct_brands", "brand_concentration", "brand_loyalty"},
    c.STORE_ID: {"distinct_stores", "main_store_share"},
    c.COUPON: {"coupon_rate"},
}


@pytest.mark.slow
@pytest.mark.parametrize("absent", [[c.DISCOUNT], [c.QUANTITY, c.STORE_ID, c.IS_RETURN], [*RESTING_ON, c.IS_RETURN]])
def test_without_a_column_the_features_that_rest_on_it_are_null_and_all_others_as_they_were(
    spark: SparkSession, absent: list[str]
) -> None:
    draw = random.Random(8)
    lines = [random_line(draw) for _ in range(200)]
    lines = [row for row in lines if row[6] != 0]  # a return of no money has no sign

    full = features_of(spark, lines)
    rows = customer_features(spark.createDataFrame(lines, TRANSACTIONS.ddl).drop(*absent), as_of=AS_OF).collect()

    assert {row[c.CUSTOMER_ID] for row in rows} == set(full)
    null = {name for column in absent for name in RESTING_ON.get(column, ())}
    for row in rows:
        assert [feature.name for feature in FEATURES if feature.name in null and row[feature.name] is not None] == []
        expected = {feature.name: full[row[c.CUSTOMER_ID]][feature.name] for feature in FEATURES}
        assert {n: row[n] for n in expected if n not in null} == {n: v for n, v in expected.items() if n not in null}


@pytest.mark.slow
def test_four_columns_of_any_type_are_enough(spark: SparkSession, frame: Callable[..., DataFrame]) -> None:
    lines = [line("7", "1", "2024-06-01", amount="19.99"), line("7", "2", "2024-06-11", amount="0.29")]
    rows = [(7, 1, "2024-06-01", 19.99, "note"), (7, 2, "2024-06-11", 0.29, "note"), (None, 3, "2024-06-11", 1.0, "")]
    texts = frame(rows, "customer_id bigint, order_id int, ordered_at string, amount double, note string")
    dates = texts.withColumns({"ordered_at": F.to_date("ordered_at"), "customer_id": F.col("customer_id").cast("int")})

    whole = customer_features(spark.createDataFrame(lines, TRANSACTIONS.ddl).select(MINIMAL), as_of="2024-07-01")

    assert whole.collect()[0]["monetary"] == Decimal("20.28")
    assert customer_features(texts, as_of="2024-07-01").collect() == whole.collect()
    assert customer_features(dates, as_of=AS_OF_TIME).collect() == whole.collect()


def test_a_missing_column_and_a_wrong_date_are_named_with_a_hint(frame: Callable[..., DataFrame]) -> None:
    lines = frame([("C1", "O1", 1.0)], "CustomerID string, order_id string, Amount double")

    with pytest.raises(
        DataRejectedError, match=r"not there: customer_id \(did you mean CustomerID\?\), ordered_at; the"
    ):
        customer_features(lines, as_of=AS_OF)
    for wrong in ("10.12.2011", "2011-13-01", None, 20111210):
        with pytest.raises(ConfigurationError, match="as_of has to be a date such as 2011-12-10, but is"):
            customer_features(lines, as_of=wrong)


def test_a_session_whose_days_are_others_is_rejected_and_utc_by_another_name_is_not(spark: SparkSession) -> None:
    lines = spark.createDataFrame(
        [("C1", "O1", "2011-12-01", 1.0)], "customer_id string, order_id string, ordered_at string, amount double"
    )
    mapping = {name: name for name in ("customer_id", "order_id", "ordered_at", "amount")}
    calls = {
        "order_lines": lambda: order_lines(lines, **mapping),
        "customer_features": lambda: customer_features(lines, as_of=AS_OF),
    }

    with changed(spark, "spark.sql.session.timeZone", "America/New_York"):
        for name, call in calls.items():
            with pytest.raises(
                ConfigurationError, match=f"{name}: .* is America/New_York, and has to be UTC: spark.conf"
            ):
                call()
    with changed(spark, "spark.sql.session.timeZone", "Etc/UTC"):
        for call in calls.values():
            call()


@pytest.mark.slow
def test_a_session_in_the_zone_of_its_machine_is_rejected_too(tmp_path: Path) -> None:
    program = """
from pyspark.sql import SparkSession
import customer_segmentation as cs
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
lines = spark.createDataFrame(
    [("C1", "O1", "2011-12-01", 1.0)], "customer_id string, order_id string, ordered_at string, amount double"
)
cs.customer_features(lines, as_of="2011-12-10")
"""

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(TZ="America/New_York"), capture_output=True, text=True
    )

    assert "customer_features: the time zone of the Spark session is America/New_York, and has to be UTC" in done.stderr


@pytest.mark.slow
def test_a_feature_of_ones_own_is_one_declaration(spark: SparkSession) -> None:
    lines = [line(amount="30.00"), line(order="O2", at="2024-06-11", amount="10.00"), line("C2", amount="5.00")]
    own = [
        Feature(name="net_by_day", meaning="Net spend by days with a purchase.", formula="try_divide(net, days)"),
        Feature(name="spend_by_order", meaning="Net spend by order.", formula="monetary / frequency"),
        Feature(name="is_new", type="boolean", meaning="Whether there is one order.", formula="orders = 1"),
    ]

    features = customer_features(spark.createDataFrame(lines, TRANSACTIONS.ddl), as_of=AS_OF, extra=own)

    rows = {row[c.CUSTOMER_ID]: row for row in features.collect()}
    assert {who: (row.net_by_day, row.spend_by_order, row.is_new) for who, row in rows.items()} == {
        "C1": (20.0, 20.0, False),
        "C2": (5.0, 5.0, True),
    }


@pytest.mark.slow
def test_a_line_whose_return_flag_is_missing_is_one_by_its_amount_and_incomplete_lines_do_not_enter(
    frame: Callable[..., DataFrame],
) -> None:
    rows = [
        ("C1", "O1", "2024-06-01", 10.0, None),
        ("C1", "O2", "2024-06-02", 5.0, None),
        ("C1", "O2", "2024-06-03", -5.0, None),
        ("C1", None, "2024-06-04", 7.0, None),
        ("C1", "O3", "2024-06-05", None, None),
    ]
    lines = frame(rows, "customer_id string, order_id string, ordered_at string, amount double, is_return boolean")
    flags = lines.withColumn("is_return", (F.col("amount") < 0).cast("int"))

    (row,) = customer_features(lines, as_of=AS_OF).collect()

    assert (row["frequency"], row["active_days"], row["monetary"]) == (2, 2, Decimal("10.00"))
    assert customer_features(flags, as_of=AS_OF).collect() == [row]


def test_a_missing_value_has_no_score_and_counts_for_no_cut_point(frame: Callable[..., DataFrame]) -> None:
    schema = "recency_days int, frequency double, monetary double"
    known = [(number, float(number), 12_345_678_901.0) for number in range(1, 11)]
    missing = [(None, 3.0, 5.0), (4, float("nan"), 5.0), (4, 3.0, float("nan")), (4, 3.0, None)]
    cuts = cut_points(frame(known, schema))

    scored = rfm_scores(frame([*known, *missing], schema), cuts=cuts).collect()

    assert [row["m_score"] for row in scored[:10]] == [1] * 10
    assert [(row["rfm_score"], row["rfm_segment"], row["rfm_number"]) for row in scored[10:]] == [(None,) * 3] * 4
    assert [row["m_score"] for row in scored[10:]] == [1, 1, None, None]
    assert cut_points(frame([*known, (None, None, float("nan"))], schema)) == cuts
    with pytest.raises(DataRejectedError, match="no customers"):
        rfm_scores(frame([(1, 1.0, None)], schema))


@pytest.mark.parametrize(
    ("schema", "scores", "message"),
    [
        ("recency_days int, frequency int, monetary double", 10, "scores must be a whole number from 2 to 9; found 10"),
        ("recency_days int, frequency int, spend double", 5, "monetary not among the columns recency_days, frequency"),
        ("recency_days int, frequency int, monetary string", 5, "monetary is of type string, which is no number"),
    ],
)
def test_what_can_not_be_scored_is_named(
    frame: Callable[..., DataFrame], schema: str, scores: int, message: str
) -> None:
    with pytest.raises((ConfigurationError, DataRejectedError), match=message):
        rfm_scores(frame([], schema), scores=scores)


def test_scores_need_customers_or_cut_points(frame: Callable[..., DataFrame]) -> None:
    nobody = frame([], "recency_days int, frequency bigint, monetary decimal(18,2)")

    with pytest.raises(DataRejectedError, match="there are no customers"):
        rfm_scores(nobody)


CONNECTED = """
import sys
from customer_segmentation.config.schema import Spark
from customer_segmentation.features.build import customer_features
from customer_segmentation.features.rfm_scores import rfm_scores
from customer_segmentation.spark.session import get_session
spark = get_session(Spark(driver_memory="1g", shuffle_partitions=2))
features = customer_features(spark.read.parquet(sys.argv[1]), as_of="2024-07-01")
rfm_scores(features).coalesce(1).write.parquet(sys.argv[2])
"""


@pytest.mark.long
@pytest.mark.slow
def test_spark_connect_gives_the_same_features_and_scores(spark: SparkSession, tmp_path: Path) -> None:
    draw = random.Random(5)
    lines = spark.createDataFrame([random_line(draw) for _ in range(300)], TRANSACTIONS.ddl).select(MINIMAL)
    lines.write.parquet(str(tmp_path / "lines"))
    subprocess.run(
        [sys.executable, "-c", CONNECTED, str(tmp_path / "lines"), str(tmp_path / "connected")],
        env=environment(SPARK_REMOTE="local[2]"),
        check=True,
        timeout=300,
    )

    connected = spark.read.parquet(str(tmp_path / "connected")).orderBy(c.CUSTOMER_ID).collect()

    assert len(connected) == 40
    assert connected == rfm_scores(customer_features(lines, as_of=AS_OF)).orderBy(c.CUSTOMER_ID).collect()


@pytest.mark.slow
@pytest.mark.classic("it looks at the physical plan")
def test_the_full_build_moves_the_lines_once(spark: SparkSession) -> None:
    transactions = spark.createDataFrame([line()], TRANSACTIONS.ddl).repartition(2, c.PRODUCT_ID)
    features = customer_features(transactions, None, as_of=AS_OF, response_events=[])

    assert len(features.collect()) == 1

    plan = features._jdf.queryExecution().executedPlan().toString().split("Initial Plan")[0]
    moved = re.findall(r"(?m)^[^\w\n]*Exchange hashpartitioning\((\w+)#", plan)
    # Of the average prices, a row per category and task is moved.
    assert sorted(moved) == ["category", "customer_id", "product_id"], plan
    assert "ReusedExchange" in plan, plan


def test_the_catalogue_in_the_documentation_is_that_of_the_declarations() -> None:
    page = ROOT / "docs" / "features.md"

    assert page.read_text() == catalogue(), (
        "python -m customer_segmentation.contract.features.catalogue > docs/features.md"
    )
    assert len({feature.name for feature in FEATURES}) == len(FEATURES)


@pytest.mark.slow
def test_amounts_that_are_no_numbers_and_customers_without_one_do_not_enter(frame: Callable[..., DataFrame]) -> None:
    nan, endless = float("nan"), float("inf")
    rows = [
        ("ann", "O1", "2024-06-01", 10.0, nan),
        ("ann", "O2", "2024-06-02", nan, 1.0),
        ("bob", "O3", "2024-06-01", -endless, 1.0),
        ("cis", "O4", "2024-06-01", endless, 1.0),
    ]
    lines = frame(rows, "customer_id string, order_id string, ordered_at string, amount double, coupon double")

    features = customer_features(lines, as_of="2024-07-01")

    found = features.select("customer_id", "frequency", "monetary", "coupon_rate").collect()
    assert [(row[0], row[1], float(row[2]), row[3]) for row in found] == [("ann", 1, 10.0, 0.0)]


def test_cut_points_that_are_none_are_rejected(frame: Callable[..., DataFrame]) -> None:
    customers = frame([("ann", 5, 9, 900.0)], "customer_id string, recency_days int, frequency int, monetary double")
    cuts = CutPoints((10.0,), (1.0,), (50.0,))

    assert rfm_scores(customers, cuts=CutPoints.from_dict(cuts.to_dict())).first()["rfm_score"] == "222"
    for given in ({}, cuts.to_dict(), [cuts]):
        with pytest.raises(ConfigurationError, match="cuts must be CutPoints"):
            rfm_scores(customers, cuts=given)
    with pytest.raises(ConfigurationError, match="as many points for each score"):
        rfm_scores(customers, cuts=CutPoints((10.0,), (1.0, 2.0), (50.0,)))
    with pytest.raises(ConfigurationError, match="need the column as_of_date"):
        rfm_scores(customers, cuts={date(2024, 7, 1): cuts})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"response_events": "click"}, "customer_features: response_events"),
        ({"windows": {"short": 90, "medium": 30, "long": 365}}, "need short below medium below long"),
        ({"windows": {"short": "a week"}}, "windows.short"),
        ({"timezone": "Berlin"}, "customer_features: timezone is not a time zone of the IANA database; found 'Berlin'"),
        ({"active_within": 0}, "active_within"),
    ],
)
def test_arguments_that_are_not_valid_are_named(frame: Callable[..., DataFrame], given: Any, told: str) -> None:
    lines = frame([("ann", 1, "2024-06-01", 1.0)], "customer_id string, order_id int, ordered_at string, amount double")

    with pytest.raises(ConfigurationError, match=re.escape(told)):
        customer_features(lines, as_of="2024-07-01", **given)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("ordered_at bigint, amount double", "ordered_at is of type bigint, which is no time; make a timestamp of it"),
        ("ordered_at date, amount string", "amount is of type string, which is no number"),
        ("ordered_at date, amount double, Quantity string", "Quantity is of type string, which is no number"),
        ("ordered_at date, amount double, is_return string", "is_return is of type string, which is no true or false"),
        ("ordered_at date, amount double, AMOUNT double", "amount, AMOUNT have the same name"),
    ],
)
def test_lines_that_can_not_be_what_they_are_taken_for_are_rejected(
    frame: Callable[..., DataFrame], schema: str, told: str
) -> None:
    with pytest.raises(DataRejectedError, match=re.escape(told)):
        customer_features(frame([], f"customer_id string, order_id int, {schema}"), as_of="2024-07-01")


@pytest.mark.slow
def test_events_are_read_whatever_case_their_columns_have_and_those_of_nobody_are_left_out(
    frame: Callable[..., DataFrame],
) -> None:
    lines = frame([("ann", 1, "2024-06-01", 1.0)], "customer_id string, order_id int, ordered_at string, amount double")
    rows = [
        ("ann", "2024-05-01", "mailing", "a"),
        ("ann", "2024-05-02", "click", "a"),
        (None, "2024-05-02", "click", "a"),
    ]
    events = frame(rows, "Customer_ID string, Occurred_At string, Event_Type string, Campaign_ID string")

    def responses(engagement: DataFrame) -> tuple[Any, ...]:
        features = customer_features(lines, engagement, as_of="2024-07-01")
        (row,) = features.select("contacts", "responses", "response_rate", "response_by_channel").collect()
        return tuple(row)

    named = events.toDF("customer_id", "occurred_at", "event_type", "campaign_id").dropna()
    assert responses(events) == responses(named.withColumn("channel", F.lit(None).cast("string")))
    assert responses(events)[:2] == (1, 1)
    with pytest.raises(DataRejectedError, match="not there: event_type"):
        responses(events.drop("Event_Type"))
    with pytest.raises(DataRejectedError, match="engagement: Occurred_At is of type bigint"):
        responses(events.withColumn("Occurred_At", F.lit(1_700_000_000_000)))
