"""Tells from an error of Spark that the history of a Delta table, which was asked for, is not there."""

_SIGNS = {
    "[DELTA_MISSING_CHANGE_DATA": "keeps no change feed of that time",
    "[FAILED_READ_FILE": "had the files of its change feed vacuumed away",
    "[DELTA_": "lost its history of that time",
}


def lost_history(error: Exception) -> str | None:
    """What became of the history; None where the error is about something else.

    A failure of a task is no error of PySpark's own on classic Spark, so it is known by its text alone.
    """
    said = str(error)
    return next((meaning for sign, meaning in _SIGNS.items() if sign in said), None)
