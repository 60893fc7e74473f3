"""Purchase models: published figures, agreement with a peer, simulated buyers, and what must hold of any history."""

import json
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import betaln, gammaln

from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.value import beta_geometric, pareto
from customer_segmentation.value.histories import Histories, distinct_histories
from customer_segmentation.value.numerics import beta_quadrature, digamma_rise, log_rising
from customer_segmentation.value.purchases import TITLES, PurchaseModel, fit_purchases
from tests.value.lifetimes_data import cdnow, cdnow_holdout
from tests.value.simulated import simulated_histories

NAMES = list(TITLES)
CDNOW = distinct_histories(cdnow()[["x", "t_x", "T"]])
PUBLISHED = {
    "bg_nbd": ([0.2426, 4.4136, 0.7929, 2.4259], -9582.43),
    "mbg_nbd": ([0.525, 6.183, 0.891, 1.614], -9582.13),
    "pareto_nbd": ([0.5533, 10.578, 0.6062, 11.669], -9594.98),
}
"""Fader, Hardie and Lee 2005; Batislam, Denizel and Filiztekin 2007."""


def one(x: float, t_x: float, tenure: float) -> Histories:
    return Histories(*(np.array([value], dtype=float) for value in (x, t_x, tenure, 1)))


def model(name: str, *parameters: float, k: int = 1) -> PurchaseModel:
    names = pareto.NAMES if name == "pareto_nbd" else beta_geometric.NAMES
    values = dict(zip(names, parameters, strict=True))
    return PurchaseModel(name, values, dict.fromkeys(names), 0.0, 1, 1, k)


@pytest.mark.parametrize("name", PUBLISHED)
def test_cdnow_has_the_published_parameters_and_likelihood(name):
    fitted = fit_purchases(CDNOW, name)
    parameters, likelihood = PUBLISHED[name]
    assert [*fitted.parameters.values()] == pytest.approx(parameters, rel=1e-3)
    assert fitted.log_likelihood == pytest.approx(likelihood, abs=0.02)
    assert fitted.is_converged
    assert fitted.messages == []
    assert fitted.customers == 2357


def test_the_expectation_of_a_cdnow_customer_is_the_published_one():
    expected = fit_purchases(CDNOW, "bg_nbd").expected_purchases(one(2, 30.43, 38.86), 39.0)
    assert expected[0] == pytest.approx(1.226, abs=5e-4)


@pytest.mark.parametrize(("name", "published"), [("bg_nbd", 0.6255), ("mbg_nbd", 0.626), ("pareto_nbd", 0.6295)])
def test_repeat_purchases_of_the_holdout_are_foretold_as_well_as_published(name, published):
    # Correlations of 0.626 (BG/NBD) and 0.630 (Pareto/NBD) in Fader, Hardie and Lee 2005.
    data = cdnow()
    rows = Histories(*(data[column].to_numpy(float) for column in ("x", "t_x", "T")), np.ones(len(data)))
    expected = fit_purchases(CDNOW, name).expected_purchases(rows, 39.0)
    actual = cdnow_holdout()
    assert actual.sum() == 1882
    assert np.corrcoef(expected, actual)[0, 1] >= published
    assert expected.sum() / actual.sum() == pytest.approx(1, abs=0.2)


def random_histories(rng: np.random.Generator, n: int) -> pd.DataFrame:
    x = rng.integers(0, 12, n)
    tenure = rng.uniform(5, 100, n).round(1)
    return pd.DataFrame({"x": x, "t_x": np.where(x > 0, (tenure * rng.uniform(0.2, 1, n)).round(2), 0), "T": tenure})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "peer"),
    [("bg_nbd", "BetaGeoFitter"), ("mbg_nbd", "ModifiedBetaGeoFitter"), ("pareto_nbd", "ParetoNBDFitter")],
)
def test_likelihood_activity_and_expectation_agree_with_lifetimes(name, peer, seed):
    import lifetimes

    rng = np.random.default_rng(seed)
    rows = random_histories(rng, 200)
    parameters = np.exp(rng.normal([0, 2, 0, 1], 0.5))
    fitter: Any = getattr(lifetimes, peer)()
    ours = model(name, *parameters)
    fitter.params_ = pd.Series(ours.parameters)
    x, t_x, tenure = (rows[column].to_numpy(float) for column in ("x", "t_x", "T"))
    histories = Histories(x, t_x, tenure, np.ones(len(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alive = np.ravel(fitter.conditional_probability_alive(x, t_x, tenure))
        expected = np.ravel(fitter.conditional_expected_number_of_purchases_up_to_time(20.0, x, t_x, tenure))
        if name == "pareto_nbd":
            likelihood = fitter._conditional_log_likelihood(parameters, x, t_x, tenure).sum()
        else:
            scaled = fitter._negative_log_likelihood(np.log(parameters), x, t_x, tenure, np.ones(len(x)), 0.0)
            likelihood = -scaled * len(x)
    assert ours.probability_active(histories) == pytest.approx(alive, rel=1e-6), (seed, parameters)
    assert ours.expected_purchases(histories, 20.0) == pytest.approx(expected, rel=1e-6), (seed, parameters)
    value, _ = ours.member("log_likelihood")(ours.values, histories)
    assert value == pytest.approx(likelihood, rel=1e-9), (seed, parameters)


@pytest.mark.parametrize(("name", "k"), [*((name, 1) for name in NAMES[:3]), ("mbg_cnbd_k", 2), ("mbg_cnbd_k", 5)])
def test_gradients_are_the_slopes_of_the_likelihood(name, k):
    for seed in range(5):
        parameters = np.exp(np.random.default_rng(seed).normal(0, 1.5, 4))
        likelihood = model(name, *parameters, k=k).member("log_likelihood")
        value, gradient = likelihood(parameters, CDNOW)
        steps = np.diag(1e-5 * parameters)
        slopes = [
            (likelihood(parameters + s, CDNOW)[0] - likelihood(parameters - s, CDNOW)[0]) / (2 * s.sum()) for s in steps
        ]
        assert gradient * parameters == pytest.approx(slopes * parameters, rel=1e-6, abs=1e-8 * abs(value)), seed


def log_of_integral(parameters: np.ndarray, x: float, t_x: float, tenure: float) -> float:
    """Pareto/NBD's likelihood by adaptive quadrature in logarithms."""
    r, alpha, s, beta = parameters

    def log_density(y: float) -> float:
        return np.log(s / beta) - (r + x) * np.log1p(y / alpha) - (s + 1) * np.log1p(y / beta)

    top = log_density(t_x)
    # The integrand falls from its start on: pieces that double from a thousandth of the way.
    knots = t_x + (tenure - t_x) * np.concatenate([[0], 2.0 ** np.arange(-40, 1)])
    area = sum(
        quad(lambda y: np.exp(log_density(y) - top), low, high, epsabs=0, epsrel=1e-11)[0]
        for low, high in pairwise(knots)
    )
    stays = -(r + x) * np.log1p(tenure / alpha) - s * np.log1p(tenure / beta)
    return gammaln(r + x) - gammaln(r) - x * np.log(alpha) + np.logaddexp(stays, top + np.log(area))


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
@pytest.mark.parametrize(
    ("parameters", "history"),
    [
        ((0.55, 10.6, 0.6, 11.7), (2, 30.43, 38.86)),
        ((0.5, 10, 0.5, 12), (2000, 7299, 7300)),
        ((0.5, 10, 0.5, 12), (800, 100, 7300)),
        ((0.5, 0.01, 0.5, 500), (0, 0, 7300)),
        ((0.5, 500, 0.5, 0.01), (0, 0, 7300)),
        ((0.01, 3, 5, 4000), (0, 0, 3650)),
        ((20, 400, 50, 5000), (40, 700, 730)),
        ((1, 1, 1, 1), (300, 299.5, 300)),
    ],
)
def test_pareto_is_right_where_its_textbook_formula_overflows_or_cancels(parameters, history):
    values = np.array(parameters, dtype=float)
    found, gradient = pareto.log_likelihood(values, one(*history))
    assert found == pytest.approx(log_of_integral(values, *history), rel=1e-8)
    assert np.isfinite(gradient).all()


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
@pytest.mark.parametrize("history", [(2, 30.43, 38.86), (1500, 3600, 3650), (0, 0, 3650), (300, 10, 3650)])
@pytest.mark.parametrize("parameters", [(0.25, 4.4, 0.8, 2.4), (5, 300, 1.0, 9), (0.1, 1, 0.05, 0.05)])
def test_expectations_of_bg_are_right_where_2f1_overflows(parameters, history):
    # Of p ~ Beta(a, b + x) and the rate ~ Gamma(r + x, alpha + T): (1 - (1 + p h / (alpha + T))^-(r + x)) / p.
    r, alpha, a, b = parameters
    x, _, tenure = history
    horizon, n = 365.0, b + x

    def integrand(logit: float) -> float:
        log_p, log_q = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
        log_weight = a * log_p + n * log_q - betaln(a, n)
        p = np.exp(log_p)
        return float(np.exp(log_weight) * -np.expm1(-(r + x) * np.log1p(p * horizon / (alpha + tenure))) / p)

    knots = np.linspace(-30 / a - 30, 40 + 30 / n, 100)
    expected = sum(quad(integrand, low, high, epsabs=1e-13, epsrel=1e-11)[0] for low, high in pairwise(knots))
    fitted = model("bg_nbd", *parameters)
    active = fitted.probability_active(one(*history))
    assert fitted.expected_purchases(one(*history), horizon) == pytest.approx(active * expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters", "k"),
    [
        ("bg_nbd", (0.8, 20.0, 0.8, 3.0), 1),
        ("mbg_nbd", (0.8, 20.0, 0.8, 3.0), 1),
        ("pareto_nbd", (0.8, 20.0, 0.7, 60.0), 1),
        ("mbg_cnbd_k", (0.8, 7.0, 0.5, 3.0), 3),
    ],
)
def test_parameters_of_simulated_buyers_are_recovered(name, parameters, k):
    histories, _ = simulated_histories(name, parameters, k=k, customers=6_000, tenure=365, horizon=180, seed=7)
    fitted = fit_purchases(distinct_histories(histories), name)
    assert fitted.k == k
    errors = [error for error in fitted.standard_errors.values() if error is not None]
    assert len(errors) == 4
    assert np.abs((fitted.values - parameters) / errors).max() < 4, fitted


@pytest.mark.parametrize(
    ("name", "parameters", "k"),
    [
        ("mbg_nbd", (0.8, 20.0, 0.8, 3.0), 1),
        ("pareto_nbd", (0.8, 20.0, 0.7, 60.0), 1),
        ("mbg_cnbd_k", (0.8, 7.0, 0.5, 3.0), 3),
    ],
)
def test_moments_are_those_of_simulated_buyers(name, parameters, k):
    rows, later = simulated_histories(name, parameters, k=k, customers=12_000, tenure=365, horizon=180, seed=3)
    histories = Histories(*(rows[column].to_numpy(float) for column in ("x", "t_x", "T")), np.ones(len(rows)))
    fitted = model(name, *parameters, k=k)
    member = fitted.member
    none, mean, pairs = np.einsum(
        "jn,mjn->mn",
        member("phase_shares")(fitted.values, histories),
        member("future_purchases")(fitted.values, histories.x, histories.T, [180.0])[0],
    )
    active = fitted.probability_active(histories)
    for group in (rows["x"] == 0, (rows["x"] > 0) & (rows["x"] < 5), rows["x"] >= 5):
        for expected, actual in (
            (1 - active + active * none, later == 0),
            (active * mean, later),
            (active * pairs, later * (later - 1)),
        ):
            error = np.std(actual[group]) / np.sqrt(group.sum())
            assert abs(expected[group].mean() - actual[group].mean()) < 4 * error


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_as_good_as_rows_and_a_unit_of_time_is_only_a_unit(name):
    rows = cdnow()[["x", "t_x", "T"]]
    by_rows = fit_purchases(distinct_histories(rows.sample(frac=1, random_state=1)), name)
    counted = rows.groupby(["x", "t_x", "T"]).size().rename("customers").reset_index()
    assert fit_purchases(distinct_histories(counted), name) == by_rows
    in_days = fit_purchases(distinct_histories(rows * [1, 7, 7]), name)
    scale = {"alpha": 7, "beta": 7}
    for key, value in by_rows.parameters.items():
        assert in_days.parameters[key] == pytest.approx(value * scale.get(key, 1), rel=1e-4)
    shift = -by_rows.repeats * np.log(7)
    assert in_days.log_likelihood == pytest.approx(by_rows.log_likelihood + shift, abs=1e-5)
    assert in_days.expected_purchases(one(2, 30.43 * 7, 38.86 * 7), 70.0) == pytest.approx(
        by_rows.expected_purchases(one(2, 30.43, 38.86), 10.0), rel=1e-4
    )


@pytest.mark.parametrize("name", NAMES)
def test_silence_lowers_the_probability_of_being_active(name):
    fitted = fit_purchases(CDNOW, name)
    for x in (1, 3, 20):
        silence = np.linspace(0, 300, 50)
        histories = Histories(np.full(50, float(x)), np.full(50, 20.0), 20 + silence, np.ones(50))
        active = fitted.probability_active(histories)
        assert (np.diff(active) < 0).all()
        assert (active > 0).all()
    once = fitted.probability_active(one(0, 0, 38.86))[0]
    assert once == 1 if name == "bg_nbd" else once < 0.9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 0, 30.0), (0, 0, 90.0), (0, 0, 400.0)], "nobody has bought on a second day"),
        ([(29, 29.0, 30.0), (89, 89.0, 90.0), (399, 399.0, 400.0)], "no sign that customers stop"),
        ([(3, 10.0, 30.0)], ""),
        ([(700, 729, 730.0), (2, 1, 730.0), (0, 0, 1.0)], ""),
    ],
)
def test_extreme_customers_have_finite_answers_and_it_is_said(name, rows, words):
    frame = pd.DataFrame(rows, columns=["x", "t_x", "T"])
    fitted = fit_purchases(distinct_histories(pd.concat([frame] * 10)), name)
    histories = Histories(*(frame[column].to_numpy(float) for column in ("x", "t_x", "T")), np.ones(len(frame)))
    expected, active = fitted.expected_purchases(histories, 365.0), fitted.probability_active(histories)
    assert np.isfinite(fitted.values).all()
    assert np.isfinite(expected).all()
    assert ((active >= 0) & (active <= 1)).all()
    assert words in " ".join(fitted.messages)
    if words.startswith("nobody"):
        assert (expected < 0.05).all()
    if words.startswith("no sign"):
        assert expected == pytest.approx(365, rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_survives_json(name):
    fitted = fit_purchases(CDNOW, name)
    again = PurchaseModel.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    assert again.expected_purchases(CDNOW, 39.0).tolist() == fitted.expected_purchases(CDNOW, 39.0).tolist()


def test_what_can_not_be_a_history_is_rejected_with_what_it_is():
    for row in ((1, 0, 5), (0, 3, 5), (2, 6, 5), (1.5, 2, 5), (-1, 0, 5), (1, 2, float("nan"))):
        with pytest.raises(DataRejectedError, match="histories can't be"):
            distinct_histories(pd.DataFrame([row], columns=["x", "t_x", "T"]))
    with pytest.raises(DataRejectedError, match="no customers"):
        distinct_histories(pd.DataFrame(columns=["x", "t_x", "T"]))
    with pytest.raises(ConfigurationError, match="no purchase model"):
        fit_purchases(CDNOW, "nbd")


def test_differences_of_gamma_functions_keep_their_digits():
    assert log_rising(1e12, 3.0) == pytest.approx(3 * np.log(1e12) + 3e-12, rel=1e-15)
    assert digamma_rise(1e12, 3.0) == pytest.approx(3e-12, rel=1e-9)
    assert log_rising(5000.0, 2.0) == pytest.approx(np.log(5000) + np.log(5001), rel=1e-14)
    assert log_rising(0.5, 3.0) == pytest.approx(np.log(0.5 * 1.5 * 2.5), rel=1e-14)


def test_quadrature_has_the_moments_of_the_beta_distribution():
    for seed in range(50):
        a, b = np.exp(np.random.default_rng(seed).uniform(-8, 9, 2))
        points, weights = beta_quadrature(a, b, 32)
        for power in (1, 2, 5):
            moment = np.exp(log_rising(a, power) - log_rising(a + b, power))
            assert weights @ points**power == pytest.approx(moment, rel=1e-8), (seed, a, b)
