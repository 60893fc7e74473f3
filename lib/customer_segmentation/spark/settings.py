"""Reads the settings of a session, of which serverless compute knows only a few."""

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession


def setting(spark: SparkSession, name: str, default: str = "") -> str:
    """The value of a setting; the default where there is none, or where the session does not tell it."""
    try:
        return spark.conf.get(name, default) or default
    except PySparkException:
        return default
