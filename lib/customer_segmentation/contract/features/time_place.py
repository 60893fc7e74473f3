"""Time and place: when in the day, the week and the year, and where a customer buys."""

from customer_segmentation.contract.features.feature import Feature, ratio, share


def _of_lines(part: str, meaning: str, high: str, low: str) -> Feature:
    return Feature(
        name=f"{part}_share",
        family="time_place",
        unit="share",
        meaning=meaning,
        formula=share(f"{part}_lines", "lines"),
        high=high,
        low=low,
    )


TIME_PLACE = (
    _of_lines(
        "weekend", "Share of purchase lines on Saturday or Sunday (local time).", "weekend shopper", "weekday shopper"
    ),
    _of_lines(
        "night", "Share of purchase lines from 0 to 6 o'clock (local time).", "night shopper", "no night shopper"
    ),
    _of_lines(
        "morning",
        "Share of purchase lines from 6 to 12 o'clock (local time).",
        "morning shopper",
        "not in the morning",
    ),
    _of_lines(
        "afternoon",
        "Share of purchase lines from 12 to 18 o'clock (local time).",
        "afternoon shopper",
        "not in the afternoon",
    ),
    _of_lines(
        "evening",
        "Share of purchase lines from 18 to 24 o'clock (local time).",
        "evening shopper",
        "not in the evening",
    ),
    _of_lines("spring", "Share of purchase lines from March to May.", "buys in spring", "not in spring"),
    _of_lines("summer", "Share of purchase lines from June to August.", "buys in summer", "not in summer"),
    _of_lines("autumn", "Share of purchase lines from September to November.", "buys in autumn", "not in autumn"),
    _of_lines("winter", "Share of purchase lines from December to February.", "buys in winter", "not in winter"),
    Feature(
        name="distinct_channels",
        family="time_place",
        type="bigint",
        unit="channels",
        meaning="Distinct channels purchased through; 0 where unknown.",
        formula="channels",
        high="many channels",
        low="one channel",
    ),
    Feature(
        name="main_channel_share",
        family="time_place",
        unit="share",
        meaning="Share of the channel with the most gross purchases in those of all known channels; null without any.",
        formula=ratio("channel_top", "channel_spend"),
        high="true to a channel",
        low="mixes channels",
    ),
    Feature(
        name="distinct_stores",
        family="time_place",
        type="bigint",
        unit="stores",
        meaning="Distinct stores purchased at; 0 where unknown.",
        formula="stores",
        shape="skewed",
        high="many stores",
        low="one store",
    ),
    Feature(
        name="main_store_share",
        family="time_place",
        unit="share",
        meaning="Share of the store with the most gross purchases in those of all known stores; null without any.",
        formula=ratio("store_top", "store_spend"),
        high="true to a store",
        low="mixes stores",
    ),
)
