"""Engagement: how a customer was contacted, and how they answered."""

from customer_segmentation.contract.features.feature import Feature, ratio

ENGAGEMENT = (
    Feature(
        "contacts",
        "bigint",
        "events",
        "Engagement events that are not responses (mailings, e-mails); 0 without engagement data.",
        "contacts",
        "skewed",
        "often contacted",
        "rarely contacted",
        "engagement",
    ),
    Feature(
        "responses",
        "bigint",
        "events",
        "Engagement events configured as responses (redemptions, clicks); 0 without engagement data.",
        "responses",
        "skewed",
        "responds to campaigns",
        "ignores campaigns",
        "engagement",
    ),
    Feature(
        "response_rate",
        "double",
        "ratio",
        "Responses by contacts; null for a customer who was not contacted.",
        ratio("responses", "contacts"),
        "skewed",
        "answers contacts",
        "does not answer",
        "engagement",
    ),
    Feature(
        "days_since_response",
        "int",
        "days",
        "Whole days from the last response to the as-of date; null without one.",
        "date_diff(as_of, last_response_day)",
        "skewed",
        "long silent",
        "answered lately",
        "engagement",
    ),
)
