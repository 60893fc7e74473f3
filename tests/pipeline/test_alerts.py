"""Limits on the figures of a run: the level that one reaches, how far apart two runs are, how features move."""

import random
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from customer_segmentation.clustering import CentroidModel
from customer_segmentation.config import load_config
from customer_segmentation.config.schema import Alerts
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.insight.profiles import Differentiator, Profile
from customer_segmentation.preparation import PreparationModel, PreparedFeature
from customer_segmentation.stages.alerts import (
    EarlierRun,
    Figure,
    changes,
    describe,
    drift,
    evaluate,
    outcome_of,
    rejected_share,
    relative_difference,
)
from tests.csv_lines import seeded
from tests.generated import ROOT

BEFORE = EarlierRun("20240101-aaaa", 100, Decimal("1000.00"), "kmeans-1", {1: 0.6, 2: 0.4})


def profile(segment: int, customers: int, *features: Differentiator) -> Profile:
    return Profile(segment, customers, Decimal(10), {}, (1, 1, 1), list(features))


@pytest.mark.parametrize(
    ("value", "level"), [(0.0, None), (0.25, None), (0.2501, "warn"), (0.5, "warn"), (0.51, "stop"), (1.0, "stop")]
)
def test_a_figure_is_told_beyond_warn_and_stops_beyond_stop(value: float, level: str | None) -> None:
    limits = Alerts.model_validate({"customers_change": {"stop": 0.5}})

    alerts = evaluate(limits, [Figure("customers_change", value, "75 customers, 100 before")])

    assert [alert.level for alert in alerts] == ([level] if level else [])
    assert outcome_of(alerts) == (level or "ok")
    for alert in alerts:
        assert alert.limit == {"warn": 0.25, "stop": 0.5}[alert.level]
        assert alert.value == value
        assert alert.message.startswith("75 customers, 100 before: customers_change")


def test_a_minimum_is_for_what_is_below_it() -> None:
    limits = Alerts.model_validate({"min_customers": {"warn": 50, "stop": 10}})

    levels = [outcome_of(evaluate(limits, [Figure("min_customers", n, "customers")])) for n in (50, 49, 10, 9)]

    assert levels == ["ok", "warn", "warn", "stop"]


def test_null_turns_a_limit_off_and_the_gravest_level_counts() -> None:
    off = {name: {"warn": None, "stop": None} for name in Alerts.model_fields}
    figures = [Figure(name, 1e9, name) for name in Alerts.model_fields]

    assert evaluate(Alerts.model_validate(off), figures) == []
    assert outcome_of(evaluate(Alerts(), figures)) == "warn", "by default nothing stops"
    alerts = evaluate(Alerts.model_validate({"revenue_change": {"stop": 0.5}}), figures)
    assert outcome_of(alerts) == "stop"
    assert "drift" in describe(alerts)
    assert "drift" not in describe(alerts, "stop")


def test_a_level_that_is_left_out_keeps_its_default() -> None:
    limit = Alerts.model_validate({"customers_change": {"stop": 0.8}}).customers_change

    assert (limit.warn, limit.stop) == (0.25, 0.8)


@pytest.mark.parametrize(
    ("freshness", "is_limit"), [({}, False), ({"warn": 0}, True), ({"stop": 7}, True), ({"warn": None}, False)]
)
def test_no_day_at_all_is_a_limit_too(freshness: dict[str, int | None], is_limit: bool) -> None:
    assert Alerts.model_validate({"freshness_days": freshness}).has_freshness_limit is is_limit


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("alerts.drift.warn=much", "alerts.drift.warn: must be a number"),
        ("alerts.drift.warn=-1", "alerts.drift.warn: must be"),
        ("alerts.drifts.warn=1", "alerts.drifts: is not a known key; did you mean drift"),
        ("alerts.drift=1", "alerts.drift: must be"),
        ("alerts.customers_change={warn: 0.9, stop: 0.5}", "alerts.customers_change: has warn (0.9) above stop (0.5)"),
        ("alerts.min_customers={warn: 5, stop: 9}", "alerts.min_customers: has warn (5) below stop (9)"),
    ],
)
def test_limits_that_make_no_sense_are_rejected_by_their_key(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        load_config([ROOT / "conf" / "base.yml"], [setting])

    assert message in str(told.value)


def test_half_or_double_is_equally_far() -> None:
    assert relative_difference(100, 50) == relative_difference(100, 200) == 0.5
    assert relative_difference(0, 0) == relative_difference(7, 7) == 0
    assert relative_difference(0, 7) == relative_difference(-7, 7) == 1
    print("seed 1")
    draw = random.Random(1)
    for one, other in ((draw.uniform(-9, 9), draw.uniform(-9, 9)) for _ in range(200)):
        assert relative_difference(one, other) == relative_difference(other, one)
        assert 0 <= relative_difference(one, other) <= 1


def test_a_run_is_compared_with_the_one_before_it_segment_by_segment() -> None:
    figures = {
        figure.name: figure
        for figure in changes(
            BEFORE, "kmeans-1", [profile(1, 30), profile(3, 20)], customers=50, revenue=Decimal("4000.00")
        )
    }

    assert figures["customers_change"].value == 0.5
    assert figures["revenue_change"].value == 0.75
    assert figures["segment_share_change"].value == pytest.approx(0.4)
    assert "segment 2 has 0% of the customers, 40% in run 20240101-aaaa" in figures[
        "segment_share_change"
    ].description.replace(".0%", "%")
    assert "trained again" not in figures["segment_share_change"].description


def test_a_first_run_has_nothing_to_be_compared_with_and_a_training_in_between_is_said() -> None:
    assert changes(None, "kmeans-1", [profile(1, 3)], customers=3, revenue=Decimal(1)) == []
    *_, shares = changes(BEFORE, "kmeans-2", [profile(1, 3)], customers=3, revenue=Decimal(1))
    assert "the model was trained again since" in shares.description


def test_drift_is_the_movement_of_the_mean_in_standard_deviations_of_the_training() -> None:
    draw = seeded()
    logged = PreparedFeature("monetary", True, draw.uniform(1, 5), draw.uniform(0.5, 2), draw.uniform(0.5, 2))
    plain = PreparedFeature("frequency", False, 10.0, draw.uniform(2, 4), draw.uniform(0.5, 2))
    then = {"monetary": draw.uniform(1, 1000), "frequency": draw.uniform(1, 20)}
    now = {"monetary": draw.uniform(1, 1000), "frequency": draw.uniform(1, 20)}
    model = CentroidModel(
        "kmeans",
        PreparationModel((logged, plain), {}),
        (1,),
        np.zeros((1, 2)),
        (1.0,),
        2.0,
        0.0,
        feature_means=then,
    )
    own = profile(1, 5, *(Differentiator(name, 0.0, mean, 0.0) for name, mean in now.items()))
    moved = {
        "monetary": abs(np.log1p(now["monetary"]) - np.log1p(then["monetary"])) / logged.scale / logged.spread,
        "frequency": abs(now["frequency"] - then["frequency"]) / plain.scale / plain.spread,
    }

    (figure,) = drift(model, [own])

    assert figure.value == pytest.approx(max(moved.values()))
    assert max(moved, key=lambda name: moved[name]) in figure.description
    (unmoved,) = drift(model, [profile(1, 5, *(Differentiator(name, 0.0, mean, 0.0) for name, mean in then.items()))])
    assert unmoved.value == 0


def test_a_model_of_an_earlier_release_has_no_drift() -> None:
    preparation = PreparationModel((PreparedFeature("frequency", False, 10.0, 2.0, 1.0),), {})
    model = CentroidModel("kmeans", preparation, (1,), np.zeros((1, 1)), (1.0,), 2.0, 0.0)

    assert "feature_means" not in model.to_json()
    assert drift(model, [profile(1, 5, Differentiator("frequency", 1.0, 1.0, 0.0))]) == []


def test_rejected_lines_are_a_share_of_all() -> None:
    assert rejected_share(RowCounts(10, 7, 2, 1)).value == 0.2
