"""Which dates a backtest goes back to."""

from datetime import date

import pytest

from customer_segmentation.backtest import backtest_dates
from customer_segmentation.contract.errors import DataRejectedError

FIRST, END = date(2017, 1, 1), date(2018, 1, 2)


def test_dates_lie_a_horizon_apart_the_last_one_before_the_end_with_twice_the_horizon_before_each() -> None:
    dates = backtest_dates(FIRST, END, horizons=[30, 90], folds=3)

    assert dates.by_horizon[30] == [date(2017, 10, 4), date(2017, 11, 3), date(2017, 12, 3)]
    # From 7 April 2017 on there would be only 96 days before.
    assert dates.by_horizon[90] == [date(2017, 7, 6), date(2017, 10, 4)]
    assert dates.skipped == []


def test_a_horizon_that_the_history_is_too_short_for_is_left_out_and_said() -> None:
    dates = backtest_dates(FIRST, END, horizons=[365, 90], folds=1)

    assert list(dates.by_horizon) == [90]
    assert dates.skipped == ["horizon of 365 days: skipped; it needs 730 days of orders"]


def test_a_history_of_twice_the_horizon_gives_one_date_that_nothing_can_be_learnt_for() -> None:
    dates = backtest_dates(FIRST, date(2017, 7, 1), horizons=[90], folds=3)

    assert dates.by_horizon == {90: [date(2017, 4, 2)]}
    assert dates.learnt_from(90, date(2017, 4, 2)) is None
    assert backtest_dates(FIRST, END, horizons=[90], folds=1).learnt_from(90, date(2017, 10, 4)) == date(2017, 7, 6)


def test_given_dates_count_for_the_horizons_that_fit_after_them() -> None:
    asked = [date(2017, 12, 1), date(2017, 6, 1), date(2016, 1, 1)]

    dates = backtest_dates(FIRST, END, horizons=[30, 90], folds=3, dates=asked)

    assert dates.by_horizon == {30: [date(2017, 6, 1), date(2017, 12, 1)], 90: [date(2017, 6, 1)]}
    assert "horizon of 30 days: 2016-01-01 skipped;" in dates.skipped[0]
    assert "horizon of 90 days: 2016-01-01, 2017-12-01 skipped;" in dates.skipped[1]


def test_too_little_history_says_how_much_there_is_and_what_to_do() -> None:
    with pytest.raises(DataRejectedError) as error:
        backtest_dates(FIRST, date(2017, 2, 10), horizons=[30, 90], folds=3)

    assert error.value.exit_code == 3
    message = str(error.value)
    assert "there are 40 days of orders, 2017-01-01 to before 2017-02-10" in message
    assert "backtest.horizons to at most 20 days" in message
    assert "orders up to 2017-03-02" in message
