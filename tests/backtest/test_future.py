"""Nothing that is dated at a date or later enters what customers are ranked by at that date."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.backtest import BacktestDates, History, backtest
from customer_segmentation.backtest.outcomes import OUTCOMES
from customer_segmentation.backtest.scores import LEARNED, Score
from customer_segmentation.clustering.training import train
from customer_segmentation.config.schema import Backtest, Clustering, Features
from customer_segmentation.contract.tables import ENGAGEMENT, TRANSACTIONS
from customer_segmentation.ingest.returns import matched_returns
from customer_segmentation.spark.persistence import checkpointed
from tests.order_lines import Line, line

FIRST, DAY, HORIZON = datetime(2024, 1, 1), date(2024, 5, 1), 30
CUSTOMERS = 150
CLUSTERING = Clustering(k_min=2, k_max=3, sample_size=500)


def shop(seed: int) -> tuple[list[Line], list[tuple]]:
    """Half a year of order lines with returns, and of mailings with answers."""
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    lines: list[Line] = []
    events = []
    for customer in range(CUSTOMERS):
        rate, size = draw.gamma(2, 3), draw.lognormal(3, 0.5)
        for order in range(1 + draw.poisson(rate)):
            at = FIRST + timedelta(seconds=int(draw.integers(0, 180 * 86_400)))
            amount = Decimal(str(round(size * draw.lognormal(0, 0.3), 2)))
            name = f"o{customer}-{order}"
            product, category = f"p{draw.integers(12)}", f"k{draw.integers(4)}"

            def of(at: datetime, order: str, sign: int) -> Line:
                return line(
                    customer=f"c{customer:03d}",  # noqa: B023 (used at once)
                    order=order,
                    at=at.isoformat(" "),
                    product=product,  # noqa: B023
                    category=category,  # noqa: B023
                    quantity=str(sign),
                    amount=str(sign * amount),  # noqa: B023
                    is_return=sign < 0,
                    line_id=len(lines) + 1,
                )

            lines.append(of(at, name, 1))
            if draw.random() < 0.1:
                lines.append(of(at + timedelta(days=int(draw.integers(0, 40))), f"r{customer}-{order}", -1))
        events += [
            (f"c{customer:03d}", FIRST + timedelta(days=int(day)), kind, "mail", f"m{day}")
            for day in draw.integers(0, 180, 4)
            for kind in ("mailing", "reply")[: 1 + int(draw.integers(2))]
        ]
    return lines, events


def changed_after(lines: list[Line], events: list[tuple], day: date) -> tuple[list[Line], list[tuple]]:
    """The same up to a day; after it other values, new customers, and all of the orders before it returned."""
    start = datetime.combine(day, datetime.min.time())
    before = [each for each in lines if each[2] < start]
    later = [(f"new{i % 40}", *each[1:6], each[6] * 7, *each[7:]) for i, each in enumerate(lines) if each[2] >= start]
    returns = [
        line(
            customer=each[0],
            order=f"back-{each[1]}",
            at=(start + timedelta(hours=i % 700)).isoformat(" "),
            product=each[3],
            category=each[4],
            quantity=str(-each[5]),
            amount=str(-each[6]),
            is_return=True,
            line_id=100_000 + i,
        )
        for i, each in enumerate(before)
        if not each[12]
    ]
    answers = [(*each[:1], start + timedelta(hours=1), "reply", *each[3:]) for each in events]
    return before + later + returns, [each for each in events if each[1] < start] + answers


def history(spark: SparkSession, lines: list[Line], events: list[tuple]) -> History:
    transactions = checkpointed(spark.createDataFrame(lines, TRANSACTIONS.ddl))
    returns = checkpointed(matched_returns(transactions))
    return History(transactions, returns, spark.createDataFrame(events, ENGAGEMENT.ddl))


@pytest.fixture(scope="module")
def histories(spark: SparkSession) -> tuple[History, History]:
    lines, events = shop(11)
    return history(spark, lines, events), history(spark, *changed_after(lines, events, DAY))


def sorted_rows(frame: DataFrame) -> pd.DataFrame:
    return frame.toPandas().sort_values("customer_id", ignore_index=True)


@pytest.mark.slow
def test_changing_everything_after_a_date_changes_no_feature_and_no_parameter_of_a_model_at_it(
    histories: tuple[History, History],
) -> None:
    features = [checkpointed(each.features_at(DAY, Features())) for each in histories]

    pd.testing.assert_frame_equal(*map(sorted_rows, features), check_exact=True)
    one, other = (train(frame, CLUSTERING, seed=1).model.to_json() for frame in features)
    assert one == other


@pytest.mark.long
@pytest.mark.slow
def test_changing_everything_after_a_date_changes_no_segment_and_no_score_at_it_but_the_outcomes(
    histories: tuple[History, History], monkeypatch: pytest.MonkeyPatch
) -> None:
    dates = BacktestDates(FIRST.date(), {HORIZON: [DAY]}, [])
    ranked: list[tuple[pd.DataFrame, list[Score]]] = []

    def keep(frames: dict[date, pd.DataFrame], scores: dict[date, list[Score]], **_: Any) -> list[dict[str, Any]]:
        ranked.append((frames[DAY], scores[DAY]))
        return []

    # The package has a function of the module's name.
    monkeypatch.setattr(import_module("customer_segmentation.backtest.backtest"), "evaluate", keep)
    for each in histories:
        backtest(each, dates, features=Features(), clustering=CLUSTERING, settings=Backtest(), seed=1)

    (one, scores), (other, _) = ranked
    assert {LEARNED, "segments", "gaussian_mixture", "rank_in_segment", "rfm_cell"} <= {score.name for score in scores}
    names = list(OUTCOMES)
    pd.testing.assert_frame_equal(one.drop(columns=names), other.drop(columns=names), check_exact=True)
    assert (one[names] != other[names]).any().all()
    assert one[LEARNED].nunique() > 10


@pytest.mark.slow
def test_what_customers_are_worth_is_learnt_of_those_too_who_stopped(histories: tuple[History, History]) -> None:
    class EnoughKnownError(Exception):
        pass

    given: list[DataFrame] = []

    def with_value(customers: DataFrame, everybody: DataFrame) -> DataFrame:
        given.extend([customers, everybody])
        raise EnoughKnownError

    features, dates = Features(active_within=20), BacktestDates(FIRST.date(), {HORIZON: [DAY]}, [])
    with pytest.raises(EnoughKnownError):
        backtest(
            histories[0],
            dates,
            features=features,
            clustering=CLUSTERING,
            settings=Backtest(learned=False),
            seed=1,
            with_value=with_value,
        )

    customers, everybody = (sorted(row.recency_days for row in frame.collect()) for frame in given)
    assert customers == [days for days in everybody if days <= 20]
    assert 0 < len(customers) < len(everybody)
