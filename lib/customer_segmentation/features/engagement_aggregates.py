"""How customers were contacted and how they answered, before a date."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c


def engagement_aggregates(engagement: DataFrame, *, as_of: date, response_events: Sequence[str]) -> DataFrame:
    """One row per customer with events before `as_of`.

    contacts and responses: events. received: campaigns that the customer was contacted for, and contacts that name no
    campaign. answered: those campaigns with a response, and responses that name none, as long as they can be answers to
    what was received and is not answered. last_response_day, response_by_channel.

    Args:
        engagement: events in the columns of the `engagement` table; without campaign_id none names a campaign.
        as_of: events of this day and later do not enter, in the time zone that the times are of.
        response_events: the event types that are answers of the customer; all others are contacts.
    """
    if c.CAMPAIGN_ID not in engagement.columns:
        engagement = engagement.withColumn(c.CAMPAIGN_ID, F.lit(None).cast("string"))
    responded = F.col(c.EVENT_TYPE).isin(list(response_events))
    events = (
        engagement.where(F.col(c.OCCURRED_AT) < F.lit(as_of).cast("timestamp"))
        .groupBy(c.CUSTOMER_ID, c.CHANNEL, c.CAMPAIGN_ID)
        .agg(
            F.count_if(~responded).alias("contacts"),
            F.count_if(responded).alias("responses"),
            F.max(F.when(responded, F.to_date(c.OCCURRED_AT))).alias("last_response_day"),
        )
    )
    return _by_channel(events).join(_by_campaign(events), on=c.CUSTOMER_ID, how="inner")


def _by_channel(events: DataFrame) -> DataFrame:
    by_channel = events.groupBy(c.CUSTOMER_ID, c.CHANNEL).agg(
        F.sum("contacts").alias("contacts"),
        F.sum("responses").alias("responses"),
        F.max("last_response_day").alias("last_response_day"),
    )
    contacts = F.col("contacts").cast("double")
    rate = F.try_divide(F.least(F.col("responses").cast("double"), contacts), contacts).alias("rate")
    channel = F.struct(c.CHANNEL, "contacts", "responses", rate)
    return by_channel.groupBy(c.CUSTOMER_ID).agg(
        F.sum("contacts").alias("contacts"),
        F.sum("responses").alias("responses"),
        F.max("last_response_day").alias("last_response_day"),
        F.sort_array(F.collect_list(F.when(F.col(c.CHANNEL).isNotNull(), channel))).alias(c.RESPONSE_BY_CHANNEL),
    )


def _by_campaign(events: DataFrame) -> DataFrame:
    campaigns = events.groupBy(c.CUSTOMER_ID, c.CAMPAIGN_ID).agg(
        F.sum("contacts").alias("contacts"), F.sum("responses").alias("responses")
    )
    is_named, was_contacted = F.col(c.CAMPAIGN_ID).isNotNull(), F.col("contacts") > 0
    received = F.when(is_named, was_contacted.cast("bigint")).otherwise(F.col("contacts"))
    unnamed_responses = F.when(~is_named, F.col("responses")).otherwise(F.lit(0))
    totals = campaigns.groupBy(c.CUSTOMER_ID).agg(
        F.sum(received).alias("received"),
        F.count_if(is_named & was_contacted & (F.col("responses") > 0)).alias("named"),
        F.sum(unnamed_responses).alias("unnamed"),
    )
    return totals.select(
        c.CUSTOMER_ID, "received", F.least(F.col("named") + F.col("unnamed"), F.col("received")).alias("answered")
    )
