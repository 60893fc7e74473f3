"""Validates that every mapping fits its source, reading schemas and no rows."""

from customer_segmentation.ingest.customers import attributes, describe_renamed, mapped_customers
from customer_segmentation.ingest.engagement import validated_events
from customer_segmentation.stages.ingest import SourceLines, analysed
from customer_segmentation.stages.run import Run


def check_sources(run: Run) -> list[str]:
    """A line for each entity whose mapping fits.

    Raises:
        DataRejectedError: a mapping does not fit its source.
    """
    spark, sources = run.spark, run.sources
    SourceLines(run)
    messages = ["sources.transactions: the mapping fits"]
    if sources.customers:
        customers = sources.customers
        frame = analysed("customers", lambda: mapped_customers(spark, customers))
        renamed = describe_renamed(frame)
        messages.append(
            f"sources.customers: the mapping fits; attributes {', '.join(attributes(frame))}"
            + (f"; {renamed}" if renamed else "")
        )
    if sources.engagement:
        engagement = sources.engagement
        analysed("engagement", lambda: validated_events(spark, engagement))
        messages.append("sources.engagement: the mapping fits")
    return messages
