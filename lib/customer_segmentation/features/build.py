"""Puts the feature families together: order lines and engagement in, one row per customer out."""

from datetime import date

from pyspark.sql import DataFrame

from customer_segmentation.features.behaviour import customer_behaviour
from customer_segmentation.features.engagement import with_engagement


def customer_features(
    transactions: DataFrame, engagement: DataFrame | None, *, as_of: date, response_events: list[str]
) -> DataFrame:
    """One row per customer with a purchase before `as_of`: customer_id, as_of_date, all of `contract.features`."""
    return customer_behaviour(transactions, as_of=as_of).transform(
        with_engagement, engagement, as_of=as_of, response_events=response_events
    )
