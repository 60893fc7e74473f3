"""What a backtest found, in words, on the page, on the terminal, and as what customers are ranked by."""

import io
from datetime import date
from typing import Any

import pytest
from rich.console import Console

from customer_segmentation.backtest import best_column
from customer_segmentation.display.formatting import plain_text
from customer_segmentation.report import render_page, summary
from customer_segmentation.report.ranking import conclusions, main_horizon, print_ranking, ranking, segment_outcomes
from tests.display.test_report import content

WINDOWS = {"short": 30, "medium": 90, "long": 365}
COLUMNS = ["customer_id", "monetary", "frequency", "spend_medium", "expected_spend_90d", "rfm_score"]
DATES = (date(2017, 7, 6), date(2017, 10, 4))


def rows(gains: dict[str, tuple[float, float, float]], horizon: int = 90) -> list[dict[str, Any]]:
    """A backtest in which past spend has a Gini coefficient of .7, and other scores so much more."""
    found = []

    def add(day: date | None, score: str, metric: str, value: float, low: float, high: float, **others: Any) -> None:
        row = {"run_id": "r", "as_of_date": day, "horizon_days": horizon, "score": score, "outcome": "net_spend"}
        found.append(row | {"metric": metric, "segment_id": None, "value": value, "low": low, "high": high} | others)

    for day in (None, *DATES):
        for score, (gain, low, high) in {"past_spend": (0.0, 0.0, 0.0), **gains}.items():
            add(day, score, "gini", 0.7 + gain, 0.65 + gain, 0.75 + gain)
            if score != "past_spend":
                add(day, score, "gini_gain", gain, low, high)
            add(day, score, "top_10_share", 0.41, 0.4, 0.42)
    for segment, retention in ((1, 0.9), (-1, 0.2)):
        for metric, value in (("customers", 50.0), ("retention", retention), ("spend", 120.0)):
            add(DATES[1], "segments", metric, value, value - 0.1, value + 0.05, segment_id=segment, outcome="orders")
    return found


BETTER, WORSE, EQUAL = (0.05, 0.01, 0.09), (-0.1, -0.12, -0.08), (0.02, -0.01, 0.05)


def test_worse_than_past_spend_is_said_only_where_the_interval_leaves_out_0() -> None:
    told = conclusions(rows({"segments": WORSE, "rfm_grid": WORSE, "rfm_cell": (-0.03, -0.07, 0.01)}), 90)

    assert "The segments alone rank customers worse than past spend" in told[1]
    assert "(Gini coefficient 0.600, difference to past spend -0.100 (-0.120 to -0.080))" in told[1]
    assert told[2] == "Also worse than past spend: RFM segment."
    assert "no worse than past spend" in conclusions(rows({"segments": EQUAL}), 90)[1]
    assert "better than past spend" in conclusions(rows({"segments": BETTER}), 90)[1]


def test_the_best_score_is_named_with_how_sure_it_is_that_it_beats_past_spend() -> None:
    sure, unsure = rows({"lifetime_value": BETTER}), rows({"lifetime_value": EQUAL})

    assert "best of all: Expected spend, 0.750, better than past spend" in conclusions(sure, 90)[0]
    assert "best of all: Expected spend, 0.720, no clear difference" in conclusions(unsure, 90)[0]
    assert "best of all" not in conclusions(rows({"segments": WORSE}), 90)[0]


def test_scores_come_the_best_first_with_the_dates_they_were_there_for() -> None:
    found = rows({"learned": BETTER, "segments": WORSE})
    found = [row for row in found if (row["score"], row["as_of_date"]) != ("learned", DATES[0])]

    scores = ranking(found, 90)

    assert [(score.title, score.dates) for score in scores] == [
        ("Learned score", 1),
        ("Past spend", 2),
        ("Segment", 2),
    ]


def test_the_horizon_nearest_to_the_one_that_is_wanted_counts() -> None:
    found = rows({}, 30) + rows({}, 120)

    assert main_horizon(found, 90) == 120
    assert main_horizon(found, 40) == 30
    assert main_horizon([], 90) is None


def test_what_segments_did_next_is_told_with_noise_last() -> None:
    first, last = segment_outcomes(rows({"segments": WORSE}), 90, "$")

    assert (first.title, first.customers, first.retention) == ("Group 1", "50", "90.0% (80.0% to 95.0%)")
    assert last.title == "In none"


@pytest.mark.parametrize(
    ("gains", "column"),
    [
        ({"frequency": BETTER, "recent_spend": (0.08, 0.02, 0.1), "learned": (0.2, 0.1, 0.3)}, "spend_medium"),
        ({"lifetime_value": (0.2, 0.1, 0.3), "frequency": BETTER}, "expected_spend_90d"),
        ({"lifetime_value": EQUAL, "frequency": EQUAL}, "monetary"),
        ({"frequency": WORSE}, "monetary"),
        ({}, "monetary"),
    ],
)
def test_customers_are_ranked_by_the_column_that_is_surely_better_than_past_spend(gains: dict, column: str) -> None:
    assert best_column(rows(gains), COLUMNS, horizon_days=90, windows=WINDOWS) == column


def test_a_column_that_customers_have_not_is_not_what_they_are_ranked_by() -> None:
    found = rows({"lifetime_value": BETTER})

    assert best_column(found, ["monetary", "frequency"], horizon_days=90, windows=WINDOWS) == "monetary"
    assert best_column(found, COLUMNS, horizon_days=30, windows=WINDOWS) == "monetary"


@pytest.mark.slow
def test_the_page_and_the_terminal_say_that_segments_rank_worse_than_past_spend() -> None:
    found = rows({"segments": WORSE, "kmeans": WORSE, "learned": BETTER})
    out = io.StringIO()

    page = render_page(content(backtest=found))
    summary(content(backtest=found), Console(file=out, width=200))

    sentence = "The segments alone rank customers worse than past spend"
    assert sentence in page
    assert sentence in out.getvalue()
    assert "Points with intervals: how well each score ranks customers" in page
    assert "Segments by k-means" in page
    assert 'id="ranking"' not in render_page(content())


def test_the_terminal_has_a_table_for_every_horizon() -> None:
    out = io.StringIO()

    print_ranking(rows({"segments": WORSE}) + rows({"segments": EQUAL}, 30), Console(file=out, width=120))

    told = plain_text(out.getvalue())
    assert told.index("in the next 30 days, the mean of 2 dates") < told.index("in the next 90 days")
    assert told.count("Past spend") >= 2
    assert "0.600 | 0.550 to 0.650 | – | – | worse" in told
