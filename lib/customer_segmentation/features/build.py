"""Puts the feature families together: a customer's history and engagement in, one row of features out."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Windows
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.features import FEATURES, Feature
from customer_segmentation.contract.tables import RESPONSE_TYPE, TOP_CATEGORIES, TOP_CATEGORIES_TYPE
from customer_segmentation.features.daily_aggregates import days_of, window_sums, windows_of
from customer_segmentation.features.engagement_aggregates import engagement_totals
from customer_segmentation.features.history_aggregates import history_of
from customer_segmentation.features.lines_by_customer import customer_lines, rounded
from customer_segmentation.features.prices import bought_in_lines, category_prices, prices_paid
from customer_segmentation.spark.local_time import UTC, in_local_time

WINDOWS: Mapping[str, int] = Windows().days()
"""Days of the windows, unless the configuration says otherwise."""

_DECIMALS = 9


def customer_features(
    transactions: DataFrame,
    engagement: DataFrame | None,
    given_back: DataFrame | None = None,
    *,
    as_of: date,
    response_events: list[str],
    windows: Mapping[str, int] = WINDOWS,
    timezone: str = UTC,
) -> DataFrame:
    """One row per customer with a purchase before `as_of`: customer_id, as_of_date, all of `contract.features`,
    top_categories and response_by_channel.

    Args:
        transactions: order lines in the columns of the `transactions` table.
        engagement: events in the columns of the `engagement` table; None where there are none.
        given_back: orders of which something was given back before `as_of`, see `lines.customer_lines`.
        as_of: lines and events of this day and later do not enter.
        response_events: the event types that are answers of the customer.
        windows: days of the short, the medium and the long window.
        timezone: whose days, hours, weekends and seasons count, of the IANA database; the session's is UTC.

    A customer's spend has to stay below 10^16 and the quantity below 9 * 10^15: Spark raises an ArithmeticException
    beyond, once the frame is computed.
    """
    transactions = in_local_time(transactions, timezone, c.ORDERED_AT)
    if engagement is not None:
        engagement = in_local_time(engagement, timezone, c.OCCURRED_AT)
    lines = customer_lines(transactions, given_back, as_of=as_of)
    lately = window_sums(as_of=as_of, windows=windows)
    known = history_of(lines, days_of(lines), lately=lately, prices=category_prices(bought_in_lines(lines)))
    return _features(known, engagement, as_of=as_of, response_events=response_events)


def features_of(
    history: DataFrame,
    days: DataFrame,
    engagement: DataFrame | None,
    *,
    as_of: date,
    response_events: list[str],
    windows: Mapping[str, int] = WINDOWS,
) -> DataFrame:
    """The features of the customers of a history and their days as of the same date; see `customer_features`.

    The times of the events are of the same time zone as the days.
    """
    lately = windows_of(days, as_of=as_of, windows=windows)
    sums = [name for name in lately.columns if name != c.CUSTOMER_ID]
    known = history.join(lately, on=c.CUSTOMER_ID, how="left").fillna(0, subset=sums)
    known = known.join(prices_paid(history), on=c.CUSTOMER_ID, how="left")
    return _features(known, engagement, as_of=as_of, response_events=response_events)


def _features(known: DataFrame, engagement: DataFrame | None, *, as_of: date, response_events: list[str]) -> DataFrame:
    if engagement is None:
        nothing = {"contacts": F.lit(0), "responses": F.lit(0), "last_response_day": F.lit(None).cast("date")}
        known = known.withColumns(nothing | {c.RESPONSE_BY_CHANNEL: F.lit(None)})
    else:
        totals = engagement_totals(engagement, as_of=as_of, response_events=response_events)
        known = known.join(totals, on=c.CUSTOMER_ID, how="left").fillna(0, subset=["contacts", "responses"])
    known = known.withColumn("as_of", F.lit(as_of))
    by_channel = F.coalesce(F.col(c.RESPONSE_BY_CHANNEL).cast(RESPONSE_TYPE), F.array().cast(RESPONSE_TYPE))
    return known.select(
        c.CUSTOMER_ID,
        F.col("as_of").alias(c.AS_OF_DATE),
        *map(_value, FEATURES),
        _top_categories().cast(TOP_CATEGORIES_TYPE).alias(c.TOP_CATEGORIES),
        by_channel.alias(c.RESPONSE_BY_CHANNEL),
    )


def _top_categories() -> Column:
    """The categories with most gross purchases, the largest first, and their share in those of all known ones."""

    def told(name: str) -> Column:
        share = rounded(F.try_divide(F.col(f"{name}_spend"), F.col("category_spend")), _DECIMALS)
        return F.when(F.col(name).isNotNull(), F.struct(F.col(name).alias("category"), share.alias("share")))

    return F.array_compact(F.array(*map(told, TOP_CATEGORIES)))


def _value(feature: Feature) -> Column:
    """The feature's formula; what differs beyond nine decimals is the order in which doubles were added."""
    value = F.expr(feature.formula)
    return (rounded(value, _DECIMALS) if feature.type == "double" else value).cast(feature.type).alias(feature.name)
