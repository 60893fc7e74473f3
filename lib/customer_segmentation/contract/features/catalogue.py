"""The features as a page of the documentation; run as a module, it prints the page."""

from customer_segmentation.contract.features import FAMILIES

_TITLES = {
    "rfm": "RFM",
    "cadence": "Cadence",
    "basket": "Basket and range",
    "price": "Price and returns",
    "time_place": "Time and place",
    "trend": "Trend",
    "engagement": "Engagement",
    "psychographics": "Psychographics",
}
_HEAD = """# Features

What `customer_features` has of every customer with a purchase before the as-of date, or of those who bought in the last
`features.active_within` days, by family. Only what happened before that date enters. Days and hours are those of the
run's `timezone`. The column *from* names what it is computed from. Beside these there are the scores of RFM (`r_score`
to `rfm_segment`), [what a customer is worth](value.md), and `top_categories` and `response_by_channel`, see the end.

A ratio that rests on little is *shrunk towards* that over all customers, as if so many more lines, orders or
campaigns had been seen at their rate: (n x + w m) / (n + w) for a ratio x of n with the mean m and the weight w.
`docs/decisions` says [why](decisions/feature-baselines.md).
"""
_FOOT = """## Not a number

`top_categories` names the three categories with most gross purchases, the largest first, with their shares.
`response_by_channel` has the contacts, the responses and their rate, at most 1, by known channel of the engagement
events.
They are for profiles and selections; clusterings take numbers.
"""


def catalogue() -> str:
    """The catalogue as Markdown."""
    parts = [_HEAD]
    for family, features in FAMILIES.items():
        parts.append(
            f"## {_TITLES[family]} (`{family}`)\n\n| feature | unit | meaning | from |\n| --- | --- | --- | --- |"
        )
        parts.append("\n".join(f"| `{f.name}` | {f.unit} | {f.meaning} | {f.source} |" for f in features) + "\n")
    parts.append(_FOOT)
    return "\n".join(parts)


if __name__ == "__main__":
    print(catalogue(), end="")
