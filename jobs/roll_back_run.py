"""Publish an earlier run again, as a job: spark-submit jobs/roll_back_run.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["rollback", *sys.argv[1:]])
