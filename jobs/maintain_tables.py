"""Old runs expire and files are compacted, as a job: spark-submit jobs/maintain_tables.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["maintain", *sys.argv[1:]])
