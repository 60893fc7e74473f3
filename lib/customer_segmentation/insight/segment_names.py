"""Names the segments of any segmented frame, by the rules that the pipeline names its segments by."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from numbers import Integral
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.arguments import as_section, as_time_zone
from customer_segmentation.config.schema import Segments
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.features.build import as_date
from customer_segmentation.features.daily_aggregates import daily_aggregates
from customer_segmentation.features.frames import columns_of_lines
from customer_segmentation.features.lines_by_customer import DAY, lines_by_customer
from customer_segmentation.insight.activity import Evidence, purchase_rates, segment_evidence
from customer_segmentation.insight.naming import NOISE_ACTION, name_segments, with_noise
from customer_segmentation.insight.profiles import Differentiator, Profile, profile
from customer_segmentation.preparation.frames import require_columns
from customer_segmentation.spark.dates import Dates
from customer_segmentation.spark.local_time import UTC, in_local_time, require_utc


def segment_names(
    segments: DataFrame,
    transactions: DataFrame | None = None,
    *,
    as_of: date | str | None = None,
    features: Sequence[str] | None = None,
    own: Mapping[int, str] | None = None,
    rules: Segments | Mapping[str, Any] | None = None,
    timezone: str = UTC,
) -> pd.DataFrame:
    """Name each segment of a segmented frame, with an action and the evidence. Runs up to four aggregations.

    Args:
        segments: rows of `customer_features` with `segment_id`, such as what a model's `assign` returns; noise is -1.
        transactions: the order lines that the features were made of. What customers like these did before says which
            segments are active and which are not; without them no name speaks of it.
        as_of: the date of the features; by default that of the frame.
        features: numeric columns that may set a segment apart; by default all of the frame.
        own: names of your own by segment_id.
        rules: the `segments` section of a configuration; by default the one that is shipped.
        timezone: whose days count, that of the features; the session's is UTC.

    Returns:
        A row per segment, ordered by segment_id: segment_id, segment_name, activity (new, active, mixed, lapsed or
        lost; None for noise), expected_buyer_share (share of its customers that is expected to buy within
        expected_within_days days, NaN where that is not known), expected_within_days (None there), overdue_share,
        action.

    Raises:
        ConfigurationError: a column is missing, the date is not known or none, a rule is not valid, or the session's
            time zone is not UTC.
        DataRejectedError: no customer has a segment, or a column is no number.

    Example:
        >>> rows = [(c, 1 + (c > 6), 5 + c, 9 - c, 90 + c, 100.0 / c) for c in range(1, 9)]
        >>> days = "recency_days int, active_days int, tenure_days int"
        >>> segments = spark.createDataFrame(rows, f"customer_id int, segment_id int, {days}, monetary double")
        >>> segment_names(segments, features=[])[["segment_id", "segment_name", "activity"]]
           segment_id         segment_name activity
        0           1  Mid-value customers    mixed
        1           2  Low-value occasional buyers    mixed
    """
    needed = [c.SEGMENT_ID, c.MONETARY, c.RECENCY_DAYS, *_DAYS]
    require_columns("segment_names", segments, numbers=needed, others=[c.CUSTOMER_ID])
    segments = segments.where(F.col(c.SEGMENT_ID).isNotNull())
    rules = as_section(Segments, rules, "segment_names")
    if own is not None and not (isinstance(own, Mapping) and all(isinstance(key, Integral) for key in own)):
        raise ConfigurationError(f"segment_names: own must be a dictionary of names by segment_id; found {own!r:.80}")
    profiles = [
        Profile(
            segment_id=int(row[c.SEGMENT_ID]),
            customers=int(row["customers"]),
            revenue=Decimal(0) if pd.isna(row["revenue"]) else Decimal(str(row["revenue"])),
            averages={},
            rfm=(0.0, 0.0, 0.0),
            differentiators=[Differentiator(**each) for each in row["differentiators"]],
        )
        for row in profile(segments, features).to_dict("records")
    ]
    if not profiles:
        raise DataRejectedError("segment_names: no customer of the frame has a segment_id, so there is nothing to name")
    evidence = _evidence(segments, transactions, as_of=as_of, horizon_days=rules.horizon_days, timezone=timezone)
    named = name_segments(profiles, evidence, rules, own=own)
    noise = with_noise({})
    known = {each.segment_id: each for each in evidence}
    described = []
    for segment, customers in ((each.segment_id, each.customers) for each in profiles):
        name, seen = named.get(segment), known.get(segment, Evidence(segment, customers))
        described.append(
            {
                c.SEGMENT_ID: segment,
                c.SEGMENT_NAME: name.name if name else noise[segment],
                "activity": name.activity if name else None,
                "expected_buyer_share": seen.buys_again,
                "expected_within_days": None if seen.buys_again is None else seen.horizon_days,
                "overdue_share": seen.overdue,
                "action": name.action if name else NOISE_ACTION,
            }
        )
    return pd.DataFrame(described).astype({"expected_buyer_share": "float64", "expected_within_days": "Int64"})


_DAYS = ("active_days", "tenure_days")


def _evidence(
    segments: DataFrame, transactions: DataFrame | None, *, as_of: date | str | None, horizon_days: int, timezone: str
) -> list[Evidence]:
    if transactions is None:
        day, horizon_days = date.max, 0
        days = segments.select(c.CUSTOMER_ID, F.lit(None).cast("date").alias(DAY))
    else:
        require_utc(transactions.sparkSession, "segment_names")
        columns = columns_of_lines(transactions)
        local = in_local_time(transactions, as_time_zone(timezone, "segment_names"), c.ORDERED_AT)
        day = _as_of(segments, as_of)
        lines = lines_by_customer(local, dates=Dates((day,)), columns=columns)
        days = daily_aggregates(lines).where("lines > 0")
    return segment_evidence(segments, purchase_rates(days, segments, as_of=day, horizon_days=horizon_days))


def _as_of(segments: DataFrame, as_of: date | str | None) -> date:
    if as_of is None:
        if c.AS_OF_DATE not in segments.columns:
            raise ConfigurationError("segment_names needs as_of, the date of the features; the frame has no as_of_date")
        row = segments.agg(F.max(c.AS_OF_DATE)).first()
        assert row is not None, "an aggregation without grouping has one row"
        if row[0] is None:
            raise DataRejectedError(
                "segment_names: the frame of customers has no rows with an as_of_date; give customers, or as_of, the "
                "date of their features"
            )
        as_of = row[0]
    return as_date(as_of)
