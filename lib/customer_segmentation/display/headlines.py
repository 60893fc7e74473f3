"""Parts that open every page: headline figures and the rejected lines by reason."""

from collections.abc import Mapping
from dataclasses import dataclass

from customer_segmentation.display import formatting


@dataclass(frozen=True)
class Headline:
    """A figure at the top of a page, with a line that places it."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class RejectionReason:
    """A reason with the lines rejected for it; `part` is their share of all rejected lines, 0 to 1."""

    reason: str
    lines: str
    share: str
    part: float


def rejection_reasons(by_reason: Mapping[str, int] | None, rejected: int | None) -> list[RejectionReason]:
    """Rejected lines by reason, most frequent first. A line counts under each of its reasons.

    Args:
        by_reason: lines by the code of the reason.
        rejected: rejected lines.
    """
    ranked = sorted((by_reason or {}).items(), key=lambda item: (-item[1], item[0]))
    return [
        RejectionReason(
            formatting.capitalized(formatting.humanized(code)),
            formatting.count(lines),
            formatting.share(lines / rejected if rejected else None),
            min(lines / rejected, 1.0) if rejected else 0.0,
        )
        for code, lines in ranked
    ]
