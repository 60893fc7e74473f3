"""The whole pipeline, as a job: spark-submit jobs/run_pipeline.py --config FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
