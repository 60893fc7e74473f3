"""Sources to canonical tables, as a job: spark-submit jobs/ingest_transactions.py --config FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["ingest", *sys.argv[1:]]))
