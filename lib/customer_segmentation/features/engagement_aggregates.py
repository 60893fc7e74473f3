"""How customers were contacted and how they answered, before a date."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c


def engagement_aggregates(engagement: DataFrame, *, as_of: date, response_events: Sequence[str]) -> DataFrame:
    """One row per customer with events before `as_of`: contacts, responses, last_response_day, response_by_channel.

    Args:
        engagement: events in the columns of the `engagement` table.
        as_of: events of this day and later do not enter, in the time zone that the times are of.
        response_events: the event types that are answers of the customer; all others are contacts.
    """
    responded = F.col(c.EVENT_TYPE).isin(list(response_events))
    by_channel = (
        engagement.where(F.col(c.OCCURRED_AT) < F.lit(as_of).cast("timestamp"))
        .groupBy(c.CUSTOMER_ID, c.CHANNEL)
        .agg(
            F.count_if(~responded).alias("contacts"),
            F.count_if(responded).alias("responses"),
            F.max(F.when(responded, F.to_date(c.OCCURRED_AT))).alias("last_response_day"),
        )
    )
    rate = F.try_divide(F.col("responses").cast("double"), F.col("contacts").cast("double")).alias("rate")
    channel = F.struct(c.CHANNEL, "contacts", "responses", rate)
    return by_channel.groupBy(c.CUSTOMER_ID).agg(
        F.sum("contacts").alias("contacts"),
        F.sum("responses").alias("responses"),
        F.max("last_response_day").alias("last_response_day"),
        F.sort_array(F.collect_list(F.when(F.col(c.CHANNEL).isNotNull(), channel))).alias(c.RESPONSE_BY_CHANNEL),
    )
