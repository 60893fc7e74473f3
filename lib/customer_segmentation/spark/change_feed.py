"""The change feed of a Delta table, and the errors of a history that is no longer there."""

from pyspark.sql import DataFrame, SparkSession

_SIGNS = {
    "[DELTA_MISSING_CHANGE_DATA": "keeps no change feed of that time",
    "[DELTA_CHANGE_TABLE_FEED_DISABLED": "keeps no change feed of that time",
    "[DELTA_CHANGE_DATA_FEED_INCOMPATIBLE": "has other columns than at that time",
    "[FAILED_READ_FILE": "had the files of its change feed vacuumed away",
    "[DELTA_FILE_NOT_FOUND": "had the files of its change feed vacuumed away",
    "[DELTA_LOG_FILE_NOT_FOUND": "lost its history of that time",
    "[DELTA_VERSION": "lost its history of that time",
    "[DELTA_CANNOT_FIND_VERSION": "lost its history of that time",
    "[DELTA_MISSING_FILES": "lost its history of that time",
    "[DELTA_TRUNCATED_TRANSACTION_LOG": "lost its history of that time",
    "[DELTA_STATE_RECOVER": "lost its history of that time",
    "[DELTA_NO_COMMITS_FOUND": "lost its history of that time",
    "[DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND": "keeps no history of that time any longer",
}
"""By how the condition of an error begins. Any other error of Delta's is one of its own and is not taken for this."""


def lost_history(error: Exception) -> str | None:
    """What became of the history; None where the error is about something else.

    A failure of a task is no error of PySpark's own on classic Spark, so it is known by its text alone.
    """
    text = str(error)
    return next((meaning for sign, meaning in _SIGNS.items() if sign in text), None)


def change_feed(spark: SparkSession, location: str, *, is_named: bool, since: int, until: int) -> DataFrame:
    """The rows inserted and deleted after one version and up to another, with Delta's own columns on each.

    Args:
        location: path of the table, or its name.
        is_named: whether it is a name.

    Raises:
        Exception: see `lost_history`; now or, where files are gone, once the rows are read.
    """
    reader = spark.read.format("delta").option("readChangeFeed", "true")
    reader = reader.option("startingVersion", since + 1).option("endingVersion", until)
    feed = reader.table(location) if is_named else reader.load(location)
    feed.schema  # noqa: B018 (on Connect nothing is resolved before the schema is asked for)
    return feed
