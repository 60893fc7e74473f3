"""Choose, fit and register a model, as a job: spark-submit jobs/train_segments.py --config FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
