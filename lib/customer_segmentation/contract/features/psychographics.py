"""Psychographics as far as behaviour shows them: measured from purchases and responses, not asked."""

from customer_segmentation.contract.features.feature import Feature, ratio, shrunk
from customer_segmentation.contract.features.price import PRIOR_LINES

PRIOR_CAMPAIGNS = 2
"""Campaigns answered as often as all customers do that count beside a customer's own."""

_EXPECTED = "(coalesce(expected_discounted_lines, 0D) + (lines - coalesce(category_lines, 0)) * shop_discounted_share)"

PSYCHOGRAPHICS = (
    Feature(
        name="price_sensitivity",
        family="psychographics",
        unit="index",
        meaning=(
            "Measured from behaviour: the customer's purchase lines with a discount, divided by how many there would "
            "be if, in each category, the customer bought on discount as often as all customers do (a line without a "
            "category counts as any line); 10 lines at the rate over all customers are added to both. Above 1 seeks "
            "discounts; null where nobody has a discount."
        ),
        formula=ratio(
            f"(discounted_lines + {PRIOR_LINES} * shop_discounted_share)",
            f"({_EXPECTED} + {PRIOR_LINES} * shop_discounted_share)",
        ),
        shape="skewed",
        high="price sensitive",
        low="price insensitive",
    ),
    Feature(
        name="variety_seeking",
        family="psychographics",
        unit="share",
        meaning=(
            "Measured from behaviour: share of the products of an order that are not in another order of the "
            "customer, on average over all pairs of orders, so whatever their number: 1 where nothing is bought again; "
            "null with fewer than two orders with a product."
        ),
        formula=(
            "if(orders_with_product > 1, 1 - "
            + ratio("product_order_pairs", "((orders_with_product - 1) * product_orders)")
            + ", NULL)"
        ),
        high="seeks variety",
        low="buys the same again",
        source="transactions; rarefaction to two orders: Hurlbert 1971, by samples as in Colwell, Mao and Chang 2004",
    ),
    Feature(
        name="brand_loyalty",
        family="psychographics",
        unit="share",
        meaning=(
            "Measured from behaviour: share of the brand with the most gross purchases in those of all known brands, "
            "shrunk towards that over all customers, which has the weight of 10 purchase lines; null without any."
        ),
        formula=shrunk(
            "brand_top", "brand_spend", seen="lines", mean="shop_brand_top_share", weight=PRIOR_LINES, or_null=True
        ),
        high="loyal to a brand",
        low="switches brands",
    ),
    Feature(
        name="promotion_response",
        family="psychographics",
        unit="share",
        meaning=(
            "Measured from behaviour: campaigns answered divided by campaigns received, shrunk towards the rate over "
            "all customers, which has the weight of 2 campaigns; contacts count where events name no campaign; null "
            "for a customer who was not contacted."
        ),
        formula=shrunk("answered", "received", mean="shop_response_rate", weight=PRIOR_CAMPAIGNS, or_null=True),
        high="responds to promotions",
        low="unmoved by promotions",
        source="engagement",
    ),
)
