"""Forecasts by customer: discounting, intervals that hold, batches that make no difference, and workers alone."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark import cloudpickle
from scipy.integrate import quad

from customer_segmentation.value.histories import Histories, distinct_histories
from customer_segmentation.value.model import ValueModel
from customer_segmentation.value.purchases import TITLES, fit_purchases
from customer_segmentation.value.scoring import scorer, significant
from customer_segmentation.value.spend import fit_spend
from tests.value.lifetimes_data import cdnow
from tests.value.simulated import simulated_histories

ROWS = cdnow()
X, T_X, T = ROWS["x"].to_numpy(float), (ROWS["t_x"] * 7).to_numpy().round(), (ROWS["T"] * 7).to_numpy().round()
MEAN = np.where(ROWS["zbar"] > 0, ROWS["zbar"], 20.0)


def value_model(name="mbg_nbd", **changes):
    purchases = fit_purchases(distinct_histories(ROWS[["x", "t_x", "T"]] * [1, 7, 7]), name)
    model = ValueModel(purchases, fit_spend(X + 1, MEAN), (5.0, 50.0), (30, 90, 365), 0.1, 0.8)
    return replace(model, **changes)


@pytest.mark.parametrize("name", TITLES)
def test_orders_and_spend_are_expected_purchases_and_their_expected_value(name):
    model = value_model(name)
    found = model.forecaster().forecast(X, T_X, T, MEAN)
    histories = Histories(X, T_X, T, np.ones(len(X)))
    assert found["active"] == pytest.approx(model.purchases.probability_active(histories))
    for i, horizon in enumerate(model.horizons):
        orders = model.purchases.expected_purchases(histories, horizon)
        assert found[f"orders_{i}"] == pytest.approx(orders)
        assert found[f"spend_{i}"] == pytest.approx(orders * model.spend.expected_value(X + 1, MEAN))
    for what in ("orders", "spend"):
        assert (found[f"{what}_0"] <= found[f"{what}_1"]).all()
        for i in range(3):
            assert (found[f"{what}_low_{i}"] >= 0).all()
            assert (found[f"{what}_low_{i}"] <= found[f"{what}_high_{i}"]).all()


@pytest.mark.parametrize("name", ["mbg_nbd", "pareto_nbd"])
def test_present_value_discounts_each_day(name):
    model = value_model(name, discount_rate=0.3)
    rate = np.log(1.3) / 365
    found = model.forecaster().forecast(X[:5], T_X[:5], T[:5], MEAN[:5])["present_value"]
    for i in range(5):
        one = Histories(X[i : i + 1], T_X[i : i + 1], T[i : i + 1], np.ones(1))
        expected = quad(
            lambda s, one=one: rate * np.exp(-rate * s) * model.purchases.expected_purchases(one, s)[0], 1e-9, 365
        )[0]
        expected += np.exp(-rate * 365) * model.purchases.expected_purchases(one, 365.0)[0]
        assert found[i] == pytest.approx(expected * model.spend.expected_value(X[i] + 1, MEAN[i]), rel=1e-6)
    undiscounted = value_model(name, discount_rate=0.0).forecaster().forecast(X, T_X, T, MEAN)
    assert undiscounted["present_value"] == pytest.approx(undiscounted["spend_2"])


@pytest.mark.parametrize("name", TITLES)
def test_a_customer_s_forecast_does_not_depend_on_who_comes_with_it(name):
    forecaster = value_model(name).forecaster()
    whole = forecaster.forecast(X, T_X, T, MEAN)
    order = np.random.default_rng(1).permutation(len(X))
    fresh = value_model(name).forecaster()
    parts = [fresh.forecast(X[at], T_X[at], T[at], MEAN[at]) for at in np.array_split(order, 97)]
    for key, values in whole.items():
        assert np.concatenate([part[key] for part in parts]).tolist() == values[order].tolist(), key
    alone = fresh.forecast(X, T_X, T, MEAN, value_only=True)
    assert alone["present_value"].tolist() == whole["present_value"].tolist()


@pytest.mark.parametrize(
    ("name", "parameters", "k"), [("mbg_nbd", (0.8, 20.0, 0.8, 3.0), 1), ("mbg_cnbd_k", (0.8, 7.0, 0.5, 3.0), 3)]
)
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_hold_what_simulated_customers_did(name, parameters, k, level):
    rows, orders = simulated_histories(name, parameters, k=k, customers=5_000, tenure=365, horizon=90, seed=11)
    rng = np.random.default_rng(12)
    rate, p = rng.gamma(3.5, 1 / 40.0, len(rows)), 3.0
    x, t_x, tenure = (rows[column].to_numpy(float) for column in ("x", "t_x", "T"))
    mean = rng.gamma(p * (x + 1), 1 / rate) / (x + 1)
    spend = np.where(orders > 0, rng.gamma(p * np.maximum(orders, 1), 1 / rate), 0)
    purchases = fit_purchases(distinct_histories(rows), name)
    model = ValueModel(purchases, fit_spend(x + 1, mean), (), (90,), 0.0, level)
    found = model.forecaster().forecast(x, t_x, tenure, mean)
    for what, actual in (("orders", orders), ("spend", spend)):
        within = (found[f"{what}_low_0"] <= actual) & (actual <= found[f"{what}_high_0"])
        # Orders are whole, and nobody can have fewer than none: such intervals hold more than their level.
        two_sided = found[f"{what}_low_0"] > 0
        assert within.mean() >= level - 0.02, what
        beyond = actual > found[f"{what}_high_0"]
        assert beyond.mean() <= (1 - level) / 2 + 0.02, what
        if what == "spend" and two_sided.sum() > 500:
            assert within[two_sided].mean() == pytest.approx(level, abs=0.05)
            assert beyond[two_sided].mean() == pytest.approx((1 - level) / 2, abs=0.04)


def test_workers_need_no_library(tmp_path: Path):
    model = value_model("mbg_nbd")
    returned = {"value": ("present_value", "double"), "rank": ("rank", "int")}
    sent = tmp_path / "scorer"
    score = scorer(model.forecaster(), np.array(model.cuts), returned, value_only=False)
    sent.write_bytes(cloudpickle.dumps(score))
    script = """
import pickle, sys, pyarrow as pa
assert not any(name.startswith("customer_segmentation") for name in sys.modules)
sys.modules["customer_segmentation"] = None
score = pickle.loads(open(sys.argv[1], "rb").read())
columns = [pa.array([2.0, 0.0, 1.0, None]), pa.array([200.0, 0.0, 0.0, 1.0]), pa.array([270.0, 90.0, 5.0, 3.0])]
batch = pa.StructArray.from_arrays([*columns, pa.array([30.0, -5.0, 1.0, 1.0])], names=["x", "t_x", "T", "mean"])
print([row.as_py() for row in next(score(iter([batch])))])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(sent)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    rows = eval(done.stdout)
    expected = model.forecaster().forecast(*(np.array(v) for v in ([2.0, 0], [200.0, 0], [270.0, 90], [30.0, -5])))
    assert [row["value"] for row in rows] == [*expected["present_value"], None, None]
    assert [row["rank"] for row in rows] == [
        *((expected["present_value"][:, None] < [5, 50]).sum(axis=1) + 1),
        None,
        None,
    ]


def test_values_for_ranks_have_six_digits():
    assert significant(np.array([123456789.0, 1.23456749e-9, 0.0])).tolist() == pytest.approx(
        [123457000.0, 1.23457e-9, 0]
    )
