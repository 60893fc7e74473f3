"""How sure the segments are of their customers, and what most often speaks for them: the drivers, summed up."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

MAX_REASONS = 3


def reasons(segmented: DataFrame) -> DataFrame:
    """A row per segment, noise among them.

    Args:
        segmented: rows of `customer_segments` of one run.

    Returns:
        segment_id; confidence, the mean; outlier_share, 0 to 1; reasons, the most frequent drivers, at most
        `MAX_REASONS`, as structs: share of the segment's customers with such a driver, 0 to 1; feature; direction;
        segment_value; other_value, the mean over these customers' next segments.
    """
    by_segment = segmented.groupBy(c.SEGMENT_ID).agg(
        F.count(F.lit(1)).alias("customers"),
        F.avg(c.CONFIDENCE).alias("confidence"),
        F.avg(F.col(c.IS_OUTLIER).cast("int")).alias("outlier_share"),
    )
    drivers = (
        segmented.select(c.SEGMENT_ID, F.inline(c.DRIVERS))
        .where("direction IS NOT NULL")  # drivers of an earlier release have none
        .groupBy(c.SEGMENT_ID, "feature", "direction")
        .agg(
            F.count(F.lit(1)).alias("driven"), F.avg("segment_value").alias("own"), F.avg("other_value").alias("other")
        )
        .join(by_segment.select(c.SEGMENT_ID, "customers"), c.SEGMENT_ID, "inner")
    )
    reason = F.struct(
        (F.col("driven") / F.col("customers")).alias("share"),
        "feature",
        "direction",
        F.col("own").alias("segment_value"),
        F.col("other").alias("other_value"),
    )
    listed = drivers.groupBy(c.SEGMENT_ID).agg(F.sort_array(F.collect_list(reason), asc=False).alias("reasons"))
    return by_segment.join(listed, c.SEGMENT_ID, "left").select(
        c.SEGMENT_ID, "confidence", "outlier_share", F.slice("reasons", 1, MAX_REASONS).alias("reasons")
    )
