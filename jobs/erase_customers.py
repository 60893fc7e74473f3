"""Erase customers, as a job: spark-submit jobs/erase_customers.py --config FILE --customers-file FILE."""

import sys

from customer_segmentation.cli import entry_point

if __name__ == "__main__":
    entry_point(["erase", *sys.argv[1:]])
