"""Synthetic data: exact in size, the same everywhere, true to its settings, and its segments can be found again."""

from collections.abc import Callable
from datetime import date
from math import sqrt
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import RobustScaler

from customer_segmentation.config.schema import Generate
from customer_segmentation.spark.settings import changed
from customer_segmentation.synthetic import (
    customer_attributes,
    engagement_events,
    order_lines,
    true_dirt,
    true_segments,
)
from customer_segmentation.synthetic.archetypes import ARCHETYPES
from customer_segmentation.synthetic.dirt import DUPLICATE, SPOILED
from customer_segmentation.synthetic.plan import make_plan

CLEAN = Generate(lines=20_000, customers=1_000)
DIRTY = CLEAN.model_copy(
    update={"dirt": {kind: 0.01 * (1 + place) for place, kind in enumerate([DUPLICATE, *SPOILED])}}
)
SKEWED = CLEAN.model_copy(update={"skew": 0.3, "return_rate": 0.2})
SCARCE = Generate(
    lines=2_000, customers=1_000, start=date(2023, 3, 1), days=100, seasonality=0.9, return_rate=0.0, dirt=DIRTY.dirt
)
END = pd.Timestamp(CLEAN.start) + pd.Timedelta(days=CLEAN.days)
SEED, OTHER_SEED = 7, 8

Make = Callable[..., DataFrame]
Made = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def made(spark: SparkSession) -> Made:
    """What a function of the module makes, as pandas in the order of the lines; made once."""
    kept: dict[tuple[str, str, int], pd.DataFrame] = {}

    def collected(make: Make, settings: Generate = CLEAN, seed: int = SEED) -> pd.DataFrame:
        key = (make.__name__, settings.model_dump_json(), seed)
        if key not in kept:
            kept[key] = make(spark, settings, seed=seed).toPandas()
        return kept[key].copy()

    return collected


def typed(lines: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: lines[name].astype(float) for name in ("quantity", "unit_price", "discount")}
    return lines.assign(
        **numbers, ordered_at=pd.to_datetime(lines.ordered_at), amount=lambda x: x.quantity * x.unit_price
    )


def is_near(count: int, probability: float, of: int) -> bool:
    """Whether a count of independent events is within five standard deviations of what is expected."""
    return abs(count - probability * of) <= 5 * sqrt(probability * (1 - probability) * of)


def is_copy(lines: pd.DataFrame) -> pd.Series:
    """Whether a line equals the one before it."""
    text = lines.fillna("")
    return (text == text.shift()).all(axis=1)


# --- The plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("lines", "customers"), [(6, 6), (7, 6), (101, 101), (1_000, 700), (20_000, 1_000), (10**12, 10**10), (10**12, 6)]
)
def test_any_size_is_divided_without_a_rest_and_every_customer_gets_an_order(
    lines: int, customers: int, skew: float
) -> None:
    plan = make_plan(Generate(lines=lines, customers=customers, skew=skew))

    assert [cohort.first_line for cohort in plan.cohorts[1:]] == [cohort.end_line for cohort in plan.cohorts[:-1]]
    assert plan.heavy.first_line == plan.cohorts[-1].end_line
    assert plan.heavy.end_line == lines
    assert sum(cohort.customers for cohort in plan.cohorts) == customers
    for cohort in plan.cohorts:
        pairs, rest = divmod(cohort.lines, cohort.lines_per_pair)
        assert 1 <= cohort.customers <= 2 * pairs + min(rest, 1)


def test_the_archetypes_are_consistent() -> None:
    assert sum(archetype.share for archetype in ARCHETYPES) == pytest.approx(1)
    for archetype in ARCHETYPES:
        assert 0 <= archetype.joined[0] < archetype.joined[1] < archetype.left[0] < archetype.left[1] <= 1
        assert 2 * archetype.lines_per_order == int(2 * archetype.lines_per_order) >= 3


# --- The lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "customers"), [(7, 7), (CLEAN.lines, CLEAN.customers)])
def test_there_are_exactly_as_many_lines_and_customers_as_configured(made: Made, lines: int, customers: int) -> None:
    settings = Generate(lines=lines, customers=customers)

    found, truth = made(order_lines, settings), made(true_segments, settings)

    assert len(found) == lines
    assert len(truth) == customers
    assert truth.customer_id.is_unique
    assert set(found.customer_id) == set(truth.customer_id)


@pytest.mark.slow
def test_the_data_are_the_same_on_any_number_of_partitions(spark: SparkSession, made: Made) -> None:
    divided = SimpleNamespace(range=lambda start, end, step, _: spark.range(start, end, step, 7))

    found = order_lines(divided, DIRTY, seed=SEED).withColumn("partition", F.spark_partition_id()).toPandas()

    assert found.partition.nunique() == 7
    # Partitions and the rows in them are collected in order, so that line by line is compared.
    pd.testing.assert_frame_equal(found.drop(columns="partition"), made(order_lines, DIRTY))


def test_the_times_do_not_depend_on_the_sessions_time_zone(spark: SparkSession, made: Made) -> None:
    with changed(spark, "spark.sql.session.timeZone", "America/New_York"):
        elsewhere = order_lines(spark, CLEAN, seed=SEED).select("ordered_at").limit(100).toPandas()

    assert elsewhere.ordered_at.equals(made(order_lines).ordered_at.head(100))


def test_another_seed_gives_other_data(made: Made) -> None:
    one, other = made(order_lines, CLEAN, SEED), made(order_lines, CLEAN, OTHER_SEED)

    for name in ("customer_id", "ordered_at", "product_id", "unit_price"):
        assert (one[name] == other[name]).mean() < 0.05, name


def test_lines_are_within_the_span_and_prices_and_pieces_make_sense(made: Made) -> None:
    lines = typed(made(order_lines))

    assert lines.notna().all(axis=None)
    assert lines.ordered_at.min() >= pd.Timestamp(CLEAN.start)
    assert lines.ordered_at.max() < END
    assert (lines.unit_price > 0).all()
    assert (lines.discount >= 0).all()
    assert (lines.quantity != 0).all()


def test_no_order_has_two_times_customers_or_channels_and_no_product_twice(made: Made) -> None:
    lines = made(order_lines)
    bought = lines[~lines.order_id.str.startswith("C")]

    assert (bought.groupby("order_id")[["customer_id", "ordered_at", "channel"]].nunique() == 1).all(axis=None)
    assert not lines.duplicated(["order_id", "product_id"]).any()


@pytest.mark.parametrize("settings", [CLEAN, SKEWED], ids=["few", "many"])
def test_returns_are_as_common_as_configured_and_each_gives_back_an_earlier_purchase(
    made: Made, settings: Generate
) -> None:
    lines = typed(made(order_lines, settings))
    is_return = lines.quantity < 0
    returned = lines[is_return].assign(order_id=lambda x: x.order_id.str.removeprefix("C"))

    both = returned.merge(lines[~is_return], on=["order_id", "product_id"], suffixes=("", "_bought"))

    assert is_near(len(returned), settings.return_rate, settings.lines)
    assert len(both) == len(returned)
    for same in ("customer_id", "unit_price", "discount", "channel", "category"):
        assert (both[same] == both[f"{same}_bought"]).all(), same
    assert (both.quantity == -both.quantity_bought).all()
    assert (both.ordered_at > both.ordered_at_bought).all()
    assert (both.ordered_at < END).all()


def test_the_season_is_as_busy_as_configured(made: Made) -> None:
    champions = made(true_segments).query("segment == 'champions'").customer_id
    orders = typed(made(order_lines)).query("quantity > 0").drop_duplicates("order_id")

    share = (orders[orders.customer_id.isin(champions)].ordered_at.dt.month == 12).mean()

    assert share == pytest.approx(31 / 365 / (1 - CLEAN.seasonality), rel=0.15)


def test_the_heavy_customer_makes_the_configured_share_of_all_orders(made: Made) -> None:
    orders = made(order_lines, SKEWED).assign(order_id=lambda x: x.order_id.str.removeprefix("C"))

    per_customer = orders.groupby("customer_id").order_id.nunique().sort_values(ascending=False)

    assert per_customer.iloc[0] / per_customer.sum() == pytest.approx(SKEWED.skew, abs=0.02)
    assert per_customer.iloc[1] / per_customer.sum() < 0.01
    truth = made(true_segments, SKEWED).set_index("customer_id").segment
    assert truth[per_customer.index[0]] == "champions"
    assert set(per_customer.index) == set(truth.index)


# --- The dirt ---------------------------------------------------------------------------------------------------------


def test_the_lines_have_the_dirt_that_the_truth_tells_at_the_configured_rates(made: Made) -> None:
    lines, truth = made(order_lines, DIRTY), made(true_dirt, DIRTY).set_index("kind").lines
    own = lines[~is_copy(lines)]

    def says(kind: str) -> pd.Series:
        columns = [own[name].isna() if text is None else own[name] == text for name, text in SPOILED[kind].items()]
        return np.logical_and.reduce(columns)

    found = {kind: int(says(kind).sum()) for kind in SPOILED} | {DUPLICATE: len(lines) - len(own)}

    assert truth.sum() == DIRTY.lines
    assert truth.drop("clean").to_dict() == found
    for kind, rate in DIRTY.dirt.items():
        assert is_near(found[kind], rate, DIRTY.lines), kind


def test_a_duplicate_is_an_exact_copy_and_no_other_line_is(made: Made) -> None:
    lines, truth = made(order_lines, DIRTY), made(true_dirt, DIRTY).set_index("kind").lines

    assert lines.duplicated().sum() == truth[DUPLICATE] == is_copy(lines).sum()
    assert not made(order_lines).duplicated().any()


def good(lines: pd.DataFrame) -> pd.DataFrame:
    says = {text for kinds in SPOILED.values() for text in kinds.values() if text is not None}
    return lines[lines.notna().all(axis=1) & ~lines[["ordered_at", "quantity", "unit_price"]].isin(says).any(axis=1)]


def test_every_customer_keeps_a_good_line_where_there_are_few(made: Made) -> None:
    lines, truth = made(order_lines, SCARCE), made(true_segments, SCARCE)

    assert set(good(lines).customer_id) == set(truth.customer_id)


def test_data_without_dirt_are_clean(made: Made) -> None:
    assert made(true_dirt).to_dict("records") == [{"kind": "clean", "lines": CLEAN.lines}]


# --- The segments -----------------------------------------------------------------------------------------------------


def features(lines: pd.DataFrame) -> pd.DataFrame:
    """Recency, frequency, spend, order value, breadth and discount rate, one row per customer."""
    bought = lines[lines.quantity > 0].groupby("customer_id")
    orders, gross, discount = bought.order_id.nunique(), bought.amount.sum(), bought.discount.sum()
    return pd.DataFrame(
        {
            "recency_days": (END - bought.ordered_at.max().dt.normalize()).dt.days,
            "frequency": orders,
            "monetary": lines.groupby("customer_id").amount.sum(),
            "average_order_value": gross / orders,
            "distinct_categories": bought.category.nunique(),
            "discount_rate": discount / (discount + gross),
        }
    )


@pytest.mark.parametrize("seed", [SEED, OTHER_SEED])
def test_kmeans_finds_the_segments_again(made: Made, seed: int) -> None:
    customers = features(typed(made(order_lines, CLEAN, seed)))
    truth = made(true_segments, CLEAN, seed).set_index("customer_id").segment.loc[customers.index]
    scaled = RobustScaler().fit_transform(np.sign(customers) * np.log1p(customers.abs()))

    labels = KMeans(len(ARCHETYPES), n_init=10, random_state=0).fit_predict(scaled)

    assert adjusted_rand_score(truth, labels) >= 0.9


def test_customers_of_a_segment_differ_in_every_feature(made: Made) -> None:
    customers = features(typed(made(order_lines)))
    truth = made(true_segments).set_index("customer_id").segment

    assert (customers.groupby(truth).nunique() > 2).all(axis=None)


def test_customers_order_in_their_segments_time_even_in_a_short_span_with_a_strong_season(made: Made) -> None:
    lines = good(made(order_lines, SCARCE)).merge(made(true_segments, SCARCE), on="customer_id")
    days = (pd.to_datetime(lines.ordered_at) - pd.Timestamp(SCARCE.start)).dt.days

    for archetype in ARCHETYPES:
        found = days[lines.segment == archetype.name] / SCARCE.days
        assert found.between(archetype.joined[0] - 1 / SCARCE.days, archetype.left[1], inclusive="left").all()


# --- Attributes and engagement ----------------------------------------------------------------------------------------


def test_attributes_are_known_of_most_customers_and_hint_at_the_segment(made: Made) -> None:
    attributes, truth = made(customer_attributes), made(true_segments)

    both = attributes.merge(truth, on="customer_id", validate="one_to_one")

    assert len(both) == len(attributes)
    assert is_near(len(both), 0.85, CLEAN.customers)
    members = (both.loyalty_member == "yes").groupby(both.segment).mean()
    assert members["champions"] > members["loyal"] > members["newcomers"]
    for archetype in ARCHETYPES:
        is_typical = both.age_group == archetype.typical_age
        assert is_typical[both.segment == archetype.name].mean() > is_typical[both.segment != archetype.name].mean()


def test_customers_get_about_five_mailings_and_redeem_some_of_them_later(made: Made) -> None:
    events, truth = made(engagement_events), made(true_segments)
    events["occurred_at"] = pd.to_datetime(events.occurred_at)
    mailings, redemptions = (events[events.event_type == kind] for kind in ("mailing", "redemption"))

    both = redemptions.merge(mailings, on=["customer_id", "campaign_id"], suffixes=("", "_mailed"))

    assert set(events.event_type) == {"mailing", "redemption"}
    assert 4 <= len(mailings) / CLEAN.customers <= 6
    assert len(both) == len(redemptions)
    assert (both.occurred_at > both.occurred_at_mailed).all()
    assert events.occurred_at.between(pd.Timestamp(CLEAN.start), END, inclusive="left").all()
    assert set(events.customer_id) <= set(truth.customer_id)
    segment_of = truth.set_index("customer_id").segment
    rates = redemptions.customer_id.map(segment_of).value_counts() / mailings.customer_id.map(segment_of).value_counts()
    assert rates["deal_hunters"] > rates["loyal"] > rates["lapsed"]
