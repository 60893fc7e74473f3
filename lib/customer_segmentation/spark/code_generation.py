"""Whether Spark makes Java code for each query, which for few rows takes longer than the rows do."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from customer_segmentation.spark.settings import changed

FEW_BYTES = 4 * 2**20
"""Size of the files, of sources and order lines together, up to which a command is quicker without code of its own.

About 100,000 order lines: interpreted, one costs some 30 microseconds more in all passes; the code for them takes some
20 seconds on two cores to make and to warm up.
"""


@contextmanager
def code_made_for(spark: SparkSession, size: int | None) -> Iterator[None]:
    """The block's queries are interpreted where they read few rows; results are the same.

    Args:
        size: of the files that are read, in bytes; None where it is not known: code is made.
    """
    if size is None or size > FEW_BYTES:
        yield
        return
    with (
        changed(spark, "spark.sql.codegen.wholeStage", "false"),
        changed(spark, "spark.sql.codegen.factoryMode", "NO_CODEGEN"),
    ):
        yield
