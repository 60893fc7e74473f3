"""The RFM grid's scores and segments, in the order in which people are shown them."""

from customer_segmentation.report.content import ReportContent, Row

SCORES = (1, 2, 3, 4, 5)

RFM_SEGMENTS = (
    "Champions",
    "Loyal",
    "Potential Loyalist",
    "New",
    "Promising",
    "Need Attention",
    "About To Sleep",
    "At Risk",
    "Can't Lose",
    "Hibernating",
    "Lost",
)
"""From the best customers to the ones gone."""


def rfm_rows(content: ReportContent) -> list[Row]:
    """The RFM segments from the best customers to the ones gone; unknown ones after them, largest first."""
    place = {name: position for position, name in enumerate(RFM_SEGMENTS)}
    return sorted(
        content.rfm_segments,
        key=lambda row: (place.get(row["rfm_segment"], len(place)), -row["customers"], str(row["rfm_segment"])),
    )
