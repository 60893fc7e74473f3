"""The run's time zone: days, hours, weekends and dates are those of the shop's clocks, against Python's zoneinfo."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config import Config, load_config
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.contract.features import FEATURES
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.features.build import customer_features
from customer_segmentation.features.stray_days import StrayDays, stray_days
from customer_segmentation.spark.local_time import in_local_time, local_day, start_of_day
from customer_segmentation.stages import Run, ingest_sources
from customer_segmentation.stages.features import build_features
from tests.csv_lines import Sheet, seeded
from tests.feature_oracle import oracle
from tests.generated import quiet
from tests.order_lines import line, random_line
from tests.warehouse import read

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # clocks move by half an hour
    "America/Santiago",  # clocks move at midnight
    "Pacific/Kiritimati",
]
AS_OF = date(2024, 7, 1)


def wall_clock(instant: datetime, zone: str) -> datetime:
    """What the clocks of a zone show at an instant in UTC."""
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def features(spark: SparkSession, lines: list, zone: str, events: DataFrame | None = None) -> dict[str, dict]:
    transactions = spark.createDataFrame(lines, TRANSACTIONS.ddl)
    rows = customer_features(transactions, events, as_of=AS_OF, response_events=["click"], timezone=zone).collect()
    return {row[c.CUSTOMER_ID]: row.asDict() for row in rows}


@pytest.mark.parametrize("zone", ZONES)
def test_instants_around_midnight_and_changes_of_the_clocks_are_read_as_the_clocks_showed_them(
    frame: Callable[..., DataFrame], zone: str
) -> None:
    changes = [
        datetime(2024, 3, 31, 1),  # Berlin
        datetime(2024, 10, 27, 1),
        datetime(2024, 3, 10, 7),  # New York
        datetime(2024, 11, 3, 6),
        datetime(2024, 4, 6, 15),  # Lord Howe
        datetime(2024, 10, 5, 15, 30),
        datetime(2024, 4, 7, 3),  # Santiago
        datetime(2024, 9, 8, 4),
    ]
    midnights = [datetime(2024, 2, 29) + timedelta(minutes=15 * quarter) for quarter in range(-64, 65)]
    around = [timedelta(seconds=seconds) for seconds in (-5400, -1801, -1, 0, 1, 1799, 1800, 3599, 3600, 7200)]
    instants = [*midnights, *(change + away for change in changes for away in around)]

    rows = in_local_time(frame([(at, at) for at in instants], "at timestamp, local timestamp"), zone, "local").collect()

    assert [row["local"] for row in rows] == [wall_clock(row["at"], zone) for row in rows]
    assert [row["at"] for row in rows] == instants


def test_a_null_stays_null_and_utc_adds_nothing(frame: Callable[..., DataFrame]) -> None:
    times = frame([(None,)], "at timestamp")

    assert in_local_time(times, "Asia/Kolkata", "at").collect() == [(None,)]
    assert in_local_time(times, "UTC", "at") is times


@pytest.mark.parametrize("zone", ["UTC", *ZONES, "America/Havana"])
def test_a_day_starts_with_its_first_instant(spark: SparkSession, zone: str) -> None:
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(366)]

    row = spark.range(1).select(*(start_of_day(day, zone).alias(str(day)) for day in days)).collect()[0]

    for day, start in zip(days, row, strict=True):
        instant = start.replace(tzinfo=UTC)
        assert local_day(instant, zone) == day
        assert local_day(instant - timedelta(seconds=1), zone) < day


@pytest.mark.slow
def test_the_same_lines_lie_on_other_days_hours_and_weekends_elsewhere(
    spark: SparkSession, frame: Callable[..., DataFrame]
) -> None:
    lines = [
        line(at="2024-06-28 23:30:00"),  # Friday in London's winter, Saturday morning in Kolkata
        line(order="O2", at="2024-06-30 19:00:00"),  # July 1st from 18:30 on in Kolkata
    ]
    events = frame(
        [
            ("C1", datetime(2024, 6, 30, 18, 29), "click", "web"),
            ("C1", datetime(2024, 6, 30, 18, 30), "click", "web"),
        ],
        "customer_id string, occurred_at timestamp, event_type string, channel string",
    )

    utc, kolkata = (features(spark, lines, zone, events)["C1"] for zone in ("UTC", "Asia/Kolkata"))

    assert (utc["frequency"], utc["recency_days"], utc["responses"]) == (2, 1, 2)
    assert (utc["weekend_share"], utc["evening_share"], utc["night_share"]) == (0.5, 1.0, 0.0)
    assert (kolkata["frequency"], kolkata["recency_days"], kolkata["responses"]) == (1, 2, 1)
    assert (kolkata["weekend_share"], kolkata["evening_share"], kolkata["night_share"]) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "zone",
    [
        "Australia/Lord_Howe",
        pytest.param("Asia/Kathmandu", marks=pytest.mark.slow),
        pytest.param("America/Santiago", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_every_feature_in_a_zone_equals_the_oracle_on_its_wall_clock_times(spark: SparkSession, zone: str) -> None:
    draw = seeded()
    lines = [random_line(draw) for _ in range(400)]
    local = [(*one[:2], wall_clock(one[2], zone), *one[3:]) for one in lines]
    events = [
        (
            f"C{draw.randrange(40)}",
            datetime(2024, 7, 1) - timedelta(hours=draw.randrange(-99, 9999)),
            kind,
            "web",
            draw.choice(["S", "T", None]),
        )
        for kind in ("mail", "click")
        for _ in range(60)
    ]
    schema = "customer_id string, occurred_at timestamp, event_type string, channel string, campaign_id string"

    found = features(spark, lines, zone, spark.createDataFrame(events, schema))

    expected = oracle(local, {}, [(one[0], wall_clock(one[1], zone), *one[2:]) for one in events], AS_OF)
    assert set(found) == set(expected)
    for customer, row in expected.items():
        for feature in FEATURES:
            right = row[feature.name]
            near = right if right is None or feature.type != "double" else pytest.approx(right, abs=1e-7, rel=1e-7)
            assert found[customer][feature.name] == near, (customer, feature.name)


def test_days_at_the_end_are_stray_only_when_far_and_few() -> None:
    daily = [date(2024, 1, 1) + timedelta(days=number) for number in range(300)]
    last = daily[-1]

    assert stray_days(daily) is None
    assert stray_days([]) is None
    assert stray_days([last, last + timedelta(days=900)]) is None  # nothing to compare with
    assert stray_days([*daily, last + timedelta(days=30)]) is None
    assert stray_days([*daily, last + timedelta(days=31)]) == StrayDays(
        last + timedelta(days=31), last + timedelta(days=31), 1, last, 31
    )
    two = [last + timedelta(days=500), last + timedelta(days=2000)]
    assert stray_days([*daily, *two]) == StrayDays(*two, 2, last, 500)
    reopened = [last + timedelta(days=500 + number) for number in range(30)]
    assert stray_days([*daily, *reopened]) is None  # too many for a mistake
    assert stray_days([date(2020, 1, 1), date(2021, 1, 1), date(2022, 6, 1)]) is None  # gaps are usual


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Berlin", "did you mean Europe/Berlin?"),
        ("America/new_york", "did you mean America/New_York?"),
        ("+02:00", "there are Africa/Abidjan"),
        ("localtime", "is not a time zone of the IANA database"),
        ("../../etc/passwd", "is not a time zone of the IANA database"),
    ],
)
def test_a_zone_that_is_none_is_rejected_with_the_one_that_may_be_meant(found: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match="timezone: ") as error:
        load_config([], [f"timezone={found}"])

    assert message in str(error.value)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Etc/GMT+5", "America/Argentina/Buenos_Aires"])
def test_any_zone_of_the_database_may_be_set(zone: str) -> None:
    assert load_config([], [f"timezone={zone}"]).timezone == zone


SHEET = Sheet(customer="C1", order="O1", at="2024-03-01 12:00:00", price="5.00", number="1")


def config_of(folder: Path, times: list[str], **settings: object) -> Config:
    """A configuration whose order lines are of these times, each of an order and a customer of its own."""
    lines = [SHEET.line(customer=f"C{number}", order=f"O{number}", at=at) for number, at in enumerate(times)]
    SHEET.written(folder / "orders.csv", lines)
    source = {
        "format": "csv",
        "path": str(folder / "orders.csv"),
        "timezone": "UTC",
        "columns": {"customer_id": "customer", "order_id": "order", "ordered_at": "at", "unit_price": "price"},
    }
    values = {"sources": {"transactions": [source]}, "tables": {"root": str(folder / "tables")}}
    return Config.model_validate(values | settings)


def run_of(spark: SparkSession, config: Config, *, started_at: datetime | None = None) -> Run:
    """A run whose order lines are read; where a time is given, as if it had started then."""
    run = quiet(spark, config)
    if started_at is not None:
        run.started_at = started_at
    ingest_sources(run)
    return run


@pytest.mark.slow
def test_the_date_and_the_day_of_a_run_are_those_of_its_zone_and_tables_keep_utc(
    spark: SparkSession, tmp_path: Path
) -> None:
    times = ["2024-06-29 03:59:59", "2024-06-30 04:00:00", "2024-07-01 03:59:59"]  # New York: 28th, 30th, 30th

    run = run_of(spark, config_of(tmp_path, times, timezone="America/New_York"))
    build_features(run)

    assert run.as_of == date(2024, 7, 1)
    days = read(tmp_path / "tables", "customer_days").set_index("customer_id").day
    assert days.to_dict() == {"C0": date(2024, 6, 28), "C1": date(2024, 6, 30), "C2": date(2024, 6, 30)}
    recency = read(tmp_path / "tables", "customer_features").set_index("customer_id").recency_days
    assert recency.to_dict() == {"C0": 3, "C1": 1, "C2": 1}
    stored = run.warehouse.read(t.TRANSACTIONS).select(F.col(c.ORDERED_AT).cast("string")).collect()
    assert sorted(row[0] for row in stored) == times


@pytest.mark.long
@pytest.mark.slow
def test_another_zone_builds_the_days_anew(spark: SparkSession, tmp_path: Path) -> None:
    times = ["2024-06-29 23:00:00", "2024-06-30 12:00:00"]

    for zone, day in (("UTC", date(2024, 6, 29)), ("Europe/Berlin", date(2024, 6, 30)), ("UTC", date(2024, 6, 29))):
        config = config_of(tmp_path, times, timezone=zone, as_of=date(2024, 7, 1))
        build_features(run_of(spark, config))
        days = read(tmp_path / "tables", "customer_days").set_index("customer_id").day
        assert days.to_dict() == {"C0": day, "C1": date(2024, 6, 30)}, zone


@pytest.mark.slow
def test_a_date_that_is_set_lets_in_what_the_clocks_show_before_it(spark: SparkSession, tmp_path: Path) -> None:
    times = ["2024-07-01 03:59:59", "2024-07-01 04:00:00"]

    config = config_of(tmp_path, times, timezone="America/New_York", as_of=date(2024, 7, 1))
    run = run_of(spark, config)

    assert [row[c.CUSTOMER_ID] for row in run.inputs.transactions().collect()] == ["C0"]
    assert read(tmp_path / "tables", "rejected_transactions").reasons.map(list).tolist() == [["date_in_future"]]


@pytest.mark.slow
def test_orders_dated_after_the_day_of_the_run_are_not_known_yet(spark: SparkSession, tmp_path: Path) -> None:
    times = ["2024-03-01 12:00:00", "2024-03-02 12:00:00", "2031-01-01 12:00:00"]

    run = run_of(spark, config_of(tmp_path, times), started_at=datetime(2024, 5, 1, 12, tzinfo=UTC))

    assert run.as_of == date(2024, 3, 3)
    assert run.as_of_remarks() == []
    assert read(tmp_path / "tables", "rejected_transactions").reasons.map(list).tolist() == [["date_in_future"]]


@pytest.mark.slow
def test_the_day_of_the_run_is_one_of_its_zone(spark: SparkSession, tmp_path: Path) -> None:
    times = ["2024-03-01 12:00:00", "2024-03-02 02:00:00"]  # the second on March 2nd in UTC
    started_at = datetime(2024, 3, 1, 23, 30, tzinfo=UTC)

    utc = run_of(spark, config_of(tmp_path, times), started_at=started_at)
    berlin = run_of(spark, config_of(tmp_path, times, timezone="Europe/Berlin"), started_at=started_at)

    assert utc.as_of == date(2024, 3, 2)
    assert berlin.as_of == date(2024, 3, 3)
    assert berlin.as_of_remarks() == []


def test_orders_that_are_all_dated_after_the_run_are_rejected(spark: SparkSession, tmp_path: Path) -> None:
    config = config_of(tmp_path, ["2031-01-01 12:00:00"])

    with pytest.raises(DataRejectedError, match=r"all of the 1 lines are rejected.*\n.*date_in_future \(1\)"):
        run_of(spark, config, started_at=datetime(2024, 5, 1, 12, tzinfo=UTC))


@pytest.mark.slow
def test_a_last_order_far_from_all_others_is_told_with_what_to_set(spark: SparkSession, tmp_path: Path) -> None:
    daily = [f"2023-03-{day:02} 12:00:00" for day in range(1, 21)]

    run = run_of(spark, config_of(tmp_path, [*daily, "2024-06-01 08:00:00"]))
    told = run.as_of_remarks()
    settled = quiet(spark, config_of(tmp_path, [*daily, "2024-06-01 08:00:00"], as_of=date(2023, 3, 21)))

    assert run.as_of == date(2024, 6, 2)
    assert len(told) == 1
    assert "2024-06-01, lies 439 days after" in told[0]
    assert "set as_of or checks.latest_order to 2023-03-21" in told[0]
    assert settled.as_of_remarks() == []
