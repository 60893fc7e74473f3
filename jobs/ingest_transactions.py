"""Sources to canonical tables, as a job: spark-submit jobs/ingest_transactions.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["ingest", *sys.argv[1:]])
