"""Times in synthetic data: seconds since its first day, written as text without a time zone."""

from datetime import timedelta

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Generate
from customer_segmentation.synthetic.draws import whole

HOUR = 3_600
DAY = 24 * HOUR
LAST_CLOCK_TIME = 22 * HOUR
"""Nothing first happens later in the day, which leaves room for what follows on the last day."""


def later(seconds: Column, fraction: Column, settings: Generate, *, within_days: int) -> Column:
    """A later time: an hour and a number of days, chosen by the fraction (0 to 1), but before the data ends."""
    days_left = settings.days - F.floor(seconds / DAY)
    return seconds + HOUR + DAY * whole(fraction, F.least(F.lit(within_days), days_left))


def as_text(seconds: Column, settings: Generate) -> Column:
    """The time as `yyyy-MM-dd HH:mm:ss`."""
    start = F.lit(settings.start).cast("timestamp_ntz")
    return (start + F.lit(timedelta(seconds=1)) * seconds).cast("string")
