"""Value: whether a customer still buys, and what the time to come is expected to bring.

Unlike the other families these come from a fitted model, see `customer_segmentation.value`, and their names from the
configured horizons.
"""

from collections.abc import Sequence

from customer_segmentation.contract.features.feature import Feature

PROBABILITY_ACTIVE = "probability_active"
PRESENT_VALUE = "present_value"
VALUE_RANK = "value_rank"
RANKS = 100
"""Ranks of value, each with about the same number of customers."""
_SOURCE = "the purchase and the spend model"


def value_features(horizons: Sequence[int]) -> tuple[Feature, ...]:
    """The value features for horizons in days, ascending; formulas are empty, as a model makes them."""
    features = [
        _feature(
            PROBABILITY_ACTIVE,
            "Probability that the customer has not stopped buying for good, given when and how often it bought.",
            unit="probability",
            words=("still buying", "stopped buying"),
        )
    ]
    for days in horizons:
        for what, unit in (("orders", "purchase days"), ("spend", "money")):
            noun = "days with a purchase" if what == "orders" else "net spend"
            name = expected(what, days)
            words = (f"much {what} to come", f"little {what} to come")
            features += [
                _feature(name, f"Expected {noun} of the customer in the next {days} days.", unit=unit, words=words),
                _feature(
                    f"{name}_low",
                    f"Lower end of the predictive interval of the customer's own {noun} in the next {days} days.",
                    unit=unit,
                ),
                _feature(
                    f"{name}_high",
                    f"Upper end of the predictive interval of the customer's own {noun} in the next {days} days.",
                    unit=unit,
                ),
            ]
    return (
        *features,
        _feature(
            PRESENT_VALUE,
            f"Expected net spend of the customer in the next {horizons[-1]} days, discounted to the as-of date.",
            unit="money",
            words=("high future value", "low future value"),
        ),
        _feature(
            VALUE_RANK,
            f"Rank of the present value among the customers that the model was fitted to, 1 the highest to {RANKS}, "
            "by the share of them whose value is higher; equal values have equal ranks.",
            unit="rank",
            type_="int",
            words=("low future value", "high future value"),
        ),
    )


def expected(what: str, days: int) -> str:
    """The column of expected orders or spend in so many days."""
    return f"expected_{what}_{days}d"


def _feature(
    name: str, meaning: str, *, unit: str, type_: str = "double", words: tuple[str, str] = ("", "")
) -> Feature:
    return Feature(
        name=name,
        family="value",
        type=type_,
        unit=unit,
        meaning=meaning,
        formula="",
        shape="even" if unit in {"probability", "rank"} else "skewed",
        high=words[0],
        low=words[1],
        source=_SOURCE,
    )
