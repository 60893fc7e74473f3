"""Figures of rankings against definitions that look at customers one by one or two by two."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from customer_segmentation.backtest.evaluation import evaluate
from customer_segmentation.backtest.metrics import Estimate, Order, Outcome, group_means, resamples
from customer_segmentation.backtest.scores import Score

PAST, OTHER = Score("past_spend", ("past",)), Score("other", ("other",), is_forecast=True)
DAY, LATER = date(2024, 1, 1), date(2024, 4, 1)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and outcomes with many ties, zeros and a few net returns."""
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    n = int(random.integers(5, 60))
    scores = random.integers(0, 6, n) * 1.0
    spend = np.where(random.random(n) < 0.4, 0.0, np.round(random.lognormal(2, 1.5, n) + 3 * scores, 2))
    return scores, np.where(random.random(n) < 0.05, -5.0, spend)


def ranking(scores: np.ndarray, spend: np.ndarray) -> dict[str, float]:
    metrics = Outcome(np.ones((1, len(spend))), spend).ranking(Order(scores))
    return {name: float(values[0]) for name, values in metrics.items()}


def pairwise_gini(scores: np.ndarray, spend: np.ndarray) -> float:
    """Each customer's spend, times how many have a lower score less how many have a higher one."""
    won = np.sign(scores[:, None] - scores[None, :]).sum(axis=1)
    return float((spend * won).sum() / (len(spend) * spend.sum()))


@pytest.mark.parametrize("seed", range(8))
def test_the_gini_is_the_share_of_pairs_in_the_right_order_by_that_of_the_best_order(seed: int) -> None:
    scores, spend = drawn(seed)

    expected = pairwise_gini(scores, spend) / pairwise_gini(spend, spend)

    assert ranking(scores, spend)["gini"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_rank_correlation_is_that_of_scipy(seed: int) -> None:
    scores, spend = drawn(seed)

    assert ranking(scores, spend)["spearman"] == pytest.approx(spearmanr(scores, spend).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_shares_of_the_top_are_those_of_customers_in_tenths_with_ties_at_their_mean(seed: int) -> None:
    scores, spend = drawn(seed)
    mean_of_ties = pd.Series(spend).groupby(scores).transform("mean").to_numpy()
    # Ten of each make tenths whole.
    ordered = np.repeat(mean_of_ties[np.argsort(-scores, kind="stable")], 10)
    tenths = ordered.reshape(10, len(spend)).mean(axis=1)

    metrics = ranking(scores, spend)

    assert metrics["top_10_share"] == pytest.approx(tenths[0] / tenths.sum(), abs=1e-12)
    assert metrics["top_20_share"] == pytest.approx(tenths[:2].sum() / tenths.sum(), abs=1e-12)
    lifts = [metrics[f"lift_{decile}"] for decile in range(1, 11)]
    assert lifts == pytest.approx(list(tenths / spend.mean()), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_a_weight_counts_as_so_many_customers(seed: int) -> None:
    scores, spend = drawn(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(spend))
    weights[:2] = 1
    order, outcome = Order(scores), Outcome(weights[None, :].astype(float), spend)
    repeated = Outcome(np.ones((1, weights.sum())), np.repeat(spend, weights))
    many = Order(np.repeat(scores, weights))

    expected = repeated.ranking(many) | repeated.forecast(many, np.repeat(scores, weights))

    for name, values in (outcome.ranking(order) | outcome.forecast(order, scores)).items():
        assert values == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


def test_the_best_order_is_1_none_is_0_and_a_second_key_parts_those_who_are_equal_in_the_first() -> None:
    spend = np.array([9.0, 1.0, 4.0, 0.0])

    assert ranking(spend, spend)["gini"] == 1
    assert ranking(np.zeros(4), spend)["gini"] == 0
    assert ranking(-spend, spend)["gini"] == pytest.approx(-1)
    tied = np.array([1.0, 0.0, 1.0, 0.0])
    metrics = Outcome(np.ones((1, 4)), spend).ranking(Order(tied, spend))
    assert metrics["gini"][0] == 1 > ranking(tied, spend)["gini"]


def test_a_missing_score_counts_as_the_lowest() -> None:
    spend = np.array([9.0, 1.0, 4.0, 0.0, 0.0])

    assert ranking(np.array([9.0, 1.0, 4.0, np.nan, np.nan]), spend)["gini"] == 1


def test_errors_of_a_forecast_are_in_money_and_in_shares_of_the_total() -> None:
    spend, forecast = np.array([30.0, 10.0] * 5), np.array([40.0, 10.0] * 5)

    metrics = Outcome(np.ones((1, 10)), spend).forecast(Order(forecast), forecast)

    assert metrics["mae"][0] == 5
    assert metrics["total_error"][0] == pytest.approx(0.25)
    # Five tenths are 10 off, five are right; the mean outcome is 20.
    assert metrics["decile_error"][0] == pytest.approx(0.25)


def test_what_is_not_defined_is_no_figure() -> None:
    metrics = Outcome(np.ones((1, 3)), np.zeros(3)).ranking(Order(np.arange(3.0)))

    assert all(Estimate.of(np.repeat(values, 5)) is None for values in metrics.values())


def test_resamples_draw_as_many_customers_as_there_are_the_same_for_a_seed_however_many_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once = np.concatenate(list(resamples(7, resamples=40, seed=3)))
    monkeypatch.setattr("customer_segmentation.backtest.metrics._MAX_CELLS", 30)

    in_parts = list(resamples(7, resamples=40, seed=3))

    assert len(in_parts) > 5
    assert (np.concatenate(in_parts) == at_once).all()
    assert at_once.shape == (41, 7)
    assert (at_once.sum(axis=1) == 7).all()
    assert (at_once[0] == 1).all()


def test_means_by_group_are_those_of_pandas() -> None:
    groups, values = np.array([2, 0, 2, 1, 0]), np.array([5.0, 1.0, 7.0, 4.0, 2.0])

    assert group_means(np.ones((1, 5)), groups, values).tolist() == [[1.5, 4.0, 6.0]]


def customers(seed: int, *, n: int = 300) -> pd.DataFrame:
    """Customers whose orders and spend follow `other` rather than `past`; one in ten is in no segment."""
    random = np.random.default_rng(seed)
    worth, noise = random.gamma(0.7, 50, n), random.gamma(0.7, 50, n)
    orders = random.poisson(worth / 40)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in range(n)],
            "past": np.round(worth + 2 * noise, 2),
            "other": np.round(worth, 2),
            "net_spend": orders * 20.0,
            "gross_spend": orders * 21.0,
            "orders": orders * 1.0,
            "segment_id": np.where(np.arange(n) % 10 == 0, -1, 1 + np.arange(n) % 2),
        }
    )


def evaluated(frames: dict[date, pd.DataFrame], bootstraps: int = 200) -> pd.DataFrame:
    scores = {day: [PAST, OTHER] for day in frames}
    return pd.DataFrame(evaluate(frames, scores, horizon_days=90, bootstraps=bootstraps, seed=1))


def figure(rows: pd.DataFrame, score: str, metric: str, day: date | None = None) -> pd.Series:
    at = rows.as_of_date.isna() if day is None else rows.as_of_date == day
    found = rows[at & (rows.score == score) & (rows.metric == metric) & (rows.outcome == "net_spend")]
    assert len(found) == 1
    return found.iloc[0]


def test_a_difference_to_past_spend_is_paired_so_its_interval_is_narrower_than_those_of_both() -> None:
    rows = evaluated({DAY: customers(1), LATER: customers(2)})

    gain, past, other = (
        figure(rows, *key) for key in (("other", "gini_gain"), ("past_spend", "gini"), ("other", "gini"))
    )

    assert gain.value == pytest.approx(other.value - past.value)
    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < (past.high - past.low) + (other.high - other.low)


def test_intervals_hold_the_figure_of_the_whole_population_about_as_often_as_they_say() -> None:
    everybody = customers(7, n=60_000)
    truth = ranking(everybody.past.to_numpy(), everybody.net_spend.to_numpy())["gini"]

    def holds(seed: int) -> bool:
        sample = everybody.sample(400, random_state=seed)
        order, spend = Order(sample.past.to_numpy()), sample.net_spend.to_numpy()
        drawn = resamples(400, resamples=100, seed=seed)
        measured = Estimate.of(np.concatenate([Outcome(each, spend).ranking(order)["gini"] for each in drawn]))
        return measured is not None and measured.low <= truth <= measured.high

    held = sum(holds(seed) for seed in range(40))

    # Of 40 at 95%, fewer than 33 are chance once in 2,000.
    assert held >= 33


def test_the_mean_over_dates_is_of_the_dates_that_a_score_is_there_for_and_its_resamples_are_of_customers() -> None:
    frames = {DAY: customers(1), LATER: customers(1)}

    rows = evaluated(frames)

    # Twice the same customers say no more than once.
    one, both = figure(rows, "past_spend", "gini", DAY), figure(rows, "past_spend", "gini")
    assert (both.value, both.low, both.high) == pytest.approx((one.value, one.low, one.high))
    scores = {DAY: [PAST, OTHER], LATER: [PAST]}
    partly = pd.DataFrame(evaluate(frames, scores, horizon_days=90, bootstraps=20, seed=1))
    assert figure(partly, "other", "gini").value == figure(partly, "other", "gini", DAY).value


def test_a_date_after_which_nobody_bought_leaves_the_figures_of_the_others() -> None:
    frames = {DAY: customers(1), LATER: customers(1).assign(net_spend=0.0, gross_spend=0.0, orders=0.0)}

    rows = evaluated(frames, bootstraps=20)

    for score in ("past_spend", "other"):
        one, both = figure(rows, score, "gini", DAY), figure(rows, score, "gini")
        assert (both.value, both.low, both.high) == (one.value, one.low, one.high)


def test_rows_in_another_order_give_the_same_figures() -> None:
    frame = customers(3)

    shuffled = frame.sample(frac=1, random_state=5)

    pd.testing.assert_frame_equal(evaluated({DAY: frame}), evaluated({DAY: shuffled}))


def test_retention_and_spend_of_segments_are_their_shares_and_means_with_noise_a_segment_of_its_own() -> None:
    frame = customers(4)

    rows = evaluated({DAY: frame})

    of_segments = rows[rows.segment_id.notna()].set_index(["segment_id", "metric"])
    for segment, members in frame.groupby("segment_id"):
        retention, spend = of_segments.loc[(segment, "retention")], of_segments.loc[(segment, "spend")]
        assert retention.value == pytest.approx((members.orders > 0).mean())
        assert spend.value == pytest.approx(members.net_spend.mean())
        assert retention.low < retention.value < retention.high
        assert of_segments.loc[(segment, "customers")].value == len(members)
