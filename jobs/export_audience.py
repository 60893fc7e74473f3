"""An audience to a file, as a job: spark-submit jobs/export_audience.py --config FILE --output FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["export", *sys.argv[1:]])
