"""The features of a customer by family, each declared once.

The declaration makes the comments of the `customer_features` table, the catalogue of the documentation, the names that
a configuration may use for clustering, and the words that segments are named by. Its formula is over what
`customer_segmentation.features` aggregates of a customer's orders.
"""

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

__all__ = ["DEFINITION", "FAMILIES", "FEATURES", "FEATURE_BY_NAME", "Feature", "Shape"]

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
