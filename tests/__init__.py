"""The tests; fits of their own are small, so that several threads would only wait for one another."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
