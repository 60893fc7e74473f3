"""Features mean what they say: against simulated customers whose behaviour is known, and with little to go by."""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.features.feature import digamma
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.features.build import customer_features
from customer_segmentation.stages.features import build_features
from tests.csv_lines import seeded
from tests.features.test_features import shop
from tests.features.test_history import Ledger
from tests.generated import quiet
from tests.order_lines import Line, line, random_line

AS_OF = date(2024, 7, 1)


def bought(who: str, days_before: int, order: int, product: str = "P", **more: str) -> Line:
    """A purchase line of an order so many days before the date."""
    at = datetime(2024, 7, 1) - timedelta(days=days_before)
    return line(who, order=f"{who}-{order}", at=at.isoformat(" "), product=product, **more)


def at_random(draw: random.Random, group: str, days: int, customers: int) -> list[Line]:
    """Customers who buy on so many days that are uniform over forty years; the first is forty years ago."""
    return [
        bought(f"{group}{i}", day, order)
        for i in range(customers)
        for order, day in enumerate([14_610, *draw.sample(range(1, 14_610), days - 1)])
    ]


def of_one_taste(draw: random.Random, group: str, orders: int, customers: int) -> list[Line]:
    """Customers who buy three of twelve products in each of so many orders, whatever they had before."""
    return [
        bought(f"{group}{i}", 1 + draw.randrange(300), order, product=f"P{product}")
        for i in range(customers)
        for order in range(orders)
        for product in draw.sample(range(12), 3)
    ]


def of_category(draw: random.Random, group: str, category: str, offers: float, lines: int) -> list[Line]:
    """Customers of one category, who take what comes: a share of it is on offer."""
    return [
        bought(f"{group}{i}", 10, n, category=category, discount="1.00" if draw.random() < offers else "0.00")
        for i in range(100)
        for n in range(lines)
    ]


@pytest.fixture(scope="module")
def simulated(spark: SparkSession) -> pd.DataFrame:
    """The features of all simulated customers, by customer."""
    draw = seeded()
    lines = [
        *(row for days in (3, 5, 9, 33) for row in at_random(draw, f"random-{days}-", days, 150)),
        *(bought("clock", day, day) for day in range(10, 700, 10)),
        *(bought("clock-4", day, day) for day in (10, 20, 30, 40)),
        *(bought("burst", day, day) for day in (1, 2, 3, 4, 5, 6, 700)),
        *(row for orders in (2, 4, 20) for row in of_one_taste(draw, f"taste-{orders}-", orders, 120)),
        *(bought("same", day, day) for day in (1, 30, 60)),
        *(bought("new", day, day, product=f"P{day}") for day in (1, 30, 60)),
        *of_category(draw, "often-", "often on offer", 0.8, 40),
        *of_category(draw, "seldom-", "seldom on offer", 0.1, 40),
        bought("one-offer", 10, 1, category="seldom on offer", discount="1.00"),
        *(bought("hunter", 10, n, category="seldom on offer", discount="1.00") for n in range(40)),
        bought("once-now", 1, 1),
        bought("once-long-ago", 900, 1),
    ]
    rows = customer_features(spark.createDataFrame(lines, TRANSACTIONS.ddl), as_of=AS_OF).toPandas()
    return rows.set_index(c.CUSTOMER_ID)


def of_group(simulated: pd.DataFrame, group: str) -> pd.DataFrame:
    return simulated[simulated.index.str.startswith(group)]


@pytest.mark.parametrize("days", [3, 5, 9, 33])
def test_random_days_are_neither_clumped_nor_regular_however_few_they_are(simulated: pd.DataFrame, days: int) -> None:
    customers = of_group(simulated, f"random-{days}-")

    clumpiness = customers["clumpiness"]
    error = clumpiness.std() / len(customers) ** 0.5
    assert abs(clumpiness.mean()) < 4 * error, (clumpiness.mean(), error)
    assert 0.9 < customers["regularity"].median() < 1.35
    assert customers["regularity"].mean() < 1.35


def test_a_clock_is_regular_as_far_as_its_gaps_can_show_and_a_burst_is_clumped(simulated: pd.DataFrame) -> None:
    regularity, clumpiness = simulated["regularity"], simulated["clumpiness"]

    assert regularity["clock"] > 50
    assert 1.5 < regularity["clock-4"] < 3
    assert regularity["burst"] < 0.6
    assert clumpiness["clock"] < -0.05
    assert 0.7 < clumpiness["burst"] <= 1


def test_customers_of_one_taste_seek_as_much_variety_however_often_they_buy(simulated: pd.DataFrame) -> None:
    few, some, many = (of_group(simulated, f"taste-{orders}-")["variety_seeking"] for orders in (2, 4, 20))

    for group in (few, some, many):  # 3 of 12: nine of twelve products are not in another order
        assert abs(group.mean() - 0.75) < 4 * group.std() / len(group) ** 0.5
    assert (simulated.loc["same", "variety_seeking"], simulated.loc["new", "variety_seeking"]) == (0.0, 1.0)
    assert np.isnan(simulated.loc["once-now", "variety_seeking"])  # with one order there is nothing to compare


def test_price_sensitivity_is_not_what_is_on_offer_in_what_is_bought(simulated: pd.DataFrame) -> None:
    often, seldom = of_group(simulated, "often-"), of_group(simulated, "seldom-")

    assert often["discounted_share"].mean() > 3 * seldom["discounted_share"].mean()
    assert often["price_sensitivity"].mean() == pytest.approx(1, abs=0.05)
    assert seldom["price_sensitivity"].mean() == pytest.approx(1, abs=0.25)  # the hunter makes offers more usual
    assert simulated.loc["hunter", "price_sensitivity"] > 2.5


def test_one_line_says_less_than_forty(simulated: pd.DataFrame) -> None:
    for feature in ("discounted_share", "discount_rate", "price_sensitivity"):
        usual, one, forty = (simulated.loc[who, feature] for who in ("once-now", "one-offer", "hunter"))
        assert usual < one < usual + 0.5 * (forty - usual), feature


def test_who_bought_once_has_an_expected_gap_that_grows_with_the_silence(simulated: pd.DataFrame) -> None:
    gap = simulated["expected_gap"]
    usual = simulated["tenure_days"].sum() / (simulated["active_days"] - 1).sum()

    assert gap["once-now"] == pytest.approx(1 + usual)
    assert gap["once-long-ago"] == pytest.approx(900 + usual)
    assert gap["clock"] == pytest.approx((690 + usual) / 69)
    assert gap.notna().all()
    assert simulated["days_between_orders"][["once-now", "once-long-ago"]].isna().all()


@pytest.mark.slow
def test_a_change_of_spend_is_unknown_until_there_was_a_time_before(spark: SparkSession) -> None:
    lines = [
        *(bought("old", day, day) for day in (1, 60)),
        *(bought("new", day, day) for day in (1, 59)),
        bought("gone", 700, 1),
    ]

    rows = customer_features(spark.createDataFrame(lines, TRANSACTIONS.ddl), as_of=AS_OF).collect()

    changes = {row[c.CUSTOMER_ID]: (row.spend_change_short, row.spend_change_medium) for row in rows}
    assert changes == {"old": (0.0, None), "new": (None, None), "gone": (0.0, 0.0)}


EVENTS = "customer_id string, occurred_at timestamp, event_type string, channel string, campaign_id string"


@pytest.mark.slow
def test_a_campaign_is_received_and_answered_once(spark: SparkSession, frame: Callable[..., DataFrame]) -> None:
    at = datetime(2024, 6, 1)
    events = [
        *(("C1", at, "mail", "post", campaign) for campaign in ("spring", "spring", "sale", "summer")),
        *(("C1", at, "click", "web", campaign) for campaign in ("spring", "spring", "spring", "not received")),
        ("C1", datetime(2024, 7, 1), "click", "web", "sale"),  # not known yet
        *(("C2", at, "mail", "post", None) for _ in range(4)),
        *(("C2", at, "click", "web", None) for _ in range(9)),
        ("C3", at, "mail", "post", "sale"),
        ("C4", at, "click", "web", "sale"),
    ]
    lines = spark.createDataFrame([line(f"C{i}") for i in range(1, 6)], TRANSACTIONS.ddl)
    told = {"as_of": AS_OF, "response_events": ["click"]}

    rows = customer_features(lines, frame(events, EVENTS), **told).collect()
    unnamed = customer_features(lines, frame(events, EVENTS).drop("campaign_id"), **told).collect()

    rates = {row[c.CUSTOMER_ID]: row.response_rate for row in rows}
    assert rates == {"C1": pytest.approx(1 / 3), "C2": 1.0, "C3": 0.0, "C4": None, "C5": None}
    usual = (1 + 4 + 0) / (3 + 4 + 1)
    drawn = {row[c.CUSTOMER_ID]: row.promotion_response for row in rows}
    expected = {"C1": (1 + 2 * usual) / 5, "C2": (4 + 2 * usual) / 6, "C3": 2 * usual / 3}
    assert drawn == {**{who: pytest.approx(value) for who, value in expected.items()}, "C4": None, "C5": None}
    without = {row[c.CUSTOMER_ID]: row.response_rate for row in unnamed}
    assert without == {"C1": 1.0, "C2": 1.0, "C3": 0.0, "C4": None, "C5": None}


@pytest.mark.slow
def test_who_bought_too_long_ago_is_no_customer_and_changes_nothing_for_the_others(spark: SparkSession) -> None:
    draw = seeded()
    lines = spark.createDataFrame([random_line(draw) for _ in range(300)], TRANSACTIONS.ddl)

    everybody = {row[c.CUSTOMER_ID]: row for row in customer_features(lines, as_of=AS_OF).collect()}
    within = sorted(row.recency_days for row in everybody.values())[len(everybody) // 2]
    active = {row[c.CUSTOMER_ID]: row for row in customer_features(lines, as_of=AS_OF, active_within=within).collect()}

    assert active == {who: row for who, row in everybody.items() if row.recency_days <= within}
    assert 0 < len(active) < len(everybody)


@pytest.mark.long
@pytest.mark.slow
def test_a_run_says_how_many_bought_too_long_ago(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="customer_segmentation")
    run = quiet(spark, shop(tmp_path, features={"active_within": 60}))
    Ledger(run).change(
        [bought(f"C{i}", days, 1, line_id=i) for i, days in enumerate((1, 30, 60, 61, 400))],
        [],
    )

    build_features(run)

    rows = run.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=run.run_id)
    assert sorted(row.recency_days for row in rows.collect()) == [1, 30, 60]
    assert "3 customers as of 2024-07-01, of 5 with a purchase: that of 2 is more than 60 days ago" in caplog.text
    nobody = quiet(spark, shop(tmp_path, features={"active_within": 1}, as_of="2024-08-01"))
    with pytest.raises(DataRejectedError, match=r"features\.active_within is 1: no customer has a purchase so few"):
        build_features(nobody)


def test_the_digamma_of_the_formulas_is_that_of_scipy(spark: SparkSession) -> None:
    from scipy.special import digamma as exact

    values = [1.0, 2.0, 3.0, 17.0, 4000.0]

    row = spark.sql(f"SELECT {', '.join(digamma(f'{value}D') for value in values)}").first()

    assert list(row) == pytest.approx(exact(values), abs=1e-9)
