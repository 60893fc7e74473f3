"""How customers were contacted and how they answered."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c


def with_engagement(
    features: DataFrame, engagement: DataFrame | None, *, as_of: date, response_events: list[str]
) -> DataFrame:
    """The features with `contacts` and `responses` counted before `as_of`; 0 for customers without events."""
    if engagement is None:
        return features.withColumns({"contacts": F.lit(0), "responses": F.lit(0)})
    responded = F.col(c.EVENT_TYPE).isin(response_events)
    counts = (
        engagement.where(F.col(c.OCCURRED_AT) < F.lit(as_of).cast("timestamp"))
        .groupBy(c.CUSTOMER_ID)
        .agg(F.count_if(~responded).alias("contacts"), F.count_if(responded).alias("responses"))
    )
    return features.join(counts, on=c.CUSTOMER_ID, how="left").fillna(0, subset=["contacts", "responses"])
