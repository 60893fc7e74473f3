"""Erase customers, as a job: spark-submit jobs/erase_customers.py --config FILE --customers-file FILE."""

import sys

from customer_segmentation.cli import main

if __name__ == "__main__":
    sys.exit(main(["erase", *sys.argv[1:]]))
