"""Engagement: how a customer was contacted, and how they answered."""

from customer_segmentation.contract.features.feature import Feature, ratio

ENGAGEMENT = (
    Feature(
        name="contacts",
        family="engagement",
        type="bigint",
        unit="events",
        meaning="Engagement events that are not responses (mailings, e-mails); 0 without engagement data.",
        formula="contacts",
        shape="skewed",
        high="often contacted",
        low="rarely contacted",
        source="engagement",
    ),
    Feature(
        name="responses",
        family="engagement",
        type="bigint",
        unit="events",
        meaning="Engagement events configured as responses (redemptions, clicks); 0 without engagement data.",
        formula="responses",
        shape="skewed",
        high="responds to campaigns",
        low="ignores campaigns",
        source="engagement",
    ),
    Feature(
        name="response_rate",
        family="engagement",
        unit="ratio",
        meaning=(
            "Campaigns answered by campaigns received, 0 to 1; where events name no campaign, contacts answered by "
            "contacts; null for a customer who was not contacted."
        ),
        formula=ratio("answered", "received"),
        shape="skewed",
        high="answers contacts",
        low="does not answer",
        source="engagement",
    ),
    Feature(
        name="days_since_response",
        family="engagement",
        type="int",
        unit="days",
        meaning="Whole days from the last response to the as-of date; null without one.",
        formula="date_diff(as_of, last_response_day)",
        shape="skewed",
        high="long silent",
        low="answered recently",
        source="engagement",
    ),
)
