"""Choose, fit and register a model, as a job: spark-submit jobs/train_segments.py --config FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["train", *sys.argv[1:]])
