"""Tells from an error of Spark that the history of a Delta table, which was asked for, is not there."""

from pyspark.errors import PySparkException

_SIGNS = {
    "DELTA_MISSING_CHANGE_DATA": "keeps no change feed of that time",
    "DELTA_CHANGE_DATA": "keeps no change feed of that time",
    "FAILED_READ_FILE": "had the files of its change feed vacuumed away",
    "DELTA_": "lost its history of that time",
}


def lost_history(error: PySparkException) -> str | None:
    """What became of the history; None where the error is about something else."""
    condition = error.getCondition() or ""
    said = f"{condition} {error}"
    return next((meaning for sign, meaning in _SIGNS.items() if sign in said), None)
