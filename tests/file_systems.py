"""A file system that is not this machine's, as a cluster has one that Spark takes paths without a scheme for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from customer_segmentation.spark.settings import changed


@contextmanager
def default_file_system(spark: SparkSession, *, path: Path, files: Path) -> Iterator[None]:
    """In the block Spark takes a path without a scheme for one of another file system.

    Args:
        spark: a classic session.
        path: the only folder of that file system; what this machine has there is not seen by Spark.
        files: where its files are in truth.
    """
    name = f"cluster-{files.name}"  # file systems are kept by their names for as long as Java runs
    files.mkdir()
    settings = {
        "fs.defaultFS": f"viewfs://{name}/",
        f"fs.viewfs.mounttable.{name}.link.{path}": files.as_uri(),
    }
    with ExitStack() as changes:
        for key, value in settings.items():
            changes.enter_context(changed(spark, key, value))
        yield
