"""What sets a segment apart, in words and figures: its differentiators and its traits."""

from collections.abc import Mapping
from typing import Any

from customer_segmentation.contract.features import feature_named
from customer_segmentation.display.formatting import feature_value, humanized, known, plain_text, share

SMALL_EFFECT = 0.2
"""Standard deviations under which a difference is too small for words (Cohen 1988)."""

_MAX_DIGITS = 3


def notable_differentiators(row: Mapping[str, Any], limit: int) -> list[Mapping[str, Any]]:
    """The differentiators of a segment with more than a small effect, at most so many, strongest first."""
    rows = (each for each in row["differentiators"] or () if known(each["effect"]))
    return [each for each in rows if abs(each["effect"]) >= SMALL_EFFECT][:limit]


def differentiator_label(row: Mapping[str, Any]) -> str:
    """A differentiator in words: `recently active`."""
    name = row["feature"]
    size = row["effect"] if known(row["effect"]) else (row["value"] or 0) - (row["overall"] or 0)
    feature = feature_named(name)
    own = feature and (feature.high if size > 0 else feature.low)
    return own or f"{'high' if size > 0 else 'low'} {humanized(name)}"


def differentiator_values(row: Mapping[str, Any], currency: str = "", *, of: str = "overall") -> str:
    """The figures behind a differentiator: `3 days vs 25 overall`, in as many digits as the two differ in.

    Without the unit where the label has it already.

    Args:
        of: what the second figure is of.
    """
    name, here, overall = row["feature"], row["value"], row["overall"]
    feature = feature_named(name)
    unit = feature is not None and feature.unit not in differentiator_label(row)
    for digits in range(1, _MAX_DIGITS + 1):
        left = feature_value(name, here, currency, digits=digits, unit=unit)
        right = feature_value(name, overall, currency, digits=digits, unit=False)
        if left.split(" ")[0] != right:
            break
    return f"{left} vs {right} {of}"


def describe_reason(row: Mapping[str, Any], currency: str = "") -> str:
    """A frequent driver in words and figures: `recently active (3 days vs 25 in the next segment), for 64%`."""
    effect = 1.0 if row["direction"] == "high" else -1.0
    compared = {**row, "effect": effect, "value": row["segment_value"], "overall": row["other_value"]}
    values = differentiator_values(compared, currency, of="in the next segment")
    return f"{differentiator_label(compared)} ({values}), for {share(row['share'], 0)}"


def describe_differentiator(row: Mapping[str, Any], currency: str = "") -> str:
    """A differentiator in words and figures: `recently active (3 days vs 25 overall)`."""
    return f"{differentiator_label(row)} ({differentiator_values(row, currency)})"


def describe_activity(row: Mapping[str, Any]) -> str:
    """What a segment's customers are expected to do: `38% expected to buy within 90 days; 64% overdue`.

    Empty where it is not known, as in the tables of earlier releases.
    """
    parts = []
    if known(row.get("expected_buyer_share")):
        parts.append(
            f"{share(row['expected_buyer_share'], 0)} expected to buy within {row['expected_within_days']} days"
        )
    if known(row.get("overdue_share")):
        parts.append(f"{share(row['overdue_share'], 0)} overdue")
    return "; ".join(parts)


def describe_trait(row: Mapping[str, Any]) -> str:
    """A trait in words: `age 35-44: 31% vs 24% overall`."""
    for digits in range(_MAX_DIGITS + 1):
        here, overall = share(row["share"], digits), share(row["overall"], digits)
        if here != overall:
            break
    return f"{humanized(row['attribute'])} {plain_text(row['value'])}: {here} vs {overall} overall"
