"""Traits: customer attributes that are more common in a segment than overall, beyond chance and by enough to matter."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import stats

from customer_segmentation.contract import columns as c

MAX_VALUES = 50
"""An attribute with more values than this is no trait (an address, a birthday)."""
MAX_TRAITS = 3
MIN_CUSTOMERS = 20
"""Customers of the segment with a value, under which it is none of its traits."""
FALSE_DISCOVERY_RATE = 0.05
"""Expected share of chance among all traits that are named, by Benjamini and Hochberg (1995)."""
MIN_LIFT = 1.2
"""Share in the segment by the share overall from which a difference is worth a word."""


def traits(assigned: DataFrame, customers: DataFrame) -> dict[int, list[dict[str, Any]]]:
    """The strongest attribute values of each segment. Runs two aggregations.

    Args:
        assigned: customer_id and segment_id.
        customers: customer_id and attributes; texts and booleans with few values count, others are ignored.

    Returns:
        By segment id: see `strongest_traits`.
    """
    attributes = _with_few_values(customers)
    if not attributes:
        return {}
    pairs = F.explode(
        F.array(
            *(
                F.struct(F.lit(name).alias("attribute"), F.col(f"`{name}`").cast("string").alias("value"))
                for name in attributes
            )
        )
    )
    counts = (
        assigned.select(c.CUSTOMER_ID, c.SEGMENT_ID)
        # Selected before the join: an attribute may have any name, that of a segment column too.
        .join(customers.select(c.CUSTOMER_ID, pairs.alias("pair")), on=c.CUSTOMER_ID, how="inner")
        .select(c.SEGMENT_ID, "pair")
        .where("pair.value IS NOT NULL")
        .groupBy(c.SEGMENT_ID, "pair.attribute", "pair.value")
        .count()
        .collect()
    )
    return strongest_traits([(row[0], row[1], row[2], row[3]) for row in counts])


def strongest_traits(counts: Sequence[tuple[int, str, str, int]]) -> dict[int, list[dict[str, Any]]]:
    """The values that are more common in a segment than among all customers, the least likely by chance first.

    The test is exact: how likely so many of a segment's customers have the value where they are drawn from all that
    have the attribute (hypergeometric, one-sided; Fisher's). All values in all segments are tested together, so that
    of the traits named at most a twentieth is expected to be chance.

    Args:
        counts: segment id, attribute, value and the customers that have it; each combination once.

    Returns:
        By segment id, at most `MAX_TRAITS` each: attribute, value, share among the segment's customers that have the
        attribute, overall share, lift (share by overall share) and q (false discovery rate at which it is named).
    """
    in_segment: dict[tuple[int, str], int] = defaultdict(int)
    with_value: dict[tuple[str, str], int] = defaultdict(int)
    overall: dict[str, int] = defaultdict(int)
    for segment, attribute, value, count in counts:
        in_segment[segment, attribute] += count
        with_value[attribute, value] += count
        overall[attribute] += count
    # What is tested follows from the sizes alone: were it chosen by the outcome, there would be more false discoveries.
    of_segment = {(segment, attribute, value): count for segment, attribute, value, count in counts}
    tested = [
        (segment, attribute, value)
        for segment, attribute in sorted(in_segment)
        for other, value in sorted(with_value)
        if other == attribute
        and min(in_segment[segment, attribute], with_value[attribute, value]) >= MIN_CUSTOMERS
        and max(in_segment[segment, attribute], with_value[attribute, value]) < overall[attribute]
    ]
    if not tested:
        return {}
    likelihoods = [
        stats.hypergeom.sf(
            of_segment.get((segment, attribute, value), 0) - 1,
            overall[attribute],
            with_value[attribute, value],
            in_segment[segment, attribute],
        )
        for segment, attribute, value in tested
    ]
    rates = stats.false_discovery_control(np.clip(likelihoods, 0.0, 1.0))
    ranked: dict[int, list[tuple[float, float, dict[str, Any]]]] = defaultdict(list)
    for (segment, attribute, value), likelihood, rate in zip(tested, likelihoods, rates, strict=True):
        count = of_segment.get((segment, attribute, value), 0)
        share = count / in_segment[segment, attribute]
        overall_share = with_value[attribute, value] / overall[attribute]
        if count >= MIN_CUSTOMERS and rate <= FALSE_DISCOVERY_RATE and share >= MIN_LIFT * overall_share:
            trait = {
                "attribute": attribute,
                "value": value,
                "share": round(share, 6),
                "overall": round(overall_share, 6),
                "lift": round(share / overall_share, 6),
                "q": float(f"{rate:.6g}"),
            }
            ranked[segment].append((float(likelihood), -share / overall_share, trait))
    return {
        segment: [trait for *_, trait in sorted(scored, key=_strongest_first)[:MAX_TRAITS]]
        for segment, scored in ranked.items()
    }


def _with_few_values(customers: DataFrame) -> list[str]:
    texts = [
        field.name
        for field in customers.schema.fields
        if field.name != c.CUSTOMER_ID and field.dataType.simpleString() in ("string", "boolean")
    ]
    if not texts:
        return []
    row = customers.agg(*(F.approx_count_distinct(F.col(f"`{name}`")).alias(name) for name in texts)).first()
    assert row is not None, "an aggregation without grouping has one row"
    return [name for name, values in zip(texts, row, strict=True) if 2 <= values <= MAX_VALUES]


def _strongest_first(scored: tuple[float, float, dict[str, Any]]) -> tuple[float, float, str, str]:
    likelihood, lift, trait = scored
    return likelihood, lift, trait["attribute"], trait["value"]
