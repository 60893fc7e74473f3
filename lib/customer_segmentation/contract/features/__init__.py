"""The features of a customer by family, each declared once.

The declaration makes the comments of the `customer_features` table, the catalogue of the documentation, the names that
a configuration may use for clustering, and the words that segments are named by. Its formula is over what
`customer_segmentation.features` aggregates of a customer's orders.
"""

import re
from collections.abc import Mapping
from itertools import groupby

from customer_segmentation.contract.features.basket import BASKET
from customer_segmentation.contract.features.cadence import CADENCE
from customer_segmentation.contract.features.engagement import ENGAGEMENT
from customer_segmentation.contract.features.feature import Feature, Shape
from customer_segmentation.contract.features.price import PRICE
from customer_segmentation.contract.features.psychographics import PSYCHOGRAPHICS
from customer_segmentation.contract.features.rfm import RFM
from customer_segmentation.contract.features.time_place import TIME_PLACE
from customer_segmentation.contract.features.trend import TREND
from customer_segmentation.contract.features.value import value_features

__all__ = ["DEFINITION", "FAMILIES", "FEATURES", "FEATURE_BY_NAME", "Feature", "Shape", "feature_named"]

DEFINITION = 2
"""Goes up when the meaning of a feature changes: a model that learnt from the earlier one is then trained anew."""

FEATURES: tuple[Feature, ...] = (
    *(*RFM, *CADENCE, *BASKET, *PRICE),
    *(*TIME_PLACE, *TREND, *ENGAGEMENT, *PSYCHOGRAPHICS),
)

FAMILIES: Mapping[str, tuple[Feature, ...]] = {
    family: tuple(features) for family, features in groupby(FEATURES, key=lambda feature: feature.family)
}

FEATURE_BY_NAME: dict[str, Feature] = {feature.name: feature for feature in FEATURES}


def feature_named(name: str) -> Feature | None:
    """The declared feature of this name, or that of value in any horizon; None where there is none."""
    if name in FEATURE_BY_NAME:
        return FEATURE_BY_NAME[name]
    days = re.fullmatch(r"expected_[a-z]+_(\d+)d(?:_low|_high)?", name)
    of_value = value_features([int(days[1]) if days else 1])
    return next((feature for feature in of_value if feature.name == name), None)
