"""Names of segments: what they say, that they stay, and that they are distinct."""

import itertools
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from customer_segmentation.config import load_config
from customer_segmentation.config.schema import Segments
from customer_segmentation.config.segment_rules import DEFAULT_RULES, Activity, SegmentRule
from customer_segmentation.contract.columns import NOISE_NAME
from customer_segmentation.contract.features import FEATURE_BY_NAME, FEATURES
from customer_segmentation.insight.activity import Evidence
from customer_segmentation.insight.naming import MAX_LENGTH, SegmentName, name_segments, with_noise, with_own_names
from customer_segmentation.insight.profiles import Differentiator, Profile
from tests.csv_lines import seeded

ROOT = Path(__file__).resolve().parent.parent.parent
ACTIVITIES: dict[Activity, dict[str, float]] = {
    "new": {"new": 0.9, "overdue": 0.1, "buys_again": 0.5},
    "active": {"overdue": 0.1, "buys_again": 0.9},
    "mixed": {"overdue": 0.6, "buys_again": 0.4},
    "lapsed": {"overdue": 0.9, "buys_again": 0.12},
    "lost": {"overdue": 1.0, "buys_again": 0.02},
}


def profile(segment: int, revenue: float = 100, customers: int = 100, **effects: float) -> Profile:
    differentiators = [Differentiator(name, 1.0, 2.0, effect) for name, effect in effects.items()]
    return Profile(segment, customers, Decimal(str(revenue)), {}, (3, 3, 3), differentiators)


def evidence(segment: int, activity: Activity, days: float = 4.0, one_time: float = 0.0) -> Evidence:
    figures = ACTIVITIES[activity]
    return Evidence(segment, 100, days, 4.0, one_time, overall=0.5, error=0.001, **figures)  # type: ignore[arg-type]


def named(*pairs: tuple[Profile, Evidence], **given: dict[int, str]) -> dict[int, str]:
    names = name_segments([each for each, _ in pairs], [each for _, each in pairs], Segments(), **given)
    return {segment: name.name for segment, name in names.items()}


def test_a_name_says_value_activity_and_what_sets_the_segment_apart() -> None:
    names = named(
        (profile(1, 700, distinct_products=1.2, discount_rate=0.1), evidence(1, "active", 9)),
        (profile(2, 100, distinct_products=-0.2), evidence(2, "mixed", 4)),
        (profile(3, 50, discount_rate=0.9), evidence(3, "lapsed", 1, one_time=1)),
        (profile(4, 150), evidence(4, "new", 1, one_time=1)),
    )

    assert names == {
        1: f"High-value regulars, {FEATURE_BY_NAME['distinct_products'].high}",
        2: "Low-value customers",
        3: "Low-value lapsed one-time buyers",  # with its distinction it would be too long
        4: "Newcomers",
    }


def test_a_name_and_its_action_are_of_one_rule() -> None:
    names = name_segments([profile(1, 500), profile(2)], [evidence(1, "lost"), evidence(2, "active")], Segments())

    rules = {rule.name: rule.action for rule in DEFAULT_RULES}
    assert names[1] == SegmentName("High-value lost customers", rules["high-value lost customers"], "lost")
    assert names[2] == SegmentName("Low-value active customers", rules["active customers"], "active")


def test_a_segment_without_evidence_is_neither_active_nor_inactive() -> None:
    names = name_segments([profile(1), profile(2)], [], Segments())

    assert {name.activity for name in names.values()} == {"mixed"}
    assert len({name.name for name in names.values()}) == 2


def test_no_word_for_a_feature_speaks_of_activity() -> None:
    """Each feature sets a segment apart as much as can be, and the name says nothing that is not shown."""
    inactive = ("inactive", "lapsed", "lost", "overdue", "silent", "quiet", "fading", "no orders")
    active = ("active", "regulars", "growing", "on time", "due", "recent")
    for feature, effect in itertools.product(FEATURES, (2.0, -2.0)):
        name = named((profile(1, **{feature.name: effect}), evidence(1, "mixed")))[1].lower()
        assert not [word for word in (*inactive, *active, "newly", "new ") if word in name.replace("inactive", "")], (
            name
        )


def test_only_what_is_material_is_said() -> None:
    for effect, says in ((0.49, False), (-0.49, False), (0.5, True), (-0.5, True)):
        name = named((profile(1, discount_rate=effect), evidence(1, "active")))[1]
        assert (", " in name) == says


def test_namesakes_are_told_apart_by_what_is_true_of_each() -> None:
    names = named(
        (profile(1, 100, discount_rate=0.9, weekend_share=1.5), evidence(1, "active")),
        (profile(2, 99, discount_rate=1.8, weekend_share=1.4), evidence(2, "active")),
        (profile(3, 98, discount_rate=0.1, weekend_share=0.1), evidence(3, "active")),
    )

    assert names[1] == f"Active customers, {FEATURE_BY_NAME['weekend_share'].high}"
    assert names[2] == f"Active customers, {FEATURE_BY_NAME['discount_rate'].high}"
    assert names[3] == "Active customers"


def test_namesakes_that_only_spend_or_come_differently_are_told_apart_by_that() -> None:
    names = named(
        (profile(1, 120), evidence(1, "mixed", 4.0)),
        (profile(2, 80), evidence(2, "mixed", 4.1)),
        (profile(3, 100), evidence(3, "mixed", 4.8)),
        (profile(4, 101), evidence(4, "mixed", 4.2)),
        (profile(5, 102), evidence(5, "mixed", 4.2)),
    )

    head = "Mid-value customers"
    assert names == {
        1: f"{head}, higher spend",
        2: f"{head}, lower spend",
        3: f"{head}, more visits",
        4: f"{head} 2",
        5: head,
    }


def test_names_are_distinct_short_and_do_not_follow_the_clusters_numbers() -> None:
    draw = seeded()
    for _ in range(100):
        pairs = []
        for i in range(12):
            words = draw.sample(["weekend_share", "discount_rate", "items_per_order"], draw.randrange(4))
            effects = {name: draw.choice([-1.0, 0.1, 1.0]) for name in words}
            seen = evidence(i, draw.choice(list(ACTIVITIES)), draw.choice([1, 4, 9]), draw.choice([0, 1]))
            pairs.append((profile(i, draw.randrange(1000) * 12 + i, **effects), seen))
        numbers = draw.sample(range(100), 12)
        renumbered = [
            (replace(p, segment_id=number), replace(e, segment_id=number))
            for (p, e), number in zip(pairs, numbers, strict=True)
        ]
        draw.shuffle(renumbered)

        before, after = named(*pairs), named(*renumbered)

        assert len(set(before.values())) == 12
        assert list(before.values()) == [after[number] for number in numbers]
        assert all(name[0].isupper() and len(name) <= MAX_LENGTH + 12 for name in before.values())


def test_a_name_stays_while_its_words_are_true() -> None:
    first = (profile(1, 160, discount_rate=0.6), evidence(1, "active", 4))
    rest = (profile(2, 40), evidence(2, "mixed", 4))
    name = named(first, rest)[1]
    assert name == f"High-value active customers, {FEATURE_BY_NAME['discount_rate'].high}" or len(name) <= MAX_LENGTH

    def again(activity: Activity = "active", revenue: float = 160, **effects: float) -> str:
        return named((profile(1, revenue, **effects), evidence(1, activity, 4)), rest, kept={1: name})[1]

    assert again(discount_rate=0.6) == name
    assert again(discount_rate=0.55, weekend_share=2.0) == name  # another word would be stronger
    assert again(revenue=110, discount_rate=0.6) == name  # 1.47 times the spend of all, within the tolerance of 1.5
    assert again(revenue=60, discount_rate=0.6) != name
    assert again("lapsed", discount_rate=0.6).startswith("High-value lapsed customers")


def test_a_distinction_that_is_no_longer_true_goes() -> None:
    high = FEATURE_BY_NAME["discount_rate"].high
    pair = (profile(1, discount_rate=0.7), evidence(1, "active"))
    kept = {1: f"Active customers, {high}"}

    assert named(pair)[1] == kept[1]
    assert named((profile(1, discount_rate=0.45), evidence(1, "active")), kept=kept)[1] == kept[1]
    assert named((profile(1, discount_rate=0.2), evidence(1, "active")), kept=kept)[1] == "Active customers"
    assert high not in named((profile(1, discount_rate=-0.7), evidence(1, "active")), kept=kept)[1]


def test_a_name_of_a_relative_grid_is_not_kept() -> None:
    pair = (profile(1), evidence(1, "mixed"))

    assert named(pair, kept={1: "Can't Lose"}) == named(pair)


def test_a_kept_name_is_not_given_to_another_segment() -> None:
    pairs = ((profile(1, 120), evidence(1, "active")), (profile(2, 80), evidence(2, "active")))

    names = named(*pairs, kept={2: "Active customers"})

    assert names == {1: "Active customers, higher spend", 2: "Active customers"}


def test_a_comparison_stays_as_long_as_it_is_true() -> None:
    kept = {1: "Active customers, higher spend", 2: "Active customers, lower spend"}

    def again(first: float, second: float, activity: Activity = "active") -> dict[int, str]:
        return named((profile(1, first), evidence(1, activity)), (profile(2, second), evidence(2, "active")), kept=kept)

    assert again(120, 80) == kept
    assert again(104, 95.5) == kept, "within the tolerance"
    assert again(80, 120) == {1: "Active customers, lower spend", 2: "Active customers, higher spend"}
    assert "spend" not in str(again(100, 101))
    assert again(120, 80, "mixed")[2] == "Active customers", "with nobody to be compared with"


def test_words_of_value_and_of_attributes_say_what_is_so() -> None:
    differing = [Differentiator("value_rank", 90.0, 50.0, 1.5), Differentiator("probability_active", 0.1, 0.5, -1.5)]
    attribute = [Differentiator("income=35-49K", 0.9, 0.2, 1.5), Differentiator("income=50-74K", 0.0, 0.4, -2.0)]

    pairs = [(replace(profile(1), differentiators=each), evidence(1, "mixed")) for each in (differing, attribute)]

    assert [named(pair)[1] for pair in pairs] == ["Mid-value customers", "Mid-value customers, income 35-49K"]


def test_a_persons_own_name_over_a_models_leaves_no_two_alike() -> None:
    names = {1: "Regulars", 2: "Regulars 2", 3: "Others", 4: "REGULARS"}

    assert with_own_names(names, {3: "regulars"}) == {1: "Regulars 3", 2: "Regulars 2", 3: "regulars", 4: "REGULARS 4"}
    assert with_own_names(names, {1: "Regulars"})[4] == "REGULARS 3"
    assert with_own_names(names, {}) == names


def test_a_persons_own_name_stands_and_is_nobody_elses() -> None:
    pairs = ((profile(1), evidence(1, "active")), (profile(2), evidence(2, "mixed")))

    names = named(*pairs, kept={1: "Active customers"}, own={1: "My VIPs", 9: "Mid-value customers"})

    assert names == {1: "My VIPs", 2: "Mid-value customers 2"}


def test_own_rules_come_before_those_that_are_shipped() -> None:
    rules = Segments(rules=[SegmentRule(activity="active", name="our best", action="Throw a party.")])

    names = name_segments([profile(1), profile(2)], [evidence(1, "active"), evidence(2, "lost")], rules)

    assert names[1] == SegmentName("Our best", "Throw a party.", "active")
    assert names[2].name == "Lost customers"


def test_noise_counts_in_the_shop_and_gets_no_name() -> None:
    names = named((profile(-1, 900), evidence(-1, "active")), (profile(1, 100), evidence(1, "mixed")))

    assert names == {1: "Low-value customers"}
    assert with_noise(names)[-1] == NOISE_NAME


def test_a_shop_that_lost_money_has_names() -> None:
    assert (
        len(set(named((profile(1, -50), evidence(1, "mixed")), (profile(2, 10), evidence(2, "mixed"))).values())) == 2
    )


@pytest.mark.parametrize("activity", list(ACTIVITIES))
def test_a_rule_for_an_inactive_segment_says_so_and_no_other_does(activity: Activity) -> None:
    for value, frequency in itertools.product(("high", "mid", "low"), ("one_time", "rare", "usual", "frequent")):
        rule = next(rule for rule in DEFAULT_RULES if rule.holds(activity, value, frequency))  # type: ignore[arg-type]
        for word in ("lapsed", "lost"):
            assert (word in rule.name) == (word == activity)
        assert ("active" in rule.name or "regulars" in rule.name) == (activity == "active")
        assert len(f"high-value {rule.name}") <= MAX_LENGTH


def test_the_file_of_the_default_rules_is_a_configuration() -> None:
    config = load_config([ROOT / "conf" / "segments.yml"])

    assert tuple(config.segments.rules) == DEFAULT_RULES
    assert config.segments.model_copy(update={"rules": []}) == Segments()
