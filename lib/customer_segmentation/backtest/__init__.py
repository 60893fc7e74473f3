"""Evaluates segmentations and scores by what customers did next: fitted at past dates, knowing nothing after them."""

from customer_segmentation.backtest.backtest import BacktestResult, History, backtest
from customer_segmentation.backtest.dates import BacktestDates, backtest_dates
from customer_segmentation.backtest.hindsight import Hindsight
from customer_segmentation.backtest.scores import best_column

__all__ = ["BacktestDates", "BacktestResult", "Hindsight", "History", "backtest", "backtest_dates", "best_column"]
