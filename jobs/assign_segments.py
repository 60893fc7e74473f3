"""Score every customer and publish, as a job: spark-submit jobs/assign_segments.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["assign", *sys.argv[1:]])
