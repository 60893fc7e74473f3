"""The parts of the page as its template shows them: every figure in words already."""

from dataclasses import dataclass
from decimal import Decimal

from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.display import formatting as w
from customer_segmentation.display.palette import segment_tone
from customer_segmentation.display.summary import Headline
from customer_segmentation.report.content import ReportContent, Row

_DIFFERENTIATORS = 4
_TRAITS = 3


@dataclass(frozen=True)
class Card:
    """A segment as its card shows it. `tone` names its colour; `stability` is a word or two; empty for noise."""

    segment_id: int
    name: str
    tone: str
    customers: str
    customer_share: str
    revenue: str
    revenue_share: str
    average: str
    apart: list[tuple[str, str]]
    traits: list[str]
    stability: str
    stability_grade: int
    stability_index: str
    action: str


def average_spend(row: Row) -> Decimal | None:
    """Net revenue per customer of the segment; None without customers."""
    return row["revenue"] / row["customers"] if row["customers"] and row["revenue"] is not None else None


def headlines(content: ReportContent) -> list[Headline]:
    """The figures of the run as a whole."""
    run = content.run
    customers, revenue = run["customers"], run["revenue"]
    refused = run["rows_rejected"] / run["rows_in"] if run["rows_in"] else None
    each = revenue / customers if customers and revenue is not None else None
    noise = next((row for row in content.segments if row["segment_id"] == NOISE_ID), None)
    return [
        Headline("Customers", w.count(customers), "with a purchase"),
        Headline("Net revenue", w.money(revenue, content.currency), f"{w.money(each, content.currency)} a customer"),
        Headline(
            "Segments",
            w.count(run["segments"]),
            f"and {w.count(noise['customers'])} customers in none" if noise else "every customer in one",
        ),
        Headline("Lines accepted", w.count(run["rows_accepted"]), f"of {w.count(run['rows_in'])} read"),
        Headline("Lines refused", w.count(run["rows_rejected"]), f"{w.share(refused)} of those read"),
    ]


def glance(content: ReportContent) -> str:
    """One sentence on the segment that brings the most revenue; empty when there is none to speak of."""
    shown = [row for row in content.by_value if row["segment_id"] != NOISE_ID and w.known(row["revenue_share"])]
    if not shown or not w.known(shown[0]["customer_share"]):
        return ""
    first = shown[0]
    return (
        f"{w.share(first['customer_share'])} of the customers bring {w.share(first['revenue_share'])} "
        f"of net revenue: {content.names[first['segment_id']]}."
    )


def cards(content: ReportContent) -> list[Card]:
    """A card per segment, by value."""
    names, currency = content.names, content.currency
    return [
        Card(
            segment_id=row["segment_id"],
            name=names[row["segment_id"]],
            tone=segment_tone(row["segment_id"]).name,
            customers=w.count(row["customers"]),
            customer_share=w.share(row["customer_share"]),
            revenue=w.money(row["revenue"], currency),
            revenue_share=w.share(row["revenue_share"]),
            average=w.money(average_spend(row), currency),
            apart=[(w.apart_words(told), w.apart_figures(told, currency)) for told in w.telling(row, _DIFFERENTIATORS)],
            traits=[w.trait(told) for told in (row["traits"] or ())[:_TRAITS]],
            stability=w.stability(row["stability"]) if row["segment_id"] != NOISE_ID else "",
            stability_grade=w.STABILITY.index(w.stability(row["stability"])),
            stability_index=f"{row['stability']:.2f}" if w.known(row["stability"]) else "",
            action=w.plain(row["action"]),
        )
        for row in content.by_value
    ]
