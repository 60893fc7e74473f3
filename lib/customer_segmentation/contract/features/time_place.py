"""Time and place: when in the day, the week and the year, and where a customer buys."""

from customer_segmentation.contract.features.feature import Feature, ratio, share


def _of_lines(part: str, meaning: str, high: str, low: str) -> Feature:
    return Feature(f"{part}_share", "double", "share", meaning, share(f"{part}_lines", "lines"), "even", high, low)


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
        "distinct_channels",
        "bigint",
        "channels",
        "Distinct channels purchased through; 0 where unknown.",
        "channels",
        "even",
        "many channels",
        "one channel",
    ),
    Feature(
        "main_channel_share",
        "double",
        "share",
        "Share of the channel with the most gross purchases in those of all known channels; null without any.",
        ratio("channel_top", "channel_spend"),
        "even",
        "true to a channel",
        "mixes channels",
    ),
    Feature(
        "distinct_stores",
        "bigint",
        "stores",
        "Distinct stores purchased at; 0 where unknown.",
        "stores",
        "skewed",
        "many stores",
        "one store",
    ),
    Feature(
        "main_store_share",
        "double",
        "share",
        "Share of the store with the most gross purchases in those of all known stores; null without any.",
        ratio("store_top", "store_spend"),
        "even",
        "true to a store",
        "mixes stores",
    ),
)
