"""Names and actions for segments, from their profiles alone: a cluster's number never enters."""

from collections import Counter
from collections.abc import Mapping

from customer_segmentation.contract.columns import NOISE_ID, NOISE_NAME
from customer_segmentation.contract.features import FEATURE_BY_NAME
from customer_segmentation.features.rfm_scores import GRID_SCORES, SEGMENT_OF_CELL
from customer_segmentation.insight.profiles import Profile

_RFM_FEATURES = {"recency_days", "frequency", "monetary"}

ACTIONS: dict[str, str] = {
    "Champions": "Reward them, give early access, ask for referrals and reviews.",
    "Loyal": "Offer a loyalty tier and related products; ask for their opinion.",
    "Potential Loyalist": "Invite into the loyalty programme; recommend a second category.",
    "New": "Welcome series; make the second order easy within 30 days.",
    "Promising": "Small incentive for the next order; show the range.",
    "Need Attention": "Limited-time offer on what they bought; remind before they drift off.",
    "About To Sleep": "Win attention now: popular products, a modest discount.",
    "At Risk": "Personal win-back with a strong offer; ask what went wrong.",
    "Can't Lose": "Call or write in person; best offer, before a competitor does.",
    "Hibernating": "Cheap reactivation only: seasonal mail, bestsellers.",
    "Lost": "Stop paid contact; one last reactivation, then leave in peace.",
}


NOISE_ACTION = "No campaign fits them all: look at them one by one, the biggest spenders first."


def base_name(profile: Profile) -> str:
    """The RFM grid's name for the segment's mean scores."""
    cell = "".join(str(min(GRID_SCORES, max(1, int(score + 0.5)))) for score in profile.rfm)
    return SEGMENT_OF_CELL[cell]


def action(profile: Profile) -> str:
    """The marketing action suggested for the segment, or for noise."""
    if profile.segment_id == NOISE_ID:
        return NOISE_ACTION
    return ACTIONS[base_name(profile)]


def segment_names(profiles: list[Profile]) -> dict[int, str]:
    """A distinct name for every segment by its id; noise has its own, see `with_noise`.

    A segment takes the grid's name for its mean scores. Where several take the same one, each adds the words for
    what sets it apart from its namesakes, then its scores, then its rank by revenue.
    """
    profiles = [profile for profile in profiles if profile.segment_id != NOISE_ID]
    names = {profile.segment_id: base_name(profile) for profile in profiles}
    for name, count in Counter(names.values()).items():
        if count > 1:
            namesakes = [profile for profile in profiles if names[profile.segment_id] == name]
            for profile in namesakes:
                names[profile.segment_id] = f"{name}, {_distinction(profile, namesakes)}"
    names = _with_endings(names, {profile.segment_id: _scores(profile) for profile in profiles})
    by_revenue = sorted(profiles, key=lambda p: (-p.revenue, -p.customers, p.segment_id))
    return _with_endings(names, {profile.segment_id: f" no. {rank}" for rank, profile in enumerate(by_revenue, 1)})


def with_noise(names: Mapping[int, str]) -> dict[int, str]:
    """The names with that of noise, which a model may assign although its fit had none."""
    return {NOISE_ID: NOISE_NAME, **names}


def _with_endings(names: dict[int, str], endings: dict[int, str]) -> dict[int, str]:
    """The names, with their endings where a name occurs more than once."""
    repeated = {name for name, count in Counter(names.values()).items() if count > 1}
    return {segment: name + endings[segment] if name in repeated else name for segment, name in names.items()}


def _distinction(profile: Profile, namesakes: list[Profile]) -> str:
    """The word for the feature in which the profile differs most from the mean of its namesakes."""
    effects = {d.feature: d.effect for d in profile.differentiators}
    mean = {
        feature: sum(d.effect for p in namesakes for d in p.differentiators if d.feature == feature) / len(namesakes)
        for feature in effects
    }
    candidates = [feature for feature in effects if feature not in _RFM_FEATURES] or list(effects)
    feature = max(sorted(candidates), key=lambda f: abs(effects[f] - mean[f]))
    is_high = effects[feature] >= mean[feature]
    if feature not in FEATURE_BY_NAME:
        return f"{'high' if is_high else 'low'} {feature.replace('_', ' ')}"
    return FEATURE_BY_NAME[feature].high if is_high else FEATURE_BY_NAME[feature].low


def _scores(profile: Profile) -> str:
    r, f, m = (f"{score:.1f}" for score in profile.rfm)
    return f" (R {r}, F {f}, M {m})"
