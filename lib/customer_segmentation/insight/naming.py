"""Names and actions for segments, from their profiles and evidence alone: a cluster's number never enters.

A name says what a segment brings, whether it is active, and what sets it apart. An activity word rests on what its
customers are expected to do, see `insight.activity`, never on a quintile. The action comes from the same rule.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from customer_segmentation.config.schema import Segments
from customer_segmentation.config.segment_rules import DEFAULT_RULES, Activity, Frequency, SegmentRule, Value
from customer_segmentation.contract.columns import NOISE_ID, NOISE_NAME
from customer_segmentation.contract.features import feature_named
from customer_segmentation.insight.activity import Evidence
from customer_segmentation.insight.profiles import Differentiator, Profile

NOISE_ACTION = "No campaign fits them all: look at them one by one, the biggest spenders first."

MAX_LENGTH = 45
"""Letters of a name with a distinction."""
MATERIAL = 0.5
"""Standard deviations from the mean of all customers from which a feature is worth a word: a medium effect in Cohen's
(1988) terms."""
TOLERANCE = 0.15
"""Share by which a limit may be missed by a segment that bears the word already."""

_ONE_TIME = 0.9
"""Share of the customers with a single day with a purchase from which the segment's are one-time buyers."""
_FREQUENT, _RARE = 1.5, 0.67
"""Days with a purchase per customer, by those of all, from which they are frequent, and up to which they are rare."""
_VALUE_WORDS: Mapping[Value, str] = {"high": "high-value", "mid": "", "low": "low-value"}
_DIFFERS = 1.1
"""Times as much per customer from which one of two segments spends or visits more ..."""
_STILL_DIFFERS = 1 + (_DIFFERS - 1) * (1 - TOLERANCE)
"""... and for which its name goes on saying so."""

_SAID_BY_THE_RULES = frozenset({"rfm", "trend", "value"})
"""Families of features whose words speak of value, frequency or activity, which are the rules' to say ..."""
_SAYS_ACTIVITY = frozenset(
    {"overdue_ratio", "days_to_next_order", "days_since_response", "days_between_orders", "expected_gap"}
)
"""... and such features of other families."""


@dataclass(frozen=True)
class SegmentName:
    """What a segment is called, what is suggested to do with it, and how active its customers are."""

    name: str
    action: str
    activity: Activity


def name_segments(
    profiles: Sequence[Profile],
    evidence: Sequence[Evidence],
    rules: Segments,
    *,
    kept: Mapping[int, str] | None = None,
    own: Mapping[int, str] | None = None,
) -> dict[int, SegmentName]:
    """A distinct name, an action and an activity for every segment by its id; noise has its own, see `with_noise`.

    Args:
        profiles: of the segments; noise among them counts in what customers spend on the whole, and gets no name.
        evidence: of their activity, from the same customers; a segment without any is neither active nor inactive.
        rules: the `segments` section of a configuration.
        kept: names that segments had before, by the ids they have now. One stays as long as its words are still true:
            its value and frequency within `TOLERANCE` of their limits, its activity exactly, and so what sets it apart
            from all customers or, as higher spend does, from the segments that would otherwise bear the same name. A
            name that no rule makes, such as a person's own, is not kept: give it in `own`.
        own: a person's names by id; they stand whatever the rules say, and no other segment gets one of them.
    """
    kept, own = kept or {}, own or {}
    named = [profile for profile in profiles if profile.segment_id != NOISE_ID]
    descriptions = _descriptions(profiles, {each.segment_id: each for each in evidence}, rules)
    purchase_days = {each.segment_id: each.purchase_days for each in evidence}
    names = {profile.segment_id: own[profile.segment_id] for profile in named if profile.segment_id in own}
    heads = {segment: each.head_of(kept.get(segment, "")) for segment, each in descriptions.items()}

    def namesakes(profile: Profile) -> list[Profile]:
        head, others = heads[profile.segment_id], (other for other in named if other is not profile)
        return [other for other in others if other.segment_id not in own and heads[other.segment_id] == head]

    for profile in named:
        name, described = kept.get(profile.segment_id, ""), descriptions[profile.segment_id]
        apart = _comparisons(profile, namesakes(profile), purchase_days, times=_STILL_DIFFERS)
        still_true = profile.segment_id not in names and described.bears(name, {*_words(profile), *apart})
        if still_true and name not in {*names.values(), *own.values()}:
            names[profile.segment_id] = name
    unnamed = sorted(
        (profile for profile in named if profile.segment_id not in names),
        key=lambda p: (-p.revenue, -p.customers, p.segment_id),
    )
    heads |= {profile.segment_id: descriptions[profile.segment_id].head for profile in unnamed}
    for profile in unnamed:
        taken = {*names.values(), *own.values()}
        candidates = _candidates(heads[profile.segment_id], profile, namesakes(profile), purchase_days)
        names[profile.segment_id] = next(name for name in candidates if name not in taken)
    return {
        segment: SegmentName(name, descriptions[segment].rule.action, descriptions[segment].activity)
        for segment, name in sorted(names.items())
    }


def with_own_names(names: Mapping[int, str], own: Mapping[int, str]) -> dict[int, str]:
    """The names with a person's own in their place; another segment of such a name gets a number behind it."""
    told = {**names, **own}
    taken = {name.casefold() for name in told.values()}
    reserved = {name.casefold() for name in own.values()}
    for segment in sorted(names.keys() - own.keys()):
        if names[segment].casefold() in reserved:
            numbered = (f"{names[segment]} {number}" for number in count(2))
            told[segment] = next(name for name in numbered if name.casefold() not in taken)
            taken.add(told[segment].casefold())
    return told


def with_noise(names: Mapping[int, str]) -> dict[int, str]:
    """The names with that of noise, which a model may assign although its fit had none."""
    return {NOISE_ID: NOISE_NAME, **names}


@dataclass(frozen=True)
class _Description:
    """What the rules say of a segment.

    rule: the first that holds.
    head: the name without what sets the segment apart.
    true_heads: the heads that are true within the tolerance.
    """

    activity: Activity
    rule: SegmentRule
    head: str
    true_heads: frozenset[str]

    def head_of(self, name: str) -> str:
        """The head of a name that is true of the segment; that of the rules where the name is not."""
        head = re.sub(r" [0-9]+$", "", name.partition(", ")[0])
        return head if head in self.true_heads else self.head

    def bears(self, name: str, distinctions: Collection[str]) -> bool:
        """Whether the words of a name are true of the segment, of which these distinctions are."""
        head, _, distinction = name.partition(", ")
        return re.sub(r" [0-9]+$", "", head) in self.true_heads and (not distinction or distinction in distinctions)


def _descriptions(
    profiles: Sequence[Profile], evidence: Mapping[int, Evidence], rules: Segments
) -> dict[int, _Description]:
    customers = sum(profile.customers for profile in profiles)
    revenue = sum(float(profile.revenue) for profile in profiles)
    tried = (*rules.rules, *DEFAULT_RULES)
    descriptions = {}
    for profile in profiles:
        seen = evidence.get(profile.segment_id, Evidence(profile.segment_id, profile.customers))
        spend = float(profile.revenue) / profile.customers * customers / revenue if revenue > 0 else 1.0
        values, frequencies = _values(spend, rules), _frequencies(seen)
        heads = {
            (value, frequency): _head(rule, value)
            for value in values
            for frequency in frequencies
            for rule in [_first(tried, seen.activity, value, frequency)]
        }
        descriptions[profile.segment_id] = _Description(
            seen.activity,
            _first(tried, seen.activity, values[0], frequencies[0]),
            heads[values[0], frequencies[0]],
            frozenset(heads.values()),
        )
    return descriptions


def _first(rules: Sequence[SegmentRule], activity: Activity, value: Value, frequency: Frequency) -> SegmentRule:
    return next(rule for rule in rules if rule.holds(activity, value, frequency))


def _head(rule: SegmentRule, value: Value) -> str:
    words = rule.name if rule.value is not None else f"{_VALUE_WORDS[value]} {rule.name}".strip()
    return words[0].upper() + words[1:]


def _values(spend: float, rules: Segments) -> list[Value]:
    """The words for a spend per customer, 1 for that of all: the right one, then those within the tolerance."""
    found: list[Value] = []
    for slack in (0.0, -TOLERANCE, TOLERANCE):
        if spend >= rules.high_value_from * (1 + slack):
            found.append("high")
        elif spend <= rules.low_value_up_to * (1 + slack):
            found.append("low")
        else:
            found.append("mid")
    return list(dict.fromkeys(found))


def _frequencies(evidence: Evidence) -> list[Frequency]:
    """The words for how often customers buy: the right one, then those within the tolerance."""
    ratio = evidence.purchase_days / evidence.overall_purchase_days
    found: list[Frequency] = []
    for slack in (0.0, -TOLERANCE, TOLERANCE):
        if evidence.one_time >= min(1.0, _ONE_TIME * (1 + slack / 5)):
            found.append("one_time")
        elif ratio >= _FREQUENT * (1 + slack):
            found.append("frequent")
        elif ratio <= _RARE * (1 + slack):
            found.append("rare")
        else:
            found.append("usual")
    return list(dict.fromkeys(found))


def _candidates(
    head: str, profile: Profile, namesakes: Sequence[Profile], purchase_days: Mapping[int, float]
) -> Iterator[str]:
    """Names for a segment, the best first: without end, so that one is free."""
    material = [each for each in profile.differentiators if abs(each.effect) >= MATERIAL and _word(each, each.effect)]
    for each in sorted(material, key=lambda each: (-_contrast(each, namesakes), each.feature)):
        name = f"{head}, {_word(each, each.effect)}"
        if len(name) <= MAX_LENGTH:
            yield name
    if not namesakes:
        yield head
    for words in _comparisons(profile, namesakes, purchase_days, times=_DIFFERS):
        yield f"{head}, {words}"
    yield head
    number = 2
    while True:
        yield f"{head} {number}"
        number += 1


def _comparisons(
    profile: Profile, namesakes: Sequence[Profile], purchase_days: Mapping[int, float], *, times: float
) -> Iterator[str]:
    """What sets a segment apart from all of its namesakes: it spends or visits so many times more, or less."""
    if not namesakes:
        return
    for more, less, amount in (
        ("higher spend", "lower spend", lambda p: float(p.revenue) / p.customers),
        ("more visits", "fewer visits", lambda p: purchase_days.get(p.segment_id, 1.0)),
    ):
        here, elsewhere = amount(profile), [amount(other) for other in namesakes]
        if here >= times * max(elsewhere) > 0:
            yield more
        if 0 < here * times <= min(elsewhere):
            yield less


def _words(profile: Profile) -> set[str]:
    """What is still true of a segment that bore it before."""
    limit = MATERIAL * (1 - TOLERANCE)
    return {_word(each, each.effect) for each in profile.differentiators if abs(each.effect) >= limit}


def _contrast(differentiator: Differentiator, others: Sequence[Profile]) -> float:
    """How much further a segment goes than its namesakes do on the mean, in the direction of its effect."""
    effects = [
        each.effect for other in others for each in other.differentiators if each.feature == differentiator.feature
    ]
    mean = sum(effects) / len(effects) if effects else 0.0
    return (differentiator.effect - mean) * (1 if differentiator.effect > 0 else -1)


def _word(differentiator: Differentiator, effect: float) -> str:
    """What people call customers with much, or little, of a feature; empty where the rules say it."""
    feature = feature_named(differentiator.feature)
    if feature is None:
        attribute, is_value, value = differentiator.feature.partition("=")
        if is_value:
            return f"{attribute.replace('_', ' ')} {value}" if effect >= 0 else ""
        return f"{'high' if effect >= 0 else 'low'} {differentiator.feature.replace('_', ' ')}"
    if feature.family in _SAID_BY_THE_RULES or feature.name in _SAYS_ACTIVITY:
        return ""
    return feature.high if effect >= 0 else feature.low
