"""The state of a source's look-ups, so that a change of theirs is noticed.

Lines keep what they got from a look-up when they were read: to reload them all whenever a product list changes
would make a day cost the history. A change is reported, or reloads all lines where that is wanted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Lookup, Source
from customer_segmentation.ingest.expressions import quoted
from customer_segmentation.ingest.sources import digest, lookup_rows, relation_state

LookupState = Mapping[str, Any]
"""The state of a look-up: `state`, which changes at least when its rows do, and `rows`, a digest of them."""


def lookup_states(spark: SparkSession, source: Source, before: Sequence[LookupState]) -> list[LookupState]:
    """The current state of each look-up of a source. Reads the rows of those that may have changed.

    Args:
        before: their states when the source was read last; empty where it was not.
    """
    known = list(before) if len(before) == len(source.joins) else [{}] * len(source.joins)
    return [_state(spark, lookup, state) for lookup, state in zip(source.joins, known, strict=True)]


def changed_lookups(source: Source, before: Sequence[LookupState], after: Sequence[LookupState]) -> list[Lookup]:
    """The look-ups of a source whose rows are others than they were."""
    if len(before) != len(after):
        return []
    return [
        lookup
        for lookup, old, new in zip(source.joins, before, after, strict=True)
        if old.get("rows") != new.get("rows")
    ]


def _state(spark: SparkSession, lookup: Lookup, before: LookupState) -> LookupState:
    state = relation_state(spark, lookup)
    state_digest = None if state is None else digest(state)
    if state_digest is not None and state_digest == before.get("state"):
        return before
    return {"state": state_digest, "rows": _digest_of_rows(lookup_rows(spark, lookup))}


def _digest_of_rows(rows: DataFrame) -> str:
    """A digest of the rows, whatever their order."""
    row = F.to_json(F.struct(*(F.col(quoted(name)) for name in sorted(rows.columns))))
    sums = rows.agg(F.count(F.lit(1)), F.sum(F.xxhash64(row).cast("decimal(38,0)"))).first()
    assert sums is not None, "an aggregation without grouping has one row"
    return f"{sums[0]}-{sums[1]}"
