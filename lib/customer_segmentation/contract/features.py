"""The features of a customer, each declared once.

The declaration makes the comments of the `customer_features` table, the names that a
configuration may use for clustering, and the words in which a segment is told apart.
How a feature is computed is the business of `customer_segmentation.features`.
"""

from dataclasses import dataclass
from typing import Literal

Shape = Literal["skewed", "even"]
"""How a feature is prepared for clustering: a skewed one by its signed logarithm, an even one as it is."""


@dataclass(frozen=True)
class Feature:
    """A number per customer.

    name: column in `customer_features`.
    type: Spark SQL type.
    unit: of the value, for people ("days", "money", "share").
    meaning: one sentence, edge cases included.
    shape: how the values spread, see `Shape`.
    high, low: what people call a customer with much or little of it.
    """

    name: str
    type: str
    unit: str
    meaning: str
    shape: Shape
    high: str
    low: str

    @property
    def comment(self) -> str:
        """The column comment: the meaning with its unit."""
        return f"{self.meaning} Unit: {self.unit}."


FEATURES: tuple[Feature, ...] = (
    Feature(
        "recency_days",
        "int",
        "days",
        "Whole days from the last purchase to the as-of date.",
        "skewed",
        "long inactive",
        "recently active",
    ),
    Feature(
        "frequency",
        "bigint",
        "orders",
        "Distinct orders with a purchase, the first one included; an order given back whole is none.",
        "skewed",
        "frequent",
        "infrequent",
    ),
    Feature(
        "monetary",
        "decimal(18,2)",
        "money",
        "Net spend: purchases less returns; can be negative.",
        "skewed",
        "high spend",
        "low spend",
    ),
    Feature(
        "tenure_days",
        "int",
        "days",
        "Whole days from the first purchase to the as-of date.",
        "skewed",
        "long-standing",
        "newly won",
    ),
    Feature(
        "active_days",
        "bigint",
        "days",
        "Distinct days with a purchase.",
        "skewed",
        "many shopping days",
        "few shopping days",
    ),
    Feature(
        "days_between_orders",
        "double",
        "days",
        "Mean gap between days with a purchase; null for a customer with one such day.",
        "skewed",
        "long gaps",
        "short gaps",
    ),
    Feature(
        "average_order_value",
        "double",
        "money",
        "Gross purchases by orders with a purchase.",
        "skewed",
        "big orders",
        "small orders",
    ),
    Feature(
        "items_per_order",
        "double",
        "items",
        "Purchased quantity by orders with a purchase.",
        "skewed",
        "full baskets",
        "small baskets",
    ),
    Feature(
        "distinct_products",
        "bigint",
        "products",
        "Distinct products purchased.",
        "skewed",
        "wide range",
        "narrow range",
    ),
    Feature(
        "distinct_categories",
        "bigint",
        "categories",
        "Distinct product categories purchased.",
        "even",
        "many categories",
        "few categories",
    ),
    Feature(
        "discount_rate",
        "double",
        "share",
        "Discounts by purchases at list price, 0 to 1; 0 where nothing has a price.",
        "even",
        "discount driven",
        "full price",
    ),
    Feature(
        "return_rate",
        "double",
        "share",
        "Value returned by gross purchases, those given back whole included; above 1 where more came back than was "
        "bought in the data's time.",
        "skewed",
        "returns much",
        "returns little",
    ),
    Feature(
        "recent_spend_share",
        "double",
        "share",
        "Share of gross purchases made in the last 90 days.",
        "even",
        "growing",
        "fading",
    ),
    Feature(
        "weekend_share",
        "double",
        "share",
        "Share of purchase lines on Saturday or Sunday (UTC).",
        "even",
        "weekend shopper",
        "weekday shopper",
    ),
    Feature(
        "contacts",
        "bigint",
        "events",
        "Engagement events that are not responses (mailings, e-mails); 0 without engagement data.",
        "skewed",
        "often contacted",
        "rarely contacted",
    ),
    Feature(
        "responses",
        "bigint",
        "events",
        "Engagement events configured as responses (redemptions, clicks); 0 without engagement data.",
        "skewed",
        "responds to campaigns",
        "ignores campaigns",
    ),
)

FEATURE_BY_NAME: dict[str, Feature] = {feature.name: feature for feature in FEATURES}
