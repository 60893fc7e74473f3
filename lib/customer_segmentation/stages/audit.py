"""What has to hold of a run before consumers read it, counted from what was written."""

from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import PublishingError
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.digests import digest_of_rows
from customer_segmentation.stages.run import Run

_NEVER_NULL = (c.CUSTOMER_ID, c.SEGMENT_ID, c.SEGMENT_NAME, c.MODEL_VERSION, c.RUN_ID, c.AS_OF_DATE)


def audit(run: Run, features: DataFrame) -> dict[str, Any]:
    """Check that the run has every customer once, and that its tables agree.

    Args:
        features: a row per customer of the run.

    Returns:
        Columns of `pipeline_runs`: customers, customers_segmented, revenue.

    Raises:
        PublishingError: a customer is missing, twice, somebody else's or without a segment; or profiles or transitions
            are not those of the customers.
    """
    # The sum of their digests says whether they are the same customers, whatever their order.
    digests = digest_of_rows(c.CUSTOMER_ID)
    incomplete = F.count_if(reduce(or_, (F.col(name).isNull() for name in _NEVER_NULL)))
    sizes = (F.count(F.lit(1)), F.count_distinct(c.CUSTOMER_ID), digests, incomplete)
    assigned_rows, profile_rows, move_rows = (
        _rows(run, table) for table in (t.CUSTOMER_SEGMENTS_HISTORY, t.SEGMENT_PROFILES, t.SEGMENT_TRANSITIONS)
    )
    ((customers, revenue, digest),), by_segment, profiles, moves = at_once(
        features.agg(F.count(F.lit(1)), F.sum(c.MONETARY), digests).collect,
        assigned_rows.groupBy(c.SEGMENT_ID).agg(*sizes).collect,
        profile_rows.select(c.SEGMENT_ID, "customers", "revenue").collect,
        move_rows.select("from_segment_id", "to_segment_id", "customers").collect,
    )
    segments = {row[0]: tuple(row)[1:] for row in by_segment}
    rows, distinct = (sum(size[place] for size in segments.values()) for place in (0, 1))
    if (rows, distinct) != (customers, customers) or sum(size[2] for size in segments.values()) != digest:
        raise _unpublished(
            run, f"{customers} customers have features, but {rows} rows of {distinct} customers were assigned"
        )
    nulls = sum(size[3] for size in segments.values())
    if nulls:
        raise _unpublished(run, f"{nulls} of its customers have no {', no '.join(_NEVER_NULL)}")

    profiled = sorted((row[0], row[1]) for row in profiles)
    assigned = sorted((segment_id, size[0]) for segment_id, size in segments.items())
    if profiled != assigned:
        raise _unpublished(run, f"as (segment_id, customers) the profiles are {profiled}, the customers {assigned}")
    spent = sum((row["revenue"] for row in profiles), Decimal(0))
    if spent != revenue:
        raise _unpublished(run, f"the customers' net spend is {revenue}, the segments' {spent}")
    moved = sum(row["customers"] for row in moves)
    if moved != customers or len({row[:2] for row in moves}) != len(moves):
        raise _unpublished(run, f"it has {customers} customers, but {moved} in {len(moves)} transitions")
    return {"customers": customers, "customers_segmented": rows, "revenue": revenue}


def _rows(run: Run, table: t.Table) -> DataFrame:
    return run.warehouse.rows(table, column=c.RUN_ID, value=run.run_id)


def _unpublished(run: Run, reason: str) -> PublishingError:
    return PublishingError(f"run {run.run_id} is not published: {reason}")
