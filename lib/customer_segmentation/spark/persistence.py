"""Persists frames that are read more than once, where the platform can."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame


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

    For few rows that much is built on: a plan grows with each use of a frame. On serverless compute the frame as it
    is.
    """
    try:
        return frame.localCheckpoint()
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error):
            raise
        return frame
