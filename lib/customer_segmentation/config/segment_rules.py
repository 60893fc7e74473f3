"""The rules that segments are named by where the configuration has none of its own: what they are called, what to do.

`conf/segments.yml` shows the same rules as settings; a test keeps the two equal.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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


def _rule(
    name: str,
    action: str,
    *,
    activity: Activity | None = None,
    value: Value | None = None,
    frequency: Frequency | None = None,
) -> SegmentRule:
    return SegmentRule(name=name, action=action, activity=activity, value=value, frequency=frequency)


DEFAULT_RULES: tuple[SegmentRule, ...] = (
    _rule(
        "lost one-time buyers",
        "Stop paid contact; leave them in the newsletter at most.",
        activity="lost",
        frequency="one_time",
    ),
    _rule(
        "high-value lost customers",
        "One last personal offer, then stop paid contact; ask why they left.",
        activity="lost",
        value="high",
    ),
    _rule("lost customers", "One last reactivation mail, then stop paid contact.", activity="lost"),
    _rule(
        "high-value lapsed customers",
        "Win them back in person with a strong offer; ask what went wrong.",
        activity="lapsed",
        value="high",
    ),
    _rule(
        "lapsed one-time buyers",
        "Cheap reactivation only: seasonal mail, bestsellers, a reason for a second order.",
        activity="lapsed",
        frequency="one_time",
    ),
    _rule(
        "lapsed frequent buyers",
        "Win-back offer on what they used to buy; find out what changed.",
        activity="lapsed",
        frequency="frequent",
    ),
    _rule("lapsed customers", "Win-back series with a modest offer; stop if nothing comes back.", activity="lapsed"),
    _rule(
        "high-value newcomers",
        "Personal welcome; early invitation into the loyalty programme.",
        activity="new",
        value="high",
    ),
    _rule("newcomers", "Welcome series; make the second order easy.", activity="new"),
    _rule(
        "high-value regulars",
        "Reward them, give early access, ask for referrals and reviews; no discounts needed.",
        activity="active",
        value="high",
        frequency="frequent",
    ),
    _rule(
        "regulars",
        "Offer a loyalty tier and related products; ask for their opinion.",
        activity="active",
        frequency="frequent",
    ),
    _rule(
        "active one-time buyers",
        "Make the second order easy: related products, a small incentive.",
        activity="active",
        frequency="one_time",
    ),
    _rule("active customers", "Recommend a further category; invite into the loyalty programme.", activity="active"),
    _rule(
        "one-time buyers",
        "Bring them to a second order: related products, a small incentive.",
        activity="mixed",
        frequency="one_time",
    ),
    _rule(
        "occasional buyers",
        "Give reasons to come more often: occasions, reminders, what is new.",
        activity="mixed",
        frequency="rare",
    ),
    _rule(
        "frequent buyers",
        "Remind them at their own rhythm; recommend what goes with their purchases.",
        activity="mixed",
        frequency="frequent",
    ),
    _rule("mid-value customers", "Show the range; try a bundle or a threshold for free delivery.", value="mid"),
    _rule("customers", "Show the range; test which offer makes them order more."),
)
"""Tried in this order; the first one whose conditions hold names the segment. The last one holds for all."""
