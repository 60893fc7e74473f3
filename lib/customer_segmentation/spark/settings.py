"""Reads and changes the settings of a session, of which serverless compute knows only a few."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession


def is_connect(spark: SparkSession) -> bool:
    """Whether the session is of Spark Connect: its work is done by a server, which may outlive this process."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def setting(spark: SparkSession, name: str, default: str | None = None) -> str | None:
    """The value of a setting; the default where the session does not tell it.

    Args:
        default: also what a setting is that nobody has set. None: it is Spark's own default then.
    """
    try:
        return spark.conf.get(name) if default is None else spark.conf.get(name, default)
    except PySparkException:
        return default


@contextmanager
def changed(spark: SparkSession, name: str, value: str) -> Iterator[None]:
    """A setting has a value in the block; it is as it was where the session does not let it be set."""
    usual = setting(spark, name)
    if not _could_set(spark, name, value):
        yield
        return
    try:
        yield
    finally:
        if usual is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, usual)


def at_most(spark: SparkSession, name: str, most: int) -> AbstractContextManager[None]:
    """A setting that is a number is no larger in the block; as it is where the session does not let it be set."""
    usual = setting(spark, name)
    is_small = usual is not None and usual.isdecimal() and int(usual) <= most
    return nullcontext() if is_small else changed(spark, name, str(most))


def _could_set(spark: SparkSession, name: str, value: str) -> bool:
    try:
        spark.conf.set(name, value)
    except PySparkException:
        return False
    return True
