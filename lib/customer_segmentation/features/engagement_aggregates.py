"""How customers were contacted and how they answered, before a date."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.spark.dates import SINCE, Dates
from customer_segmentation.spark.shuffling import shuffled_once


def contacts_and_responses(engagement: DataFrame, dates: Dates, *, response_events: Sequence[str]) -> DataFrame:
    """The events before the date, those of a customer together, each with the day of its response, null on a contact.

    Args:
        engagement: events in the columns of the `engagement` table.
        dates: events of the last day and later do not enter, in the time zone that the times are of.
        response_events: the event types that are answers of the customer; all others are contacts.
    """
    known = engagement.where(F.col(c.OCCURRED_AT) < F.lit(dates.last).cast("timestamp"))
    day = F.to_date(c.OCCURRED_AT)
    responded = F.col(c.EVENT_TYPE).isin(list(response_events))
    columns = [F.col(name) for name in (c.CUSTOMER_ID, c.CHANNEL, c.CAMPAIGN_ID)]
    columns.append(F.when(responded, day).alias("response_day"))
    if dates.is_series:
        columns.append(dates.place(day).alias(SINCE))
    # All that follows is by customer: nothing is moved again.
    return shuffled_once(known.select(*columns), c.CUSTOMER_ID)


def engagement_aggregates(events: DataFrame, dates: Dates) -> DataFrame:
    """One row per customer with events before the date, at each date.

    contacts and responses: events. last_response_day. response_by_channel. And the `campaign_aggregates`.

    Args:
        events: see `contacts_and_responses`.
    """
    places = dates.places(events, c.CUSTOMER_ID)
    campaigns = _by_campaign(events, dates, places)
    joined = _by_channel(events, dates, places).join(campaigns, on=dates.key(c.CUSTOMER_ID), how="inner")
    return dates.at_all(joined)


def campaign_aggregates(events: DataFrame, dates: Dates) -> DataFrame:
    """One row per customer with events before the date, at each date.

    received: campaigns that the customer was contacted for, and contacts that name no campaign. answered: those
    campaigns with a response, and responses that name none, as long as they can be answers to what was received and is
    not answered.

    Args:
        events: see `contacts_and_responses`.
    """
    return dates.at_all(_by_campaign(events, dates, dates.places(events, c.CUSTOMER_ID)))


def _counts() -> list[Column]:
    responded = F.col("response_day").isNotNull()
    return [F.count_if(~responded).alias("contacts"), F.count_if(responded).alias("responses")]


def _by_channel(events: DataFrame, dates: Dates, places: DataFrame) -> DataFrame:
    by_channel = events.groupBy(*dates.summed_by(c.CUSTOMER_ID, c.CHANNEL)).agg(
        *_counts(), F.max("response_day").alias("last_response_day")
    )
    by_channel = dates.states(
        by_channel, c.CUSTOMER_ID, c.CHANNEL, totals=["contacts", "responses"], maxima=["last_response_day"]
    )
    contacts = F.col("contacts").cast("double")
    rate = F.try_divide(F.least(F.col("responses").cast("double"), contacts), contacts).alias("rate")
    channel = F.struct(c.CHANNEL, "contacts", "responses", rate)
    at_places = dates.at_places(by_channel, places, c.CUSTOMER_ID)
    return at_places.groupBy(*dates.key(c.CUSTOMER_ID)).agg(
        F.sum("contacts").alias("contacts"),
        F.sum("responses").alias("responses"),
        F.max("last_response_day").alias("last_response_day"),
        F.sort_array(F.collect_list(F.when(F.col(c.CHANNEL).isNotNull(), channel))).alias(c.RESPONSE_BY_CHANNEL),
    )


def _by_campaign(events: DataFrame, dates: Dates, places: DataFrame) -> DataFrame:
    """The states of `campaign_aggregates`."""
    campaigns = events.groupBy(*dates.summed_by(c.CUSTOMER_ID, c.CAMPAIGN_ID)).agg(*_counts())
    is_named, was_contacted = F.col(c.CAMPAIGN_ID).isNotNull(), F.col("contacts") > 0
    counts = {
        "received": F.when(is_named, was_contacted.cast("bigint")).otherwise(F.col("contacts")),
        "named": (is_named & was_contacted & (F.col("responses") > 0)).cast("bigint"),
        "unnamed": F.when(~is_named, F.col("responses")).otherwise(F.lit(0)),
    }
    states = dates.states(campaigns, c.CUSTOMER_ID, c.CAMPAIGN_ID, totals=["contacts", "responses"])
    sums = dates.sums_of(states, [c.CUSTOMER_ID], [c.CAMPAIGN_ID], counts)
    (by_customer,) = dates.accumulated([sums], places, c.CUSTOMER_ID)
    answered = F.least(F.col("named") + F.col("unnamed"), F.col("received"))
    return by_customer.withColumn("answered", answered).drop("named", "unnamed")
