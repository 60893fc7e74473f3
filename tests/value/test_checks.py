"""Checks of value models: what is expected of new customers, and what is drawn of it."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
import vl_convert

from customer_segmentation.plots import charts
from customer_segmentation.value import checks
from customer_segmentation.value.purchases import PurchaseModel
from tests.value.simulated import simulated_histories


def model(name: str, names: str, parameters: tuple[float, ...], k: int = 1) -> PurchaseModel:
    values = dict(zip(names.split(), parameters, strict=True))
    return PurchaseModel(name, values, dict.fromkeys(values), 0.0, 1, 1, k)


MODELS = [
    model("bg_nbd", "r alpha a b", (0.8, 20.0, 0.8, 3.0)),
    model("mbg_nbd", "r alpha a b", (0.8, 20.0, 0.8, 3.0)),
    model("pareto_nbd", "r alpha s beta", (0.8, 20.0, 0.7, 60.0)),
    model("mbg_cnbd_k", "r alpha a b", (0.8, 7.0, 0.5, 3.0), k=3),
]


@pytest.mark.parametrize("fitted", MODELS, ids=lambda fitted: fitted.name)
def test_new_customers_are_expected_to_repeat_as_simulated_ones_do(fitted):
    rows, _ = simulated_histories(
        fitted.name, [*fitted.values], k=fitted.k, customers=4_000, tenure=300, horizon=1, seed=21
    )
    table = checks.calibration(fitted, rows.assign(customers=1))
    assert table["actual"].sum() == len(rows)
    assert table["expected"].sum() == pytest.approx(len(rows))
    error = np.sqrt(table["expected"])
    assert (np.abs(table["actual"] - table["expected"]) < 4 * error).all(), table


def test_tracking_sums_what_each_first_purchase_makes_expect():
    fitted = MODELS[1]
    first_days, repeats = pd.Series({100: 3, 104: 2, 115: 5}), pd.Series({103: 1, 107: 4, 120: 2, 121: 9})
    table = checks.tracking(fitted, first_days, repeats, until=122)
    assert table["day"].tolist() == [107, 114, 121]
    assert table["actual"].tolist() == [1, 5, 7]
    assert table["actual_in_week"].tolist() == [1, 4, 2]
    at_least = {
        age: fitted.member("repeats_of_new")(fitted.values, np.array([float(age)]), 400).sum() for age in (6, 17, 21)
    }
    assert table["expected"].iloc[-1] == pytest.approx(3 * at_least[21] + 2 * at_least[17] + 5 * at_least[6], rel=1e-6)


def drawn(chart) -> str:
    return vl_convert.vegalite_to_svg(chart.to_dict())


def test_charts_name_what_they_show():
    table = pd.DataFrame({"repeats": [0, 1, 2], "actual": [30.0, 9, 4], "expected": [28.5, 10.2, 4.3]})
    assert "2+" in drawn(charts.repeats(table, width=500))
    weeks = pd.DataFrame({"day": [19000, 19007], "actual": [3.0, 8.0], "expected": [2.5, 9.0]})
    assert "model of 2022-01-10" in drawn(charts.tracking(weeks, as_of=date(2022, 1, 10), width=500))
    spend = pd.DataFrame({"days": [1.0, 2], "mean": [20.0, 25], "customers": [90.0, 40], "expected": [22.0, 22]})
    assert "Spend against frequency" in drawn(charts.spend(spend, width=500, note="correlation 0.10"))
