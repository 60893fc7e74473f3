"""The whole pipeline, as a job: spark-submit jobs/run_pipeline.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["run", *sys.argv[1:]])
