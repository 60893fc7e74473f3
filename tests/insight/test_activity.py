"""Whether a segment is called active or not: rates of what customers did before, and whether the words come true."""

import itertools
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.cluster import KMeans

import customer_segmentation as cs
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.insight.activity import (
    MIN_CUSTOMERS,
    Evidence,
    PurchaseRates,
    evidence_of,
    purchase_rates,
    segment_evidence,
)
from customer_segmentation.spark.persistence import checkpointed
from tests.insight.purchases import YEAR, buyers, customers_at, evidence_rows, rates_of, shop

FIRST_DAY = date(2022, 1, 1)


def evidence(**changes: float | None) -> Evidence:
    usual = {"overdue": 0.9, "new": 0.0, "buys_again": 0.05, "overall": 0.5, "error": 0.01}
    return Evidence(1, 100, **{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (evidence(), "lost"),
        (evidence(buys_again=0.15), "lapsed"),
        (evidence(buys_again=0.2), "mixed"),  # below half of all customers' share, but not well below
        (evidence(buys_again=0.1, error=0.08), "mixed"),  # so few customers that it may be half
        (evidence(overdue=0.5), "mixed"),  # silent, but no longer than is usual for them
        (evidence(overdue=0.2, buys_again=0.8), "active"),
        (evidence(overdue=0.2, buys_again=0.8, error=0.1), "mixed"),
        (evidence(overdue=0.2, buys_again=0.6), "mixed"),  # above all customers' share, but not clearly
        (evidence(overdue=0.6, buys_again=0.8), "mixed"),
        (evidence(overdue=0.2, overall=0.94, buys_again=0.995, error=0.001), "active"),
        (evidence(overdue=0.2, overall=0.94, buys_again=1.0, error=0.0), "active"),
        (evidence(overdue=0.2, buys_again=0.8, new=0.6), "new"),
        (evidence(new=0.6), "lost"),
        (evidence(buys_again=0.0, overall=0.0, error=0.0), "mixed"),  # nobody bought: it says nothing of any segment
        (evidence(buys_again=None, overall=None), "mixed"),
        (evidence(buys_again=None, overall=None, new=0.6), "new"),
    ],
)
def test_a_word_needs_both_kinds_of_evidence(seen: Evidence, word: str) -> None:
    assert seen.activity == word


def test_no_words_are_said_within_their_limits() -> None:
    """However the figures lie: inactive only below half of all customers' share, active only above it."""
    draw = np.random.default_rng(5)
    words = set()
    for _ in range(20_000):
        share, overall, error, overdue, new = draw.random(5) ** draw.choice([0.3, 1, 3], 5)
        seen = evidence(buys_again=share, overall=overall, error=error / 5, overdue=overdue, new=new)
        words.add(seen.activity)
        if seen.activity in ("lost", "lapsed"):
            assert share + 2 * seen.error <= overall / 2
            assert overdue > 0.5
        if seen.activity == "active":
            assert share - 2 * seen.error > overall
            assert overdue <= 0.5
    assert words == {"new", "active", "mixed", "lapsed", "lost"}


def test_a_rate_is_that_of_the_state_drawn_to_the_wider_classes() -> None:
    rates = PurchaseRates(90, 400, 30.0, ((0, 0, 0, 1000, 500), (0, 3, 1, 10_000, 9000), (5, 0, 0, 2000, 20)))

    assert rates.rate(0, 3, 1) == pytest.approx(0.9, abs=0.001)
    assert rates.rate(0, 0, 0) == pytest.approx(0.5, abs=0.01)
    assert rates.rate(5, 0, 0) == pytest.approx(0.01, abs=0.01)
    # Nobody was in these: of the same silence, or silent for longer than anybody could be.
    assert rates.rate(0, 5, 2) == pytest.approx(9500 / 11_000, abs=0.001)
    assert rates.rate(18, 0, 0) == pytest.approx(0.01, abs=0.01)


def test_a_state_with_few_customers_says_little() -> None:
    rates = PurchaseRates(90, 400, 30.0, ((0, 0, 0, 1000, 100), (0, 1, 1, 1, 1)))

    assert 0.1 < rates.rate(0, 1, 1) < 0.2


def test_the_rates_are_the_same_from_plain_data() -> None:
    rates = PurchaseRates(90, 400, None, ((0, 0, 0, 1000, 100), (1, 1, 1, 30, 3)))

    assert PurchaseRates.from_dict(rates.to_dict()) == rates


@pytest.mark.parametrize(
    ("history", "cycle", "days"), [(400, 5.0, 30), (400, 60.0, 60), (400, 200.0, 90), (400, None, 90), (80, 5.0, None)]
)
def test_new_goes_by_the_shops_cycle_within_bounds(history: int, cycle: float | None, days: int | None) -> None:
    assert PurchaseRates(40, history, cycle).new_days == days


def test_too_few_customers_or_too_short_a_history_say_nothing() -> None:
    rows = [{"segment_id": 1, "silence": 0, "purchases": 0, "overdue": 0, "customers": 9}]
    rows = [row | {"purchase_days": 9, "overdue_customers": 9, "new_customers": 0} for row in rows]

    for rates in (
        PurchaseRates(90, 400, 30.0, ((0, 0, 0, MIN_CUSTOMERS - 1, 9),)),
        PurchaseRates(3, 6, 2.0),
    ):
        seen = evidence_of(rows, rates)[0]
        assert (seen.buys_again, seen.overall, seen.activity, seen.overdue) == (None, None, "mixed", 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_words_come_true(seed: int) -> None:
    """Segments named at one day, and who bought in the 90 days after: shops of all kinds, three to eight segments."""
    draw = np.random.default_rng(seed)
    words = []
    for mean_gap, mean_life, length in itertools.product((8, 40), (150, 600), (300, 800)):
        days = shop(draw, customers=1200, days=length + 90, mean_gap=mean_gap, mean_life=mean_life)
        customers = customers_at(days, length)
        spend = days[days.day < length].groupby("customer_id").spend.sum()
        rates = rates_of(days, length, 90)
        bought = customers.index.isin(buyers(days, length, length + 90))
        features = np.log1p(customers[["recency_days", "active_days"]].assign(spend=spend).to_numpy())
        points = (features - features.mean(axis=0)) / features.std(axis=0)
        for k in (3, 5, 8):
            segments = KMeans(k, n_init=1, random_state=seed).fit_predict(points)
            for seen in evidence_of(evidence_rows(customers, segments, rates), rates):
                share = bought[segments == seen.segment_id].mean() / bought.mean()
                words.append(seen.activity)
                if seen.activity in ("lost", "lapsed"):
                    assert share <= 0.5, (seed, mean_gap, mean_life, length, k, seen)
                if seen.activity == "active":
                    assert share > 1, (seed, mean_gap, mean_life, length, k, seen)
    counts = pd.Series(words).value_counts()
    assert {"active", "lapsed"} <= set(counts[counts >= 5].index), counts


@pytest.mark.parametrize("length", [40, 200, 600])
def test_rates_and_evidence_are_those_of_pandas(spark: SparkSession, length: int) -> None:
    draw = np.random.default_rng(length)
    days = shop(draw, customers=150, days=length + 20, mean_gap=20, mean_life=200)
    as_of = FIRST_DAY + timedelta(length)
    customers = customers_at(days, length)
    segments = draw.integers(-1, 3, len(customers))
    purchases = spark.createDataFrame(
        [(row.customer_id, FIRST_DAY + timedelta(row.day)) for row in days.itertuples()], "customer_id string, day date"
    )
    numbers = ["recency_days", "active_days", "tenure_days"]
    assigned = spark.createDataFrame(customers.assign(segment_id=segments).reset_index()[["segment_id", *numbers]])

    rates = purchase_rates(purchases, assigned, as_of=as_of, horizon_days=90)
    seen = segment_evidence(assigned, rates)

    expected = rates_of(days, length, 90)
    assert rates == expected
    assert len(rates.counts) > 5
    assert (length - YEAR >= 90) == (sum(row[3] for row in rates.counts) > len(customers))
    assert seen == evidence_of(evidence_rows(customers, segments, expected), expected)
    assert sum(each.customers for each in seen) == len(customers)


@pytest.mark.slow
def test_the_names_of_any_segmented_frame(spark: SparkSession) -> None:
    draw = np.random.default_rng(2)
    days = shop(draw, customers=400, days=500, mean_gap=15, mean_life=200)
    rows = [
        (row.customer_id, str(number), str(FIRST_DAY + timedelta(row.day)), row.spend)
        for number, row in enumerate(days.itertuples())
    ]
    lines = spark.createDataFrame(rows, "customer_id string, order_id string, ordered_at string, amount double")
    as_of = FIRST_DAY + timedelta(450)
    features = cs.customer_features(lines, as_of=as_of)
    segments = checkpointed(features.selectExpr("*", "if(recency_days > 200, 2, 1) AS segment_id"))
    chosen = ["average_order_value"]

    names = cs.segment_names(segments, lines, features=chosen, own={1: "My VIPs"}).set_index("segment_id")
    without = cs.segment_names(segments, features=chosen).set_index("segment_id")

    customers = customers_at(days, 450)
    expected = rates_of(days, 450, 90)
    here = np.where(customers.recency_days > 200, 2, 1)
    seen = {each.segment_id: each for each in evidence_of(evidence_rows(customers, here, expected), expected)}
    assert names.expected_buyer_share.to_dict() == {key: pytest.approx(each.buys_again) for key, each in seen.items()}
    assert names.activity.to_dict() == {key: each.activity for key, each in seen.items()}
    assert names.activity[2] in ("lapsed", "lost")
    assert names.segment_name[1] == "My VIPs"
    assert without.activity.isin(["mixed", "new"]).all()
    assert without.expected_buyer_share.isna().all()
    assert without.expected_within_days.isna().all()
    assert set(names.expected_within_days) == {90}
    with pytest.raises(ConfigurationError, match="as_of"):
        cs.segment_names(segments.drop("as_of_date"), lines)
    with pytest.raises(ConfigurationError, match="segment_names: horizon_days Input should be greater"):
        cs.segment_names(segments, lines, rules={"horizon_days": 0})
    with pytest.raises(cs.ConfigurationError, match="segment_names: timezone is not a time zone"):
        cs.segment_names(segments, lines, timezone="Mars")
    with pytest.raises(cs.ConfigurationError, match="segments must be a mapping of settings by name; found 'strict'"):
        cs.segment_names(segments, lines, rules="strict")
    unknown = segments.selectExpr("* EXCEPT (active_days, segment_id)", "NULL AS active_days", "3 AS segment_id")
    known_too = segments.unionByName(
        unknown.selectExpr("* EXCEPT (active_days)", "CAST(NULL AS BIGINT) AS active_days")
    )
    with_unknown = cs.segment_names(known_too, lines, features=chosen).set_index("segment_id")
    assert with_unknown.activity.to_dict() == {**names.activity.to_dict(), 3: "mixed"}
    assert with_unknown.expected_buyer_share.isna().to_dict() == {1: False, 2: False, 3: True}
    for own in (["VIP"], {"1": "VIP"}):
        with pytest.raises(cs.ConfigurationError, match="own must be a dictionary of names by segment_id"):
            cs.segment_names(segments, lines, own=own)
    with pytest.raises(cs.DataRejectedError, match="no customer of the frame has a segment_id"):
        cs.segment_names(segments.where("false"), lines)
    with pytest.raises(cs.DataRejectedError, match="has no rows with an as_of_date"):
        cs.segment_names(segments.selectExpr("* EXCEPT (as_of_date)", "CAST(NULL AS DATE) AS as_of_date"), lines)


@pytest.mark.slow
def test_the_days_of_names_are_those_of_the_shop(spark: SparkSession) -> None:
    """Orders of 3:30 UTC are of the evening before in New York, where they are those of noon of that day."""
    draw = np.random.default_rng(2)
    days = shop(draw, customers=100, days=500, mean_gap=15, mean_life=200)
    as_of, zone = FIRST_DAY + timedelta(450), "America/New_York"
    noon, night = (
        spark.createDataFrame(
            [
                (row.customer_id, str(number), f"{FIRST_DAY + timedelta(row.day + later)} {clock}", 1.0)
                for number, row in enumerate(days.itertuples())
            ],
            "customer_id string, order_id string, ordered_at string, amount double",
        )
        for later, clock in ((0, "12:00:00"), (1, "03:30:00"))
    )
    customers = customers_at(days, 450).drop(columns="gap").assign(monetary=10.0).reset_index()
    segments = spark.createDataFrame(customers).selectExpr("*", "if(recency_days > 200, 2, 1) AS segment_id")

    of_noon, local, in_utc = (
        cs.segment_names(segments, lines, as_of=as_of, features=[], timezone=zone_)
        for lines, zone_ in ((noon, "UTC"), (night, zone), (night, "UTC"))
    )

    pd.testing.assert_frame_equal(local, of_noon)
    assert not in_utc.expected_buyer_share.equals(of_noon.expected_buyer_share)
