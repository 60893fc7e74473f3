"""Instants as the clocks of a time zone show them: where a shop's days, hours and seasons begin and end.

Tables keep instants, in UTC, and so does the session. What reads them by day or hour takes them from here.
"""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.spark.settings import setting

UTC = "UTC"
_SETTING = "spark.sql.session.timeZone"
_UTC_TOO = frozenset({"utc", "etc/utc", "gmt", "etc/gmt", "z", "zulu", "uct", "universal", "+00:00", "utc+00:00"})
"""Other names of UTC, in lower case."""


def require_utc(spark: SparkSession, caller: str) -> None:
    """Stop where a session shows times in another zone than UTC: days and hours would be other ones, without a word.

    Raises:
        ConfigurationError: it does; the message names the caller and says what to do.
    """
    zone = setting(spark, _SETTING)  # where nobody has set it, that of the virtual machine
    if zone is not None and zone.lower() not in _UTC_TOO:
        raise ConfigurationError(
            f"{caller}: the time zone of the Spark session is {zone}, and has to be UTC: spark.conf.set('{_SETTING}', "
            "'UTC'); the argument timezone says whose days count"
        )


def in_local_time(frame: DataFrame, timezone: str, *columns: str) -> DataFrame:
    """The frame with the wall-clock times of a zone in place of instants.

    Days, hours, weekdays and comparisons with a day are then local ones. The result is for reading, not for a table:
    where clocks are set back, two instants have one wall-clock time. For UTC it is the frame itself.

    Args:
        frame: any frame, in a session whose time zone is UTC.
        timezone: of the IANA database, such as Europe/Berlin.
        columns: timestamps to convert; null stays null.
    """
    if timezone == UTC:
        return frame
    return frame.withColumns({name: F.from_utc_timestamp(name, timezone) for name in columns})


def start_of_day(day: date, timezone: str = UTC) -> Column:
    """The instant at which a local day of the zone begins, to compare stored timestamps with.

    Where clocks skip midnight it is the first instant after, where they show it twice the first of the two.
    """
    return F.expr(start_of_day_sql(day, timezone))


def start_of_day_sql(day: date, timezone: str = UTC) -> str:
    """The expression of `start_of_day`, as SQL."""
    midnight = f"CAST(DATE '{day.isoformat()}' AS TIMESTAMP)"
    return midnight if timezone == UTC else f"to_utc_timestamp({midnight}, '{timezone}')"


def local_day(instant: datetime, timezone: str) -> date:
    """The day that the zone's calendars show at an instant (with a time zone of its own)."""
    return instant.astimezone(ZoneInfo(timezone)).date()
