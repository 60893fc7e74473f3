"""Canonical tables to one row per customer, as a job: spark-submit jobs/build_features.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["features", *sys.argv[1:]])
