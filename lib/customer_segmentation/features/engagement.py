"""How customers were contacted and how they answered, before a date."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c


def engagement_totals(engagement: DataFrame, *, as_of: date, response_events: list[str]) -> DataFrame:
    """One row per customer with events before `as_of`: contacts, responses and the day of the last response.

    Args:
        engagement: events in the columns of the `engagement` table.
        as_of: events of this day (UTC) and later do not enter.
        response_events: the event types that are answers of the customer; all others are contacts.
    """
    responded = F.col(c.EVENT_TYPE).isin(response_events)
    return (
        engagement.where(F.col(c.OCCURRED_AT) < F.lit(as_of).cast("timestamp"))
        .groupBy(c.CUSTOMER_ID)
        .agg(
            F.count_if(~responded).alias("contacts"),
            F.count_if(responded).alias("responses"),
            F.max(F.when(responded, F.to_date(c.OCCURRED_AT))).alias("last_response_day"),
        )
    )
