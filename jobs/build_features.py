"""Canonical tables to one row per customer, as a job: spark-submit jobs/build_features.py --config FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["features", *sys.argv[1:]]))
