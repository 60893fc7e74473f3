"""Features of many dates in one pass: the rows of each are, value for value, those of a build for it alone."""

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.cli import main
from customer_segmentation.config.as_of import as_of_dates
from customer_segmentation.config.schema import Config
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.contract.features import Feature
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.features.build import customer_features
from customer_segmentation.features.rfm_scores import cut_points, cut_points_by_date, rfm_scores
from customer_segmentation.ingest.returns import matched_returns, returned_orders
from customer_segmentation.spark.dates import Dates
from customer_segmentation.stages import Run
from customer_segmentation.stages.features import build_features, build_features_of_dates
from tests.features.test_history import Ledger
from tests.generated import quiet
from tests.order_lines import Line, line, random_line

EVENTS = "customer_id string, occurred_at timestamp, event_type string, channel string, campaign_id string"
OWN = Feature(name="net_by_day", meaning="Net spend by days with a purchase.", formula="net / days + brand_squares")
DATES = [date(2023, 2, 1), date(2023, 9, 10), date(2024, 7, 1)]

Rows = dict[tuple[date, str], dict[str, Any]]


def by_key(features: DataFrame) -> Rows:
    return {(row[c.AS_OF_DATE], row[c.CUSTOMER_ID]): row.asDict(recursive=True) for row in features.collect()}


class Shop:
    """Order lines with their returns, and events, whose features are built for one date or several."""

    def __init__(
        self, spark: SparkSession, lines: Sequence[Line], events: Sequence[tuple] = (), without: Sequence[str] = ()
    ) -> None:
        self.lines = spark.createDataFrame(list(lines), TRANSACTIONS.ddl).coalesce(1).cache()
        self.returns = matched_returns(self.lines).coalesce(1).cache()
        self.events = spark.createDataFrame(list(events), EVENTS).coalesce(1) if events else None
        self.without = without

    def together(self, dates: Sequence[date], **settings: Any) -> Rows:
        series = Dates(tuple(sorted(set(dates))), is_series=True)
        returned = returned_orders(self.lines, self.returns, series)
        return by_key(self._features(returned, as_of=dates, **settings))

    def alone(self, dates: Sequence[date], **settings: Any) -> Rows:
        rows: Rows = {}
        for day in dates:
            midnight = F.lit(day).cast("timestamp")
            returned = returned_orders(
                self.lines.where(F.col(c.ORDERED_AT) < midnight), self.returns.where(F.col(c.RETURNED_AT) < midnight)
            )
            rows |= by_key(self._features(returned, as_of=day, **settings))
        return rows

    def _features(self, returned: DataFrame, **settings: Any) -> DataFrame:
        lines = self.lines.drop(*self.without)
        return customer_features(lines, self.events, returned, response_events=["click"], **settings)


def assert_same(found: Rows, expected: Rows) -> None:
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        differing = {name: (found[key][name], value) for name, value in row.items() if found[key][name] != value}
        assert not differing, (key, differing)


def random_shop(draw: random.Random, lines: int) -> tuple[list[Line], list[tuple]]:
    """Lines of which many are returned whole or in part, days or months later, and events of the same time."""
    rows: list[Line] = []
    for line_id in range(lines):
        row = random_line(draw, line_id)
        if not row[12] and draw.random() < 0.5:
            # Of an order of its own, so that all of it can come back.
            row = (row[0], f"X{draw.randrange(lines)}", *row[2:])
        rows.append(row)
    for row in draw.sample([row for row in rows if not row[12]], lines // 4):
        items = row[5] if draw.random() < 0.7 else Decimal(1)
        at = row[2] + timedelta(days=draw.choice([0, 1, 20, 100, 300]), seconds=1)
        back = (row[0], f"R{row[1]}", at, *row[3:5], -items, -row[6], *row[7:12], True, *row[13:16], row[16] + 10**6)
        rows.append(back)
    first = datetime(2022, 6, 1)
    events = [
        (
            f"C{draw.randrange(50)}",
            first + timedelta(hours=draw.randrange(800 * 24)),
            draw.choice(["mail", "mail", "click"]),
            draw.choice(["web", "post", None]),
            draw.choice(["spring", "sale", "autumn", None]),
        )
        for _ in range(lines // 2)
    ]
    return rows, events


@pytest.mark.long
@pytest.mark.slow
def test_several_dates_are_as_many_single_builds(spark: SparkSession) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    shop = Shop(spark, *random_shop(random.Random(seed), 300))

    found = shop.together([DATES[2], DATES[0], DATES[1], DATES[0]])

    assert {day for day, _ in found} == set(DATES)
    assert_same(found, shop.alone(DATES))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("without", "settings"),
    [
        ((), {"timezone": "America/Los_Angeles", "active_within": 120}),
        ((c.PRODUCT_ID, c.DISCOUNT, c.STORE_ID), {"windows": {"short": 7, "medium": 100, "long": 500}}),
        ((c.CATEGORY, c.QUANTITY, c.BRAND, c.COUPON, c.CHANNEL), {"extra": [OWN]}),
    ],
)
def test_all_settings_hold_for_several_dates(
    spark: SparkSession, without: Sequence[str], settings: dict[str, Any]
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    shop = Shop(spark, *random_shop(draw, 1000), without=without)
    # Some of them a day apart, others before the first line and after the last.
    first = date(2022, 6, 1) + timedelta(draw.randrange(300))
    dates = [date(2022, 5, 1), first, first + timedelta(1), first + timedelta(31), date(2024, 1, 1), date(2026, 1, 1)]

    assert_same(shop.together(dates, **settings), shop.alone(dates, **settings))


@pytest.mark.long
@pytest.mark.slow
def test_an_order_is_a_purchase_up_to_the_date_by_which_all_of_it_came_back(spark: SparkSession) -> None:
    lines = [
        line(order="O1", at="2024-01-10", amount="30.00", line_id=1),
        line(order="O2", at="2024-02-10", product="P2", quantity="2", amount="10.00", line_id=2),
        line(order="R1", at="2024-03-10", product="P2", quantity="-1", amount="-5.00", is_return=True, line_id=3),
        line(order="R2", at="2024-04-10", product="P2", quantity="-1", amount="-5.00", is_return=True, line_id=4),
        line(order="O2", at="2024-05-10", product="P3", amount="7.00", line_id=5),  # the order goes on
        line("C2", order="O3", at="2024-03-31 23:59:59", amount="9.00", line_id=6),
    ]
    firsts = [date(2024, month, 1) for month in range(2, 7)]

    features = Shop(spark, lines).together(firsts)

    def of_first_customer(name: str) -> list[Any]:
        return [features[day, "C1"][name] for day in firsts]

    assert of_first_customer("frequency") == [1, 2, 2, 1, 2]
    assert of_first_customer("recency_days") == [22, 20, 51, 112, 22]
    assert of_first_customer("active_days") == [1, 2, 2, 1, 3]
    assert of_first_customer("days_between_orders") == [None, 31.0, 31.0, None, pytest.approx(121 / 2)]
    assert of_first_customer("distinct_products") == [1, 2, 2, 1, 3]
    assert [str(value) for value in of_first_customer("monetary")] == ["30.00", "40.00", "35.00", "30.00", "37.00"]
    assert [str(value) for value in of_first_customer("spend_medium")] == ["30.00", "40.00", "40.00", "0.00", "7.00"]
    assert [day for day, customer in features if customer == "C2"] == firsts[2:]


@pytest.mark.long
@pytest.mark.slow
def test_what_happens_after_a_date_changes_none_of_its_rows(spark: SparkSession) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    draw = random.Random(seed)
    lines, events = random_shop(draw, 300)
    until = datetime.combine(DATES[1], datetime.min.time())

    def changed(row: tuple, place: int) -> tuple:
        later = until + timedelta(minutes=draw.randrange(10**6))
        return row if row[place] < until else (row[0], *row[1:place], later, *row[place + 1 :])

    found = Shop(spark, lines, events).together(DATES)
    fewer = [changed(row, 2) for row in lines if row[2] < until or draw.random() < 0.7]
    other = Shop(spark, fewer, [changed(row, 1) for row in events]).together(DATES)

    known = {key: row for key, row in found.items() if key[0] <= DATES[1]}
    assert known
    assert_same({key: row for key, row in other.items() if key[0] <= DATES[1]}, known)
    assert other != found


@pytest.mark.slow
def test_scores_of_several_dates_are_those_of_each(spark: SparkSession) -> None:
    draw = random.Random(4)
    rows = [
        (day, draw.randrange(300), draw.choice([1, 1, 2, 7]), draw.randrange(10**6) / 100)
        for day in DATES
        for _ in range(50)
    ]
    features = spark.createDataFrame(rows, "as_of_date date, recency_days int, frequency bigint, monetary double")

    scored = rfm_scores(features, cuts=cut_points_by_date(features))

    for day in DATES:
        of_day = features.where(F.col(c.AS_OF_DATE) == F.lit(day))
        expected = rfm_scores(of_day, cuts=cut_points(of_day)).collect()
        assert sorted(scored.where(F.col(c.AS_OF_DATE) == F.lit(day)).collect()) == sorted(expected)


def test_the_place_of_a_day_is_that_of_the_first_date_after_it(spark: SparkSession) -> None:
    draw = random.Random(6)
    days = tuple(sorted({date(2024, 1, 1) + timedelta(draw.randrange(90)) for _ in range(20)}))
    asked = [date(2023, 12, 1) + timedelta(shift) for shift in range(150)]
    frame = spark.createDataFrame([(day,) for day in asked], "day date")

    places = frame.select("day", Dates(days, is_series=True).place(F.col("day"))).collect()

    assert dict(places) == {day: sum(other <= day for other in days) for day in asked}


@pytest.mark.slow
@pytest.mark.long
def test_the_stage_writes_what_a_run_as_of_each_date_does_in_one_commit(spark: SparkSession, tmp_path: Path) -> None:
    draw = random.Random(11)
    lines, _ = random_shop(draw, 200)

    def run_in(folder: str, day: date) -> Run:
        columns = dict.fromkeys(("customer_id", "order_id", "ordered_at", "amount"), "x")
        settings = {
            "as_of": day.isoformat(),
            "sources": {"transactions": {"path": "-", "columns": columns}},
            "tables": {"root": str(tmp_path / folder)},
        }
        return quiet(spark, Config.model_validate(settings))

    def rows_of(run: Run) -> list:
        return sorted(run.warehouse.read(t.CUSTOMER_FEATURES).collect(), key=lambda row: (row[c.RUN_ID], row[0]))

    for folder in ("together", "alone"):
        Ledger(run_in(folder, DATES[-1])).change(list({row[-1]: row for row in lines}.values()), [])
    together = run_in("together", date(2030, 1, 1))
    build_features_of_dates(together, DATES[:2])
    version = together.warehouse.version(t.CUSTOMER_FEATURES)
    build_features_of_dates(together, [DATES[2], DATES[1]])
    alone = [run_in("alone", day) for day in DATES]
    for run in alone:
        build_features(run)

    assert together.warehouse.version(t.CUSTOMER_FEATURES) == version + 1
    assert rows_of(together) == rows_of(alone[0])
    assert {row[c.RUN_ID] for row in rows_of(together)} == {run.run_id for run in alone}
    with pytest.raises(DataRejectedError, match="no customer has a purchase before 2001-01-01; leave that date out"):
        build_features_of_dates(together, [DATES[0], date(2001, 1, 1)])


def test_dates_are_a_list_or_monthly_from_one_to_another() -> None:
    assert as_of_dates("2017-08-01, 2017-07-01,2017-08-01") == [date(2017, 7, 1), date(2017, 8, 1)]
    assert as_of_dates("2016-11-01..2017-01-15") == [date(2016, 11, 1), date(2016, 12, 1), date(2017, 1, 1)]
    assert as_of_dates("2024-01-31..2024-04-30,2025-01-01") == [
        *(date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 30)),
        date(2025, 1, 1),
    ]
    for wrong, why in {
        "2017-01-01,,2017-02-01": "'' is no date",
        "2017-01-01..soon": "'soon' is no date; write dates as",
        "2017-02-01..2017-01-01": "2017-01-01 is before 2017-02-01",
        "0001-01-01..9999-01-01": "at most 1,000 can be given",
    }.items():
        with pytest.raises(ConfigurationError, match=why):
            as_of_dates(wrong)


def test_a_list_of_dates_is_for_the_features_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", "conf/base.yml", "--as-of", "2017-07-01,2017-08-01"]) == 2
    assert "`train` takes a single date such as 2017-07-01; several are for `features`" in capsys.readouterr().err
    assert main(["features", "--config", "conf/base.yml", "--as-of", "2017-07-01,august"]) == 2
    assert "'august' is no date" in capsys.readouterr().err
