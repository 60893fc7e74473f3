"""Checks the files of Delta tables in folders of this machine against the tables' logs, without Spark.

A table's log is taken as any reader takes it: the newest checkpoint and the commits after it. What a reader would not
notice is found as well: a commit that is gone or empty, a file of another size, a byte that is not the one written.
"""

from customer_segmentation.verification.findings import Finding, listed
from customer_segmentation.verification.table_folder import TableFolder, examine

__all__ = ["Finding", "TableFolder", "examine", "listed"]
