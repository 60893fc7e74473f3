"""Compare the tables with what is on record, as a job: spark-submit jobs/verify_tables.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["verify", *sys.argv[1:]])
