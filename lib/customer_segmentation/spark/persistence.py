"""Persists frames that are read more than once, where the platform can, and gives long plans a name."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, persisted in memory and on disk for the block; on serverless compute it is recomputed at each use."""
    try:
        kept = frame.persist()
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error):
            raise
        yield frame
        return
    try:
        yield kept
    finally:
        kept.unpersist()


def checkpointed(frame: DataFrame) -> DataFrame:
    """The frame's rows, computed now and kept without their lineage as long as the result is in use.

    For few rows that much is built on: a plan grows with each use of a frame. Executors keep them twice, since without
    lineage what is lost with one can't be computed again. On serverless compute the frame as it is.
    """
    is_local = (frame.sparkSession.conf.get("spark.master", None) or "local").split("[")[0] == "local"
    kept = StorageLevel.MEMORY_AND_DISK if is_local else StorageLevel.MEMORY_AND_DISK_2
    try:
        with by_name(frame) as named:
            return named.localCheckpoint(storageLevel=kept)
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error):
            raise
        return frame


@contextmanager
def by_name(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame by the name of a temporary view, for the block; frames made of it can be used in the block alone.

    A plan nests with each step, and PySpark makes no command of Spark Connect (a checkpoint, a fit by MLlib) whose plan
    is nested more than 100 deep. That of a view is its name.
    """
    name = f"segmentation_{uuid4().hex}"
    frame.createTempView(name)
    try:
        yield frame.sparkSession.table(name)
    finally:
        frame.sparkSession.catalog.dropTempView(name)
