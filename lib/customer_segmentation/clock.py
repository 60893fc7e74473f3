"""The times that steps are recorded with."""

from datetime import UTC, datetime, timedelta
from threading import Lock

_SMALLEST = timedelta(microseconds=1)


class Clock:
    """Times of which each is later than all before it, also where the machine's clock was set back in between.

    The order of steps on record is that of their times. Several threads may use it.
    """

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._lock = Lock()

    def saw(self, time: datetime | None) -> None:
        """Take note of a time on record; one without a zone is local, as Spark gives it."""
        if time is not None:
            with self._lock:
                self._latest = max(self._latest, time.astimezone(UTC))

    def now(self) -> datetime:
        """Now, or just after the latest time that was given or seen."""
        with self._lock:
            self._latest = max(datetime.now(UTC), self._latest + _SMALLEST)
            return self._latest
