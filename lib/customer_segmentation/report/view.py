"""The parts of the page as its template shows them, every figure formatted."""

from dataclasses import dataclass
from decimal import Decimal

from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.headlines import Headline
from customer_segmentation.display.palette import segment_tone
from customer_segmentation.display.verdict import Verdict
from customer_segmentation.report.content import ReportContent, Row
from customer_segmentation.report.descriptions import (
    describe_activity,
    describe_reason,
    describe_trait,
    differentiator_label,
    differentiator_values,
    notable_differentiators,
)
from customer_segmentation.report.model_quality import stability

_MAX_DIFFERENTIATORS = 4
_MAX_TRAITS = 3


@dataclass(frozen=True)
class Card:
    """A segment as its card shows it. `tone` names its colour; noise has no stability, no confidence and no reasons."""

    segment_id: int
    name: str
    tone: str
    customers: str
    customer_share: str
    revenue: str
    revenue_share: str
    average: str
    activity: str
    differentiators: list[tuple[str, str]]
    traits: list[str]
    stability: Verdict | None
    reasons: list[str]
    confidence: str
    outliers: str
    action: str


def average_spend(row: Row) -> Decimal | None:
    """Net revenue per customer of the segment; None without customers."""
    return row["revenue"] / row["customers"] if row["customers"] and row["revenue"] is not None else None


def headlines(content: ReportContent) -> list[Headline]:
    """The figures of the run as a whole."""
    run = content.run
    customers, revenue = run["customers"], run["revenue"]
    rejected = run["rows_rejected"] / run["rows_in"] if run["rows_in"] else None
    average = revenue / customers if customers and revenue is not None else None
    noise = next((row for row in content.segments if row["segment_id"] == NOISE_ID), None)
    return [
        Headline("Customers", fmt.count(customers), "with a purchase"),
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


def cards(content: ReportContent) -> list[Card]:
    """A card per segment, by value."""
    names, currency = content.names, content.currency
    reasons = {row["segment_id"]: row for row in content.reasons if row["segment_id"] != NOISE_ID}
    return [
        Card(
            segment_id=row["segment_id"],
            name=names[row["segment_id"]],
            tone=segment_tone(row["segment_id"]).name,
            customers=fmt.count(row["customers"]),
            customer_share=fmt.share(row["customer_share"]),
            revenue=fmt.money(row["revenue"], currency),
            revenue_share=fmt.share(row["revenue_share"]),
            average=fmt.money(average_spend(row), currency),
            activity=describe_activity(row),
            differentiators=[
                (differentiator_label(each), differentiator_values(each, currency))
                for each in notable_differentiators(row, _MAX_DIFFERENTIATORS)
            ],
            traits=[describe_trait(trait) for trait in (row["traits"] or ())[:_MAX_TRAITS]],
            stability=stability(row["stability"]) if row["segment_id"] != NOISE_ID else None,
            reasons=[describe_reason(each, currency) for each in reason.get("reasons") or ()],
            confidence=fmt.share(reason["confidence"], 0) if reason else "",
            outliers=fmt.share(reason["outlier_share"]) if reason else "",
            action=fmt.plain_text(row["action"]),
        )
        for row in content.by_value
        for reason in [reasons.get(row["segment_id"], {})]
    ]
