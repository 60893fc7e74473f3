"""Persists frames that are read more than once, where the platform can, and gives long plans a name."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol
from uuid import uuid4
from weakref import WeakKeyDictionary

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.storagelevel import StorageLevel

from customer_segmentation.spark.settings import setting


class Keeper(Protocol):
    """Keeps the rows of frames where Spark refuses to."""

    def keep(self, frame: DataFrame) -> DataFrame:
        """The rows, kept as long as the keeper is."""

    def kept(self, frame: DataFrame) -> AbstractContextManager[DataFrame]:
        """The rows, kept for a block."""


_KEEPERS: WeakKeyDictionary[SparkSession, Keeper] = WeakKeyDictionary()


@contextmanager
def kept_by(spark: SparkSession, keeper: Keeper) -> Iterator[None]:
    """Frames of a session are kept by this one in the block, where Spark refuses to."""
    before = _KEEPERS.get(spark)
    _KEEPERS[spark] = keeper
    try:
        yield
    finally:
        if before is None:
            del _KEEPERS[spark]
        else:
            _KEEPERS[spark] = before


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, persisted in memory and on disk for the block.

    On serverless compute, which refuses that, it is kept by the session's keeper, and without one (in a notebook)
    computed again at each use.
    """
    with _kept(frame) as rows:
        yield rows


def _kept(frame: DataFrame) -> AbstractContextManager[DataFrame]:
    try:
        return _unpersisting(frame.persist())
    except PySparkException as error:
        keeper = _keeper_after(error, frame)
    return nullcontext(frame) if keeper is None else keeper.kept(frame)


@contextmanager
def _unpersisting(kept: DataFrame) -> Iterator[DataFrame]:
    try:
        yield kept
    finally:
        kept.unpersist()


def checkpointed(frame: DataFrame) -> DataFrame:
    """The frame's rows, computed now and kept without their lineage as long as the result is in use.

    For few rows that much is built on: a plan grows with each use of a frame. Executors keep them twice, since without
    lineage what is lost with one can't be computed again. On serverless compute they are kept by the session's keeper,
    and without one the result is the frame as it is.
    """
    master = setting(frame.sparkSession, "spark.master", "local") or "local"
    is_local = master.split("[")[0] == "local"
    level = StorageLevel.MEMORY_AND_DISK if is_local else StorageLevel.MEMORY_AND_DISK_2
    try:
        with by_name(frame) as named:
            return named.localCheckpoint(storageLevel=level)
    except PySparkException as error:
        keeper = _keeper_after(error, frame)
    return frame if keeper is None else keeper.keep(frame)


def _keeper_after(error: PySparkException, frame: DataFrame) -> Keeper | None:
    """Who keeps a frame that Spark refused to keep; the error itself where it says anything else."""
    if "NOT_SUPPORTED" not in str(error):
        raise error
    return _KEEPERS.get(frame.sparkSession)


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
