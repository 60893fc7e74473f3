"""Fit in the past and judge by what came next, as a job: spark-submit jobs/backtest_segments.py --config FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["backtest", *sys.argv[1:]]))
