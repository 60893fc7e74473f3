"""Keeps the rows of a frame that is read more than once, where the platform can."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame


@contextmanager
def held(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, kept in memory and on disk for the block; computed anew at each use on serverless compute."""
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


def settled(frame: DataFrame) -> DataFrame:
    """The frame's rows, computed now and kept as long as the result is in use; how they came about is forgotten.

    For few rows that much is built on: a plan that uses a frame again and again grows with each use. On serverless
    compute the frame as it is.
    """
    try:
        return frame.localCheckpoint()
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error):
            raise
        return frame
