"""Traits: customer attributes that are more common in a segment than overall."""

import math
from collections import defaultdict
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

MAX_VALUES = 50
"""An attribute with more values than this is no trait (an address, a birthday)."""
MAX_TRAITS = 3
MIN_STANDARD_ERRORS = 3.0
"""Standard errors by which the share of a trait is above the overall one."""


def traits(assigned: DataFrame, customers: DataFrame) -> dict[int, list[dict[str, Any]]]:
    """The strongest attribute values of each segment. Runs two aggregations.

    Args:
        assigned: customer_id and segment_id.
        customers: customer_id and attributes; texts and booleans with few values count, others are ignored.

    Returns:
        By segment id: attribute, value, share among the segment's customers that have the attribute, and overall
        share; clearly more common ones only, strongest first.
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
    return _strongest([tuple(row) for row in counts])


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


def _strongest(counts: list[tuple[Any, ...]]) -> dict[int, list[dict[str, Any]]]:
    in_segment: dict[tuple[int, str], int] = defaultdict(int)
    with_value: dict[tuple[str, str], int] = defaultdict(int)
    overall: dict[str, int] = defaultdict(int)
    for segment, attribute, value, count in counts:
        in_segment[segment, attribute] += count
        with_value[attribute, value] += count
        overall[attribute] += count
    ranked: dict[int, list[tuple[float, dict[str, Any]]]] = defaultdict(list)
    for segment, attribute, value, count in counts:
        size = in_segment[segment, attribute]
        share, overall_share = count / size, with_value[attribute, value] / overall[attribute]
        error = math.sqrt(overall_share * (1 - overall_share) / size)
        if error and (share - overall_share) / error > MIN_STANDARD_ERRORS:
            trait = {
                "attribute": attribute,
                "value": value,
                "share": round(share, 6),
                "overall": round(overall_share, 6),
            }
            ranked[segment].append(((share - overall_share) / error, trait))
    return {
        segment: [trait for _, trait in sorted(scored, key=_strongest_first)[:MAX_TRAITS]]
        for segment, scored in ranked.items()
    }


def _strongest_first(scored: tuple[float, dict[str, Any]]) -> tuple[float, str, str]:
    standard_errors, trait = scored
    return -standard_errors, trait["attribute"], trait["value"]
