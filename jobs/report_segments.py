"""The report of the published run, as a job: spark-submit jobs/report_segments.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["report", *sys.argv[1:]])
