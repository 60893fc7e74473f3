"""The rules that name segments: what they are called, what to do. Where no other holds, those of `segments.yml` do."""

from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from customer_segmentation.config.documents import parse

Activity = Literal["new", "active", "mixed", "lapsed", "lost"]
"""What a segment's customers are expected to do, see `insight.activity`; mixed claims neither."""

Value = Literal["high", "mid", "low"]
"""Net spend per customer of a segment beside that of all customers."""

Frequency = Literal["one_time", "rare", "usual", "frequent"]
"""Days with a purchase per customer of a segment beside those of all customers; one_time: nearly all have just one."""

_Words = Annotated[str, Field(min_length=1, max_length=60, description="text of 1 to 60 characters")]


class SegmentRule(BaseModel):
    """A name and an action for the segments that meet its conditions; a condition left out holds for all.

    The word for the value goes before the name, unless the rule has a condition on it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    activity: Activity | None = None
    value: Value | None = None
    frequency: Frequency | None = None
    name: _Words
    action: Annotated[str, Field(min_length=1, description="text, not empty")]

    def holds(self, activity: Activity, value: Value, frequency: Frequency) -> bool:
        """Whether a segment meets the conditions."""
        pairs = ((self.activity, activity), (self.value, value), (self.frequency, frequency))
        return all(condition in (None, actual) for condition, actual in pairs)


def _default_rules() -> tuple[SegmentRule, ...]:
    document = parse(files("customer_segmentation.config").joinpath("segments.yml").read_text(encoding="utf-8"))
    return tuple(SegmentRule(**rule) for rule in document["segments"]["rules"])


DEFAULT_RULES = _default_rules()
"""Tried in this order; the first one whose conditions hold names the segment. The last one holds for all."""
