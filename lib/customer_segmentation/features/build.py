"""One row of features per customer: joins the aggregates of order lines and events and evaluates each declared feature.

`customer_features` takes order lines; `features_from_aggregates`, which it ends in, also takes the tables that a
pipeline keeps of the same aggregates.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.arguments import as_section, as_time_zone
from customer_segmentation.config.schema import Features, Windows
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.contract.features import FEATURES, Feature
from customer_segmentation.contract.tables import RESPONSE_TYPE, TOP_CATEGORIES, TOP_CATEGORIES_TYPE
from customer_segmentation.features.assortment import CATEGORY_MIX, category_totals
from customer_segmentation.features.daily_aggregates import daily_aggregates, window_aggregates
from customer_segmentation.features.engagement_aggregates import (
    campaign_aggregates,
    contacts_and_responses,
    engagement_aggregates,
)
from customer_segmentation.features.frames import OPTIONAL, columns_of_lines, events_of_customers
from customer_segmentation.features.history_aggregates import history_aggregates
from customer_segmentation.features.lines_by_customer import lines_by_customer, round_double
from customer_segmentation.features.prices import price_aggregates
from customer_segmentation.features.shop_averages import shop_averages, shop_response_rate
from customer_segmentation.spark.dates import INTERVAL, Dates
from customer_segmentation.spark.local_time import UTC, in_local_time, require_utc
from customer_segmentation.spark.shuffling import shuffled_once

WINDOWS: Mapping[str, int] = Windows().days()
"""Days of the windows, unless the configuration says otherwise."""

RESPONSE_EVENTS: Sequence[str] = tuple(Features().response_events)
"""Event types that are answers of a customer, unless the configuration says otherwise."""

_DECIMALS = 9
_EVENT_COUNTS = ("contacts", "responses", "received", "answered")
_AGGREGATES_OF: Mapping[str, set[str]] = {
    c.PRODUCT_ID: {"products", "product_orders"},
    c.CATEGORY: {"categories", "category_spend"},
    c.QUANTITY: {"items"},
    c.DISCOUNT: {"discounts", "discounted_lines"},
    c.CHANNEL: {"channels", "channel_spend"},
    c.BRAND: {"brands", "brand_spend"},
    c.STORE_ID: {"stores", "store_spend"},
    c.COUPON: {"coupon_orders"},
}
"""Aggregates by the optional column of the order lines without which they are unknown."""


def customer_features(
    transactions: DataFrame,
    engagement: DataFrame | None = None,
    returned_orders: DataFrame | None = None,
    *,
    as_of: date | str | Sequence[date | str],
    response_events: Sequence[str] = RESPONSE_EVENTS,
    windows: Mapping[str, int] = WINDOWS,
    timezone: str = UTC,
    extra: Sequence[Feature] = (),
    active_within: int | None = None,
) -> DataFrame:
    """Features of every customer with a purchase before a date: RFM, rhythm, basket, price, trend, engagement.

    Given several dates, the rows of all of them, told apart by as_of_date and each as if built for its date alone: for
    backtests, training sets and trends. The lines are gone through once, whatever the number of dates.

    The columns are customer_id (text), as_of_date, those of `contract.features.FEATURES` and of `extra`,
    top_categories and response_by_channel. Nothing is computed before the frame is; amounts are in the unit they have.

    Args:
        transactions: order lines with customer_id, order_id, ordered_at and amount (net, negative on a return), and
            any of the other columns of the `transactions` table. Without one of those, the features that rest on it
            are null; without is_return, lines with a negative amount are returns. Lines without a customer, an order,
            a time or an amount do not enter.
        engagement: events in the columns of the `engagement` table, of which channel and campaign_id may be missing;
            None where there are none.
        returned_orders: orders of which something was returned before `as_of`, see `lines_by_customer`; None where
            that is not known. Given several dates, by as_of_date too.
        as_of: a date, or its text such as 2011-12-10. Lines and events of this day and later do not enter. Or several
            of them, in any order.
        response_events: the event types that are answers of the customer.
        windows: days of the short, the medium and the long window, each longer than the one before, up to 3,650.
        timezone: whose days, hours, weekends and seasons count, of the IANA database; the session's is UTC.
        extra: further features. Their formulas may also use the declared ones.
        active_within: who counts as a customer: the last purchase is at most so many days before `as_of`; None: all.
            What is averaged over all customers is so over the others too.

    Raises:
        ConfigurationError: `as_of` is no date, or there is none; another argument is not valid, which the message
            names; or the session's time zone is not UTC.
        DataRejectedError: a column that is needed is not there, is there twice, or is no number, time or flag.

    A customer's spend has to stay below 10^16 and the quantity below 9 * 10^15: Spark raises an ArithmeticException
    beyond, once the frame is computed.

    >>> lines = spark.createDataFrame(
    ...     [("ann", 1, "2011-11-30", 20.0), ("ann", 2, "2011-12-05", 30.0), ("bob", 3, "2011-10-01", 5.0)],
    ...     "customer_id string, order_id int, ordered_at string, amount double",
    ... )
    >>> features = customer_features(lines, as_of="2011-12-10")
    >>> features.select("customer_id", "recency_days", "frequency", "monetary").orderBy("customer_id").show()
    +-----------+------------+---------+--------+
    |customer_id|recency_days|frequency|monetary|
    +-----------+------------+---------+--------+
    |        ann|           5|        2|   50.00|
    |        bob|          70|        1|    5.00|
    +-----------+------------+---------+--------+
    <BLANKLINE>
    """
    dates = as_dates(as_of)
    events = response_events if isinstance(response_events, str) else [*response_events]
    given = {"response_events": events, "windows": windows, "active_within": active_within}
    settings = as_section(Features, given, "customer_features")
    zone = as_time_zone(timezone, "customer_features")
    columns = columns_of_lines(transactions)
    require_utc(transactions.sparkSession, "customer_features")
    transactions = in_local_time(transactions, zone, c.ORDERED_AT)
    if engagement is not None:
        engagement = in_local_time(events_of_customers(engagement), zone, c.OCCURRED_AT)
    lines = lines_by_customer(transactions, returned_orders, dates=dates, columns=columns)
    return features_of_lines(
        lines,
        engagement,
        dates=dates,
        response_events=settings.response_events,
        windows=settings.windows.days(),
        extra=extra,
        active_within=settings.active_within,
        absent=[name for name in OPTIONAL if name not in columns],
    )


def features_of_lines(
    lines: DataFrame, engagement: DataFrame | None, *, dates: Dates, extra: Sequence[Feature] = (), **settings: Any
) -> DataFrame:
    """The features of customers from their order lines, with no table in between.

    Args:
        lines: see `lines_by_customer`.
        engagement: as for `features_from_aggregates`, and so are the `settings`.
        dates: those that the lines were taken for.
        extra: as for `customer_features`.
    """
    # What several branches of the plan start from is shuffled, so that it is computed once.
    days = shuffled_once(daily_aggregates(lines, dates), c.CUSTOMER_ID)
    categories = shuffled_once(category_totals(lines, dates), c.CUSTOMER_ID)
    history = history_aggregates(lines, days, categories, dates)
    used = {c.CUSTOMER_ID, *TOP_CATEGORIES, *INTERVAL}.union(*map(words_of, (*FEATURES, *extra)))
    shared = shuffled_once(history.select(*(name for name in history.columns if name in used)), c.CUSTOMER_ID)
    return features_from_aggregates(
        shared, days, engagement, categories=categories, dates=dates, extra=extra, **settings
    )


def features_from_aggregates(
    history: DataFrame,
    days: DataFrame,
    engagement: DataFrame | None,
    *,
    categories: DataFrame | None = None,
    dates: Dates,
    response_events: Sequence[str],
    windows: Mapping[str, int] = WINDOWS,
    extra: Sequence[Feature] = (),
    active_within: int | None = None,
    absent: Sequence[str] = (),
) -> DataFrame:
    """The features of customers from the aggregates of their order lines before a date; see `customer_features`.

    Args:
        history: rows of `customer_history` or their states, see `history_aggregates`.
        days: rows of `customer_days` or their states, see `daily_aggregates`.
        engagement: events, their times in the time zone of the days.
        categories: see `assortment.category_totals`; None: the category_mix of the history, where it costs nothing.
        dates: of the aggregates.
        response_events: as for `customer_features`, and so are `windows`, `extra` and `active_within`.
        absent: optional columns that the order lines did not have.
    """
    if categories is None:
        categories = history.select(c.CUSTOMER_ID, F.inline(CATEGORY_MIX))
    unknown = {name for column in absent for name in _AGGREGATES_OF[column]}
    recent = window_aggregates(days, dates, windows=windows)
    prices = price_aggregates(categories, dates)
    averages = shop_averages(dates.at_all(history), dates)
    key = dates.key(c.CUSTOMER_ID)
    sums, of_dates = ([name for name in frame.columns if name not in key] for frame in (recent, averages))
    # What changes with a customer's purchases alone is evaluated once for all dates on which they are the same.
    moving = {"as_of", "last_response_day", "shop_response_rate", *_EVENT_COUNTS, *sums, *of_dates, *prices.columns}
    lasting = {feature.name: _value(feature, unknown) for feature in FEATURES if not moving & words_of(feature)}
    lasting[c.TOP_CATEGORIES] = _top_categories().cast(TOP_CATEGORIES_TYPE)
    aggregates = _joined(dates.at_all(history.withColumns(lasting)), recent, dates).fillna(0, subset=sums)
    aggregates = _with_shop(_joined(aggregates, prices, dates), averages, dates)
    constants = {"as_of": dates.day} | {f"length_{name}": F.lit(length) for name, length in windows.items()}
    if engagement is None:
        constants |= {name: F.lit(0) for name in _EVENT_COUNTS} | {"shop_response_rate": F.lit(0.0)}
        constants |= {"last_response_day": F.lit(None).cast("date"), c.RESPONSE_BY_CHANNEL: F.lit(None)}
    else:
        events = contacts_and_responses(engagement, dates, response_events=response_events)
        own = engagement_aggregates(events, dates)
        aggregates = _joined(aggregates, own, dates).fillna(0, subset=list(_EVENT_COUNTS))
        rate_of_all = shop_response_rate(campaign_aggregates(events, dates), dates)
        aggregates = _with_shop(aggregates, rate_of_all, dates)
    known = aggregates.withColumns(constants).withColumns(
        {feature.name: _value(feature, unknown) for feature in FEATURES if feature.name not in lasting}
    )
    by_channel = F.coalesce(F.col(c.RESPONSE_BY_CHANNEL).cast(RESPONSE_TYPE), F.array().cast(RESPONSE_TYPE))
    return active(known, within=active_within).select(
        c.CUSTOMER_ID,
        F.col("as_of").alias(c.AS_OF_DATE),
        *(feature.name for feature in FEATURES),
        *(_value(feature, unknown).alias(feature.name) for feature in extra),
        c.TOP_CATEGORIES,
        by_channel.alias(c.RESPONSE_BY_CHANNEL),
    )


def features_of_history(history: DataFrame, names: Collection[str], *, as_of: date) -> DataFrame:
    """Some features of customers, those that their histories alone tell, at a small part of the cost of all features.

    Args:
        history: rows of `customer_history` before the date.
        names: the features; a Spark AnalysisException where one of them is made from anything else too.
        as_of: the date.

    Returns:
        customer_id, as_of_date and the features, as `features_from_aggregates` has them.
    """
    known = history.withColumn("as_of", F.lit(as_of))
    features = (_value(feature, set()).alias(feature.name) for feature in FEATURES if feature.name in names)
    return known.select(c.CUSTOMER_ID, F.col("as_of").alias(c.AS_OF_DATE), *features)


def active(customers: DataFrame, *, within: int | None) -> DataFrame:
    """Those who count as customers: with a recency_days of at most so many days; all of them for None."""
    return customers if within is None else customers.where(F.col(c.RECENCY_DAYS) <= within)


def _joined(rows: DataFrame, aggregates: DataFrame, dates: Dates) -> DataFrame:
    """The rows with other aggregates of their customers; those of a series lie in the same partitions."""
    if dates.is_series:
        aggregates = aggregates.hint("shuffle_hash")
    return rows.join(aggregates, on=dates.key(c.CUSTOMER_ID), how="left")


def _with_shop(rows: DataFrame, averages: DataFrame, dates: Dates) -> DataFrame:
    """The rows with what all customers have together."""
    if dates.is_series:
        return rows.join(F.broadcast(averages), on=dates.key(), how="left")
    return rows.crossJoin(F.broadcast(averages))


def _top_categories() -> Column:
    """The categories with most gross purchases, the largest first, and their share in those of all known ones."""

    def category(name: str) -> Column:
        share = round_double(F.try_divide(F.col(f"{name}_spend"), F.col("category_spend")), _DECIMALS)
        return F.when(F.col(name).isNotNull(), F.struct(F.col(name).alias("category"), share.alias("share")))

    return F.array_compact(F.array(*map(category, TOP_CATEGORIES)))


def words_of(feature: Feature) -> set[str]:
    """The words of a formula, the columns that it uses among them."""
    return {word.lower() for word in re.findall(r"\w+", feature.formula)}


def _value(feature: Feature, unknown: set[str]) -> Column:
    """The feature's formula, to nine decimals."""
    if unknown & words_of(feature):
        return F.lit(None).cast(feature.type)
    value = F.expr(feature.formula)
    return (round_double(value, _DECIMALS) if feature.type == "double" else value).cast(feature.type)


def as_dates(value: date | str | Sequence[date | str]) -> Dates:
    """An as-of date, or a series of them; a ConfigurationError where one of them is none."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return Dates((as_date(value),))
    if not value:
        raise ConfigurationError("as_of has to be a date such as 2011-12-10 or several, but is an empty list")
    return Dates(tuple(sorted({as_date(each) for each in value})), is_series=True)


def as_date(value: date | str) -> date:
    """An as-of date, or its text, as a date; a ConfigurationError where it is none."""
    if isinstance(value, datetime):
        return value.date()
    try:
        return value if isinstance(value, date) else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"as_of has to be a date such as 2011-12-10, but is {value!r:.60}") from None
