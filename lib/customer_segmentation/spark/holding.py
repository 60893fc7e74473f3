"""Keeps a frame that is read more than once, where the platform can."""

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
