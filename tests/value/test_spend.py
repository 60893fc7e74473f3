"""The spend model: published figures, recovery, and customers whose spend says little or nothing."""

import json

import numpy as np
import pytest

from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.value.spend import SpendModel, fit_spend, log_likelihood, value_moments
from tests.value.lifetimes_data import cdnow

REPEATERS = cdnow().query("x > 0 and zbar > 0")
DAYS, MEAN = REPEATERS["x"].to_numpy(float), REPEATERS["zbar"].to_numpy(float)


def simulated(p: float, q: float, v: float, *, customers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    days = rng.integers(1, 9, customers).astype(float)
    return days, rng.gamma(p * days, 1 / rng.gamma(q, 1 / v, customers)) / days


def test_cdnow_has_the_published_parameters():
    fitted = fit_spend(DAYS, MEAN)
    assert [*fitted.parameters.values()] == pytest.approx([6.25, 3.74, 15.44], rel=2e-3)
    assert fitted.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    assert fitted.is_converged
    assert fitted.messages == []


def test_the_expected_value_is_the_formula_of_fader_and_hardie():
    fitted = fit_spend(DAYS, MEAN)
    p, q, v = fitted.values
    w = p * DAYS / (p * DAYS + q - 1)
    assert fitted.expected_value(DAYS, MEAN) == pytest.approx((1 - w) * v * p / (q - 1) + w * MEAN)
    assert fitted.expected_value(np.zeros(1), np.zeros(1))[0] == pytest.approx(v * p / (q - 1))


def test_gradients_are_the_slopes_of_the_likelihood():
    for seed in range(5):
        parameters = np.exp(np.random.default_rng(seed).normal(1, 1, 3))
        weights = np.random.default_rng(seed).uniform(1, 5, len(DAYS))
        value, gradient = log_likelihood(parameters, DAYS, MEAN, weights)
        for i, step in enumerate(np.diag(1e-5 * parameters)):
            up, down = (log_likelihood(parameters + s, DAYS, MEAN, weights)[0] for s in (step, -step))
            assert gradient[i] == pytest.approx((up - down) / (2 * step[i]), rel=1e-6, abs=1e-9 * abs(value)), seed


def test_parameters_of_simulated_buyers_are_recovered():
    fitted = fit_spend(*simulated(3.0, 3.5, 40.0, customers=20_000, seed=5))
    assert np.abs((fitted.values - [3.0, 3.5, 40.0]) / [*fitted.standard_errors.values()]).max() < 4


def test_moments_are_those_of_simulated_buyers():
    rng = np.random.default_rng(2)
    p, q, v = 2.0, 4.0, 60.0
    rate = rng.gamma(q, 1 / v, 400_000)
    seen, other, third = (rng.gamma(p, 1 / rate) for _ in range(3))
    group = np.abs(seen - 30) < 3
    first, square, product = (moment[0] for moment in value_moments([p, q, v], np.ones(1), np.array([30.0])))
    assert other[group].mean() == pytest.approx(first, rel=0.02)
    assert (other[group] ** 2).mean() == pytest.approx(square, rel=0.05)
    assert (other[group] * third[group]).mean() == pytest.approx(product, rel=0.05)


def test_counts_are_as_good_as_rows_and_a_currency_is_only_a_unit():
    days, mean = simulated(3.0, 3.5, 40.0, customers=300, seed=1)
    counted = fit_spend(days, mean, np.full(300, 3))
    assert counted.values == pytest.approx(fit_spend(np.repeat(days, 3), np.repeat(mean, 3)).values, rel=1e-6)
    cents = fit_spend(days, mean * 100, np.full(300, 3))
    assert cents.values == pytest.approx(counted.values * [1, 1, 100], rel=1e-6)
    order = np.random.default_rng(0).permutation(300)
    assert fit_spend(days[order], mean[order], np.full(300, 3)) == counted


def test_customers_who_returned_all_are_expected_to_spend_little_but_not_less_than_nothing():
    fitted = fit_spend(DAYS, MEAN)
    value = fitted.expected_value(np.array([5.0, 5.0, 5.0, 1.0]), np.array([-80.0, 0.0, 10.0, -80.0]))
    assert value[0] == value[1] > 0
    assert value[1] < value[2]
    assert value[0] < value[3]
    with_them = fit_spend(np.append(DAYS, [3, 4]), np.append(MEAN, [0.0, -9.0]))
    assert with_them == fitted


def test_spend_that_goes_with_frequency_is_warned_of():
    rng = np.random.default_rng(4)
    days = rng.integers(1, 20, 2_000).astype(float)
    related = fit_spend(days, days * rng.gamma(4, 5, 2_000))
    assert related.correlation > 0.15
    assert "spend more a day" in related.messages[0]
    against = fit_spend(days, (25 - days) * rng.gamma(4, 5, 2_000))
    assert "spend less a day" in against.messages[0]
    assert fit_spend(days, rng.gamma(4, 5, 2_000)).messages == []


@pytest.mark.parametrize("mean", [[10.0], [10.0, 10.0, 10.0], [1e-2, 1e12], [5.0, 1e9, 7.0]])
def test_few_or_equal_or_far_apart_values_have_finite_answers(mean):
    fitted = fit_spend(np.arange(1.0, len(mean) + 1), np.array(mean))
    moments = value_moments(fitted.values, np.array([0.0, 1.0, 50.0]), np.array([0.0, 10.0, 10.0]))
    assert np.isfinite(moments).all()
    assert (np.array(moments) > 0).all()


def test_no_spend_at_all_is_rejected():
    with pytest.raises(DataRejectedError, match="nothing to fit a spend model to"):
        fit_spend(np.array([1.0, 2.0]), np.array([0.0, -3.0]))


def test_a_model_survives_json():
    fitted = fit_spend(DAYS, MEAN)
    assert SpendModel.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted
