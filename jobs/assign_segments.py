"""Score every customer and publish, as a job: spark-submit jobs/assign_segments.py --config FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["assign", *sys.argv[1:]]))
