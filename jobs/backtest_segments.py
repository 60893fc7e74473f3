"""Fit in the past and evaluate by what came next, as a job: spark-submit jobs/backtest_segments.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["backtest", *sys.argv[1:]])
