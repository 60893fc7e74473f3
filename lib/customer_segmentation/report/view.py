"""Headlines and the opening sentence of the page, every figure formatted."""

from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.headlines import Headline
from customer_segmentation.report.content import ReportContent


def headlines(content: ReportContent) -> list[Headline]:
    """The figures of the run as a whole."""
    run = content.run
    customers, revenue = run["customers"], run["revenue"]
    rejected = run["rows_rejected"] / run["rows_in"] if run["rows_in"] else None
    average = revenue / customers if customers and revenue is not None else None
    noise = next((row for row in content.segments if row["segment_id"] == NOISE_ID), None)
    return [
        Headline("Customers", fmt.count(customers), "in this run"),
        Headline(
            "Net revenue", fmt.money(revenue, content.currency), f"{fmt.money(average, content.currency)} a customer"
        ),
        Headline(
            "Segments",
            fmt.count(run["segments"]),
            f"and {fmt.count(noise['customers'])} customers in none" if noise else "every customer in one",
        ),
        Headline("Lines accepted", fmt.count(run["rows_accepted"]), f"of {fmt.count(run['rows_in'])} read"),
        Headline("Lines rejected", fmt.count(run["rows_rejected"]), f"{fmt.share(rejected)} of those read"),
    ]


def glance(content: ReportContent) -> str:
    """One sentence on the segment that brings the most revenue; empty when there is none to speak of."""
    shown = [row for row in content.by_value if row["segment_id"] != NOISE_ID and fmt.known(row["revenue_share"])]
    if not shown or not fmt.known(shown[0]["customer_share"]):
        return ""
    first = shown[0]
    return (
        f"{fmt.share(first['customer_share'])} of the customers bring {fmt.share(first['revenue_share'])} "
        f"of net revenue: {content.names[first['segment_id']]}."
    )
