"""Profiles, traits and transitions."""

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy import stats

from customer_segmentation.clustering import CentroidModel
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.contract.features import FEATURES
from customer_segmentation.contract.tables import DRIVERS_TYPE
from customer_segmentation.insight import profiles
from customer_segmentation.insight.profiles import profile, segment_profiles
from customer_segmentation.insight.reasons import reasons
from customer_segmentation.insight.segment_names import segment_names
from customer_segmentation.insight.traits import strongest_traits, traits
from customer_segmentation.insight.transitions import UNCHANGED_MODEL_SEGMENT_ID, transitions, with_previous
from customer_segmentation.preparation import PreparationModel, PreparedFeature


def test_profiles_count_sum_and_average_what_is_there(frame: Callable[..., DataFrame]) -> None:
    generator = random.Random(2)
    rows = []
    for i in range(30):
        values = [float(generator.randrange(50)) for _ in FEATURES]
        rows.append((1 + i % 3, *values, 1 + i % 5, 3, 5))
    schema = ", ".join(
        ["segment_id int", *(f"{feature.name} double" for feature in FEATURES), "r_score int, f_score int, m_score int"]
    )
    assigned = frame(rows, schema).withColumn("monetary", F.col("monetary").cast("decimal(18,2)"))
    preparation = PreparationModel((PreparedFeature("frequency", False, 10.0, 5.0, 2.0),), {})
    model = CentroidModel("kmeans", preparation, (1, 2, 3), np.zeros((3, 1)), (1.0,) * 3, 3.0, 0.0)

    found = segment_profiles(assigned, model)

    assert [p.segment_id for p in found] == [1, 2, 3]
    where = 1 + [feature.name for feature in FEATURES].index("frequency")
    money = 1 + [feature.name for feature in FEATURES].index("monetary")
    overall = np.mean([(row[where] - 10) / 5 for row in rows])
    for p in found:
        mine = [row for row in rows if row[0] == p.segment_id]
        assert p.customers == len(mine)
        assert p.revenue == Decimal(sum(row[money] for row in mine))
        assert p.averages["frequency"] == pytest.approx(np.mean([row[where] for row in mine]), rel=1e-5)
        effect = (np.mean([(row[where] - 10) / 5 for row in mine]) - overall) / 2
        assert p.differentiators[0].effect == pytest.approx(effect, rel=1e-5, abs=1e-9)
        assert p.differentiators[0].value == pytest.approx(np.mean([row[where] for row in mine]), rel=1e-5)


def test_revenue_that_is_not_known_spoils_no_profile_and_no_name(frame: Callable[..., DataFrame]) -> None:
    nan = float("nan")
    rows = [(1, 1, 40.0), (2, 1, nan), (3, 2, None), (4, 2, nan), (5, None, 7.0)]
    schema = "customer_id int, segment_id int, monetary double"
    segments = frame(rows, schema).withColumns(dict.fromkeys(("recency_days", "active_days"), F.lit(3)))
    segments = segments.withColumn("tenure_days", F.lit(9))

    described = profile(segments, ["recency_days"])

    assert list(described.revenue.fillna(0)) == [40.0, 0.0]
    assert described.revenue_share[0] == 1.0
    assert list(segment_names(segments, features=[]).segment_id) == [1, 2]


def test_a_profile_describes_the_segments_of_any_frame(frame: Callable[..., DataFrame]) -> None:
    segments = frame(
        [
            (1, "Loyal", 10.0, Decimal("30.00")),
            (1, "Loyal", 20.0, Decimal("10.00")),
            (2, "New", 90.0, Decimal("60.00")),
        ],
        "segment_id int, segment_name string, `visits.web` double, monetary decimal(18,2)",
    )

    rows = profiles.profile(segments)

    assert list(rows.columns) == [
        "segment_id",
        "segment_name",
        "customers",
        "customer_share",
        "revenue",
        "revenue_share",
        "mean_visits.web",
        "median_visits.web",
        "mean_monetary",
        "median_monetary",
        "differentiators",
    ]
    assert list(rows.segment_name) == ["Loyal", "New"]
    assert list(rows.customers) == [2, 1]
    assert list(rows.customer_share) == pytest.approx([2 / 3, 1 / 3])
    assert list(rows.revenue) == [Decimal("40.00"), Decimal("60.00")]
    assert list(rows.revenue_share) == [0.4, 0.6]
    assert list(rows["mean_visits.web"]) == [15.0, 90.0]
    visits = np.array([10.0, 20.0, 90.0])
    assert rows.differentiators[1][0] == {
        "feature": "visits.web",
        "value": 90.0,
        "overall": 40.0,
        "effect": pytest.approx((90 - visits.mean()) / visits.std(), rel=1e-5),
    }


def test_a_profile_needs_no_revenue_and_counts_only_known_values(frame: Callable[..., DataFrame]) -> None:
    nan = float("nan")
    segments = frame(
        [(1, 1.0, None), (1, None, None), (1, nan, None), (-1, 5.0, None), (None, 9.0, None)],
        "segment_id int, visits double, unknown double",
    )

    rows = profiles.profile(segments)

    assert list(rows.segment_id) == [-1, 1]
    assert list(rows.customers) == [1, 3]
    assert "revenue" not in rows
    assert list(rows.mean_visits) == list(rows.median_visits) == [5.0, 1.0]
    assert rows.mean_unknown.isna().all()
    assert [each["feature"] for each in rows.differentiators[1]] == ["visits"]


@pytest.mark.parametrize("seed", range(3))
def test_a_profile_is_that_of_pandas(seed: int, spark: SparkSession) -> None:
    draw = np.random.default_rng(seed)
    customers = pd.DataFrame(
        {
            "segment_id": draw.integers(-1, 4, 200),
            "visits": draw.poisson(3, 200),
            "spend": np.where(draw.random(200) < 0.2, np.nan, draw.lognormal(size=200)),
        }
    )

    rows = profiles.profile(spark.createDataFrame(customers), ["visits", "spend"]).set_index("segment_id")

    grouped = customers.groupby("segment_id")
    assert rows.customers.to_dict() == grouped.size().to_dict()
    for name in ("visits", "spend"):
        assert rows[f"mean_{name}"].to_dict() == pytest.approx(grouped[name].mean().to_dict())
        effects = (grouped[name].mean() - customers[name].mean()) / customers[name].std(ddof=0)
        found = {key: {e["feature"]: e["effect"] for e in row}[name] for key, row in rows.differentiators.items()}
        assert found == pytest.approx(effects.to_dict(), rel=1e-4, abs=1e-6)


def test_a_profile_without_customers_has_no_rows(frame: Callable[..., DataFrame]) -> None:
    rows = profiles.profile(frame([], "segment_id int, visits double, monetary decimal(18,2)"))

    assert rows.empty
    assert "mean_visits" in rows


def test_a_profile_names_the_column_that_is_missing(frame: Callable[..., DataFrame]) -> None:
    segments = frame([(1, "a")], "segment_id int, city string")

    with pytest.raises(ConfigurationError, match="visits not among the columns"):
        profiles.profile(segments, ["visits"])
    with pytest.raises(DataRejectedError, match="city is of type string"):
        profiles.profile(segments, ["city"])
    with pytest.raises(ConfigurationError, match="segment_id not among the columns"):
        profiles.profile(segments.drop("segment_id"))


def test_traits_tell_what_is_clearly_more_common(frame: Callable[..., DataFrame]) -> None:
    assigned = frame([(f"C{i}", 1 if i < 100 else 2) for i in range(300)], "customer_id string, segment_id int")
    customers = frame(
        [(f"C{i}", "young" if i < 100 else "old", ("north", "south")[i % 2], f"street {i}", 4) for i in range(250)],
        "customer_id string, age string, region string, address string, number int",
    )

    found = traits(assigned, customers)

    assert [(t["attribute"], t["value"]) for t in found[1]] == [("age", "young")]
    assert found[1][0]["share"] == 1.0
    assert found[1][0]["overall"] == pytest.approx(0.4)
    assert found[1][0]["lift"] == pytest.approx(2.5)
    assert found[1][0]["q"] < 1e-9
    assert [(t["attribute"], t["value"]) for t in found[2]] == [("age", "old")]


def test_a_trait_is_of_twenty_customers_and_worth_a_word() -> None:
    def found(here: int, elsewhere: int, segment: int = 100, others: int = 900) -> bool:
        counts = [(1, "city", "Bonn", here), (1, "city", "Ulm", segment - here)]
        counts += [(2, "city", "Bonn", elsewhere), (2, "city", "Ulm", others - elsewhere)]
        return any(trait["value"] == "Bonn" for trait in strongest_traits(counts).get(1, []))

    assert found(20, 30)
    assert not found(19, 10)
    assert not found(30, 240)  # 30% against 27%: chance
    # 55% against 50% of very many: beyond chance, too little to say.
    assert not found(55_000, 450_000, 100_000, 900_000)


def test_the_q_of_a_trait_is_that_of_an_exact_test_over_all_values_and_segments() -> None:
    counts = [(1, "city", "Bonn", 40), (1, "city", "Ulm", 60), (2, "city", "Bonn", 60), (2, "city", "Ulm", 240)]

    trait = strongest_traits(counts)[1][0]

    # Four tests: each city in each segment. Those that are less common here have a likelihood near 1.
    tables = [[[40, 60], [60, 240]], [[60, 40], [240, 60]], [[60, 240], [40, 60]], [[240, 60], [60, 40]]]
    likelihoods = [stats.fisher_exact(table, alternative="greater").pvalue for table in tables]
    rates = stats.false_discovery_control(likelihoods)
    assert (trait["value"], trait["q"]) == ("Bonn", pytest.approx(rates[0], rel=1e-5))


def test_attributes_by_chance_are_rarely_traits() -> None:
    draws = 200
    named = 0
    for seed in range(draws):
        draw = np.random.default_rng(seed)
        segments = draw.choice([1, 2, 3, 4, 5], 1500, p=[0.35, 0.3, 0.2, 0.1, 0.05])
        counts: Counter[tuple[int, str, str]] = Counter()
        for attribute, values in (("age", 6), ("city", 12), ("home", 3)):
            chosen = draw.choice(values, len(segments), p=draw.dirichlet(np.ones(values) * 2))
            counts.update((int(s), attribute, str(v)) for s, v in zip(segments, chosen, strict=True))
        named += bool(strongest_traits([(*key, count) for key, count in counts.items()]))

    # At a true rate of 5%, 200 draws have at most 18 with a chance of 99%.
    assert named <= 18, named


def test_transitions_conserve_customers_and_revenue(frame: Callable[..., DataFrame]) -> None:
    now = frame(
        [("a", 1, Decimal("1.10"), 1), ("b", 1, Decimal("2.20"), 1), ("c", 2, Decimal("3.30"), 2)],
        f"customer_id string, segment_id int, monetary decimal(18,2), {UNCHANGED_MODEL_SEGMENT_ID} int",
    )
    before = frame([("a", 2), ("c", 2), ("gone", 1)], "customer_id string, segment_id int")

    rows = transitions(with_previous(now, before)).collect()

    assert sorted(((r[0], r[1], r[2], str(r[3])) for r in rows), key=str) == [
        (2, 1, 1, "1.10"),
        (2, 2, 1, "3.30"),
        (None, 1, 1, "2.20"),
    ]
    assert transitions(with_previous(now, None)).where("from_segment_id IS NOT NULL").count() == 0


def test_who_moved_by_behaviour_is_told_from_who_moved_by_the_model(frame: Callable[..., DataFrame]) -> None:
    # Segment before, by the same model today, by the new model.
    paths = {"stays": (1, 1, 1), "itself": (1, 2, 2), "model": (1, 1, 2), "both": (1, 3, 2), "back": (1, 2, 1)}
    paths |= {"split": (3, 3, 7), "noise": (-1, -1, 1), "unknown": (2, None, 3)}
    now = frame(
        [(name, now, Decimal(1), unchanged) for name, (_, unchanged, now) in paths.items()]
        + [("new", 1, Decimal(1), 1)],
        f"customer_id string, segment_id int, monetary decimal(18,2), {UNCHANGED_MODEL_SEGMENT_ID} int",
    )
    before = frame([(name, before) for name, (before, *_) in paths.items()], "customer_id string, segment_id int")

    rows = transitions(with_previous(now, before)).drop("revenue").collect()

    assert {(row[0], row[1]): tuple(row[2:]) for row in rows} == {
        (1, 1): (2, 0, 0),
        (1, 2): (3, 2, 1),  # "itself" and "both" would have left segment 1 anyway
        (3, 7): (1, 0, 1),
        (-1, 1): (1, 0, 1),
        (2, 3): (1, None, None),
        (None, 1): (1, None, None),
    }


def test_the_reasons_of_a_segment_are_its_most_frequent_drivers(frame: Callable[..., DataFrame]) -> None:
    recent = ("recency_days", 3.0, 0.6, "low", 4.0, 30.0)
    often = ("frequency", 9.0, 0.3, "high", 8.0, 2.0)
    former = ("monetary", 9.0, 0.3, None, None, None)
    rows = [
        ("a", 1, 0.9, False, [recent, often]),
        ("b", 1, 0.5, True, [(*recent[:-1], 40.0)]),
        ("c", 1, 0.4, False, [(*often[:3], "low", 8.0, 9.0)]),
        ("d", 2, 0.3, False, [former]),
        ("e", -1, 0.0, True, []),
    ]
    schema = "customer_id string, segment_id int, confidence double, is_outlier boolean, drivers " + DRIVERS_TYPE

    made = {row.segment_id: row for row in reasons(frame(rows, schema)).collect()}

    assert made[1].confidence == pytest.approx(0.6)
    assert made[1].outlier_share == pytest.approx(1 / 3)
    assert [(row.feature, row.direction, row.segment_value, row.other_value) for row in made[1].reasons] == [
        ("recency_days", "low", 4.0, 35.0),
        ("frequency", "low", 8.0, 9.0),
        ("frequency", "high", 8.0, 2.0),
    ]
    assert [row.share for row in made[1].reasons] == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert made[2].reasons is None
    assert (made[-1].confidence, made[-1].outlier_share) == (0.0, 1.0)
