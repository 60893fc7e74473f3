"""Puts the feature families together: order lines and engagement in, one row per customer out."""

from datetime import date

from pyspark.sql import DataFrame

from customer_segmentation.features.behaviour import customer_behaviour
from customer_segmentation.features.engagement import with_engagement


def customer_features(
    transactions: DataFrame,
    engagement: DataFrame | None,
    undone: DataFrame | None = None,
    *,
    as_of: date,
    response_events: list[str],
) -> DataFrame:
    """One row per customer with a purchase before `as_of`: customer_id, as_of_date, all of `contract.features`.

    Args:
        transactions: order lines in the columns of the `transactions` table.
        engagement: events in the columns of the `engagement` table; None where there are none.
        undone: customer_id and order_id of the orders that were given back whole before `as_of`; None for none.
        as_of: lines and events of this day (UTC) and later do not enter.
        response_events: the event types that are answers of the customer.
    """
    return customer_behaviour(transactions, undone, as_of=as_of).transform(
        with_engagement, engagement, as_of=as_of, response_events=response_events
    )
