"""The report of the published run, as a job: spark-submit jobs/report_segments.py --config FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
