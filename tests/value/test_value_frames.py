"""Value in Spark: counts, fits and columns, by value the same as those of the numeric core."""

import json
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from customer_segmentation import plots
from customer_segmentation.config.schema import Value
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.contract.features.value import value_features
from customer_segmentation.features.build import customer_features
from customer_segmentation.value import ValueModel, fit_value, purchase_counts, with_value
from customer_segmentation.value.histories import distinct_histories
from customer_segmentation.value.purchases import fit_purchases
from customer_segmentation.value.spend import fit_spend
from tests.display.test_plots import values

AS_OF = date(2024, 1, 1)
SCHEMA = "customer_id string, active_days bigint, recency_days int, tenure_days int, monetary decimal(18,2)"


def orders(seed: int, customers: int = 150) -> pd.DataFrame:
    """Purchase days of customers with rhythms of their own, and a return here and there."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        day = AS_OF - timedelta(int(rng.integers(30, 500)))
        gap, left = rng.gamma(2, 15), rng.integers(1, 12)
        while day < AS_OF and left:
            rows.append((f"c{customer}", len(rows), day.isoformat(), round(float(rng.gamma(3, 12)) + 0.01, 2)))
            day += timedelta(max(1, int(rng.gamma(4, gap / 4))))
            left -= 1
        if customer % 10 == 0:
            back = 1.0 if customer % 20 else rows[-1][3] * 50
            rows.append((f"c{customer}", len(rows), (AS_OF - timedelta(1)).isoformat(), -round(back, 2)))
    return pd.DataFrame(rows, columns=["customer_id", "order_id", "ordered_at", "amount"])


@pytest.fixture(scope="module")
def lines():
    return orders(seed=8)


@pytest.fixture(scope="module")
def features(spark, lines):
    frame = spark.createDataFrame(lines)
    rows = customer_features(frame, as_of=AS_OF).repartition(5, "customer_id").persist()
    yield rows
    rows.unpersist()


def own_histories(lines: pd.DataFrame) -> pd.DataFrame:
    """x, t_x, T, gap_logs and net spend by customer, from the lines."""
    bought = (
        lines[lines["amount"] > 0]
        .assign(day=pd.to_datetime(lines["ordered_at"]))
        .drop_duplicates(["customer_id", "day"])
    )
    bought = bought.sort_values(["customer_id", "day"])
    by_customer = bought.groupby("customer_id")["day"]
    logs = np.log(by_customer.diff().dt.days).groupby(bought["customer_id"]).sum()
    first, last = by_customer.min(), by_customer.max()
    return pd.DataFrame(
        {
            "x": by_customer.size() - 1.0,
            "t_x": (last - first).dt.days.astype(float),
            "T": (pd.Timestamp(AS_OF) - first).dt.days.astype(float),
            "gap_logs": logs,
            "net": lines.groupby("customer_id")["amount"].sum(),
        }
    )


def test_counts_are_those_of_the_order_lines(features, lines):
    counts = purchase_counts(features, with_gaps=True)
    own = own_histories(lines)
    by_history = (
        own.groupby(["x", "t_x", "T"]).agg(customers=("net", "size"), gap_logs=("gap_logs", "sum")).reset_index()
    )
    assert (
        counts[["x", "t_x", "T", "customers"]].values.tolist()
        == by_history[["x", "t_x", "T", "customers"]].values.tolist()
    )
    # The gaps come back from regularity, which has nine decimals.
    assert counts["gap_logs"].to_numpy() == pytest.approx(by_history["gap_logs"].to_numpy(), abs=1e-4)
    assert purchase_counts(features).equals(counts[["x", "t_x", "T", "customers"]])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mbg_nbd", "mbg_cnbd_k"])
def test_a_fit_and_its_columns_are_those_of_the_numeric_core(features, lines, name):
    settings = Value(model=name, horizons=[20, 200], discount_rate=0.2, interval=0.7)
    model = fit_value(features, settings)
    own = own_histories(lines)
    purchases = fit_purchases(distinct_histories(own[["x", "t_x", "T", "gap_logs"]]), name)
    assert model.purchases.k == purchases.k
    assert model.purchases.values == pytest.approx(purchases.values, rel=1e-4)
    # Values are told apart to half a percent.
    spend = fit_spend(own["x"] + 1, own["net"] / (own["x"] + 1))
    assert model.spend.values == pytest.approx(spend.values, rel=0.01)
    assert model.spend.customers == spend.customers == (own["net"] > 0).sum() < len(own)

    again = ValueModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again == model
    rows = with_value(features, again).toPandas().set_index("customer_id").loc[own.index]
    assert len(rows) == len(own)
    found = model.forecaster().forecast(
        *(own[column].to_numpy() for column in ("x", "t_x", "T")), (own["net"] / (own["x"] + 1)).round(12).to_numpy()
    )
    names = {"probability_active": "active", "present_value": "present_value"}
    for i, days in enumerate(model.horizons):
        for what in ("orders", "spend"):
            for end in ("", "_low", "_high"):
                names[f"expected_{what}_{days}d{end}"] = f"{what}{end}_{i}"
    for column, key in names.items():
        assert rows[column].to_numpy() == pytest.approx(found[key], rel=1e-9, abs=1e-12), column
    assert [column for column in rows.columns if column in {f.name for f in value_features((20, 200))}] == [
        f.name for f in value_features((20, 200))
    ]
    by_value = rows.sort_values("present_value", ascending=False)["value_rank"]
    assert by_value.is_monotonic_increasing
    assert by_value.iloc[0] == 1
    assert by_value.iloc[-1] == 100
    assert by_value.value_counts().max() <= 3


@pytest.mark.slow
def test_partitions_and_earlier_columns_make_no_difference(features):
    model = fit_value(features)
    assert fit_value(features.repartition(1)) == model
    once = with_value(features, model)
    twice = with_value(once.repartition(1), model)
    assert twice.columns == once.columns
    assert twice.toPandas().sort_values("customer_id").equals(once.toPandas().sort_values("customer_id"))


def test_a_column_that_is_there_twice_is_rejected(features, frame):
    model = fit_value(features)
    with pytest.raises(DataRejectedError, match="with_value: the columns note, NOTE have the same name"):
        with_value(features.selectExpr("*", "1 AS note", "2 AS NOTE"), model)


def test_equal_customers_have_equal_ranks_and_returned_spend_is_no_loss(frame):
    rows = [(f"a{i}", 3, 10, 100, 90.0) for i in range(60)] + [(f"b{i}", 1, 80, 80, 20.0) for i in range(40)]
    rows += [("back", 3, 10, 100, -500.0), ("same", 3, 10, 100, 90.0)]
    customers = frame([(*row[:4], Decimal(row[4])) for row in rows], SCHEMA)
    model = fit_value(customers)
    found = with_value(customers, model).toPandas().set_index("customer_id")
    assert (found.loc[[f"a{i}" for i in range(60)] + ["same"], "value_rank"] == 1).all()
    assert found.loc[[f"b{i}" for i in range(40)], "value_rank"].nunique() == 1
    assert found.loc["a0", "value_rank"] < found.loc["b0", "value_rank"]
    back = found.loc["back"]
    assert 0 < back["expected_spend_365d"] < found.loc["a0", "expected_spend_365d"]
    assert back["expected_orders_365d"] == found.loc["a0", "expected_orders_365d"]


def test_nothing_spent_nobody_and_no_columns_are_said(frame):
    free = frame([("a", 2, 5, 50, Decimal("0.00")), ("b", 1, 9, 9, Decimal("-4.00"))], SCHEMA)
    model = fit_value(free)
    assert model.spend is None
    assert "the expected spend is 0" in " ".join(model.messages)
    rows = with_value(free, ValueModel.from_dict(model.to_dict())).toPandas()
    assert (rows[["expected_spend_90d", "expected_spend_90d_high", "present_value"]] == 0).all(axis=None)
    with pytest.raises(DataRejectedError, match="no customers"):
        fit_value(free.limit(0))
    with pytest.raises(ConfigurationError, match="tenure_days"):
        fit_value(free.drop("tenure_days"))
    impossible = frame([("a", 2, 60, 50, Decimal("1.00")), ("b", None, 9, 9, Decimal("1.00"))], SCHEMA)
    found = with_value(impossible, model).toPandas()
    assert found["probability_active"].isna().all()
    assert found["value_rank"].isna().all()


@pytest.mark.slow
def test_plots_take_frames(spark, features, lines):
    model = fit_value(features)
    repeats = plots.calibration(features, model).to_dict()
    assert repeats["title"]["text"] == "How often customers bought again"
    weeks = plots.tracking(spark.createDataFrame(lines), model, as_of=AS_OF, until=AS_OF).to_dict()
    own = own_histories(lines)
    # The last days are no whole week.
    last_week = max(row["value"] for row in values(weeks) if row.get("kind") == "actual")
    assert own["x"].sum() * 0.95 <= last_week <= own["x"].sum()
    assert plots.spend_by_frequency(features, model).to_dict()["title"]["text"] == "Spend against frequency"
