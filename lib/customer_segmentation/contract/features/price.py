"""Price and returns: what a customer pays in relation to the list price, and what comes back."""

from customer_segmentation.contract.features.feature import Feature, ratio, share

PRICE = (
    Feature(
        "discount_rate",
        "double",
        "share",
        "Discounts by purchases at list price, 0 to 1; 0 where nothing has a price.",
        share("discounts", "gross + discounts"),
        "even",
        "discount driven",
        "full price",
    ),
    Feature(
        "discounted_share",
        "double",
        "share",
        "Share of purchase lines with a discount.",
        share("discounted_lines", "lines"),
        "even",
        "buys on offer",
        "ignores offers",
    ),
    Feature(
        "coupon_rate",
        "double",
        "share",
        "Share of orders in which a coupon was used; 0 where the source has none.",
        share("coupon_orders", "orders"),
        "skewed",
        "uses coupons",
        "no coupons",
    ),
    Feature(
        "average_item_price",
        "double",
        "money",
        "Gross purchases by purchased quantity; null where no quantity is left.",
        ratio("gross", "items"),
        "skewed",
        "dear items",
        "cheap items",
    ),
    Feature(
        "price_level",
        "double",
        "index",
        "Gross purchases by what the same quantities of each category would have cost at its average price over all "
        "customers: above 1 for the dear items of a category; null where no purchase has a category and a quantity.",
        ratio("priced_spend", "spend_at_average_prices"),
        "skewed",
        "dear within categories",
        "cheap within categories",
    ),
    Feature(
        "return_rate",
        "double",
        "share",
        "Value returned by gross purchases, those given back whole included; above 1 where more came back than was "
        "bought in the data's time.",
        share("returned", "placed"),
        "skewed",
        "returns much",
        "returns little",
    ),
    Feature(
        "return_order_rate",
        "double",
        "share",
        "Share of the orders placed of which something was given back, those given back whole included.",
        share("orders_given_back", "orders_placed"),
        "skewed",
        "often sends back",
        "keeps orders",
    ),
)
