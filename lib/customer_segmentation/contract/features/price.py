"""Price and returns: what a customer pays in relation to the list price, and what comes back."""

from customer_segmentation.contract.features.feature import Feature, ratio, shrunk

PRIOR_LINES = 10
PRIOR_ORDERS = 5
"""Purchase lines and orders at the mean of all customers that count beside a customer's own."""

PRICE = (
    Feature(
        name="discount_rate",
        family="price",
        unit="share",
        meaning=(
            "Discounts divided by purchases at list price, 0 to 1, shrunk towards the rate over all customers, which "
            "has the weight of 10 purchase lines."
        ),
        formula=shrunk("discounts", "gross + discounts", seen="lines", mean="shop_discount_rate", weight=PRIOR_LINES),
        high="discount driven",
        low="full price",
    ),
    Feature(
        name="discounted_share",
        family="price",
        unit="share",
        meaning=(
            "Share of purchase lines with a discount, shrunk towards that over all customers, which has the weight of "
            "10 lines."
        ),
        formula=shrunk("discounted_lines", "lines", mean="shop_discounted_share", weight=PRIOR_LINES),
        high="buys on offer",
        low="ignores offers",
    ),
    Feature(
        name="coupon_rate",
        family="price",
        unit="share",
        meaning=(
            "Share of orders in which a coupon was used, shrunk towards that over all customers, which has the weight "
            "of 5 orders; 0 where the source has none."
        ),
        formula=shrunk("coupon_orders", "orders", mean="shop_coupon_rate", weight=PRIOR_ORDERS),
        shape="skewed",
        high="uses coupons",
        low="no coupons",
    ),
    Feature(
        name="average_item_price",
        family="price",
        unit="money",
        meaning="Gross purchases divided by purchased quantity; null where no quantity is left.",
        formula=ratio("gross", "items"),
        shape="skewed",
        high="expensive items",
        low="cheap items",
    ),
    Feature(
        name="price_level",
        family="price",
        unit="index",
        meaning=(
            "Gross purchases divided by what the same quantities of each category would have cost at its average price "
            "over all customers: above 1 for the more expensive items of a category; null where no purchase has a "
            "category and a quantity."
        ),
        formula=ratio("priced_spend", "spend_at_average_prices"),
        shape="skewed",
        high="expensive within categories",
        low="cheap within categories",
    ),
    Feature(
        name="return_rate",
        family="price",
        unit="share",
        meaning=(
            "Value returned divided by gross purchases, fully returned orders included, shrunk towards that over all "
            "customers, which has the weight of 5 orders; above 1 where more was returned than was bought in the "
            "data's time."
        ),
        formula=shrunk("returned", "placed", seen="orders_placed", mean="shop_return_rate", weight=PRIOR_ORDERS),
        shape="skewed",
        high="returns much",
        low="returns little",
    ),
    Feature(
        name="return_order_rate",
        family="price",
        unit="share",
        meaning=(
            "Share of the orders placed of which something was returned, fully returned ones included, shrunk towards "
            "that over all customers, which has the weight of 5 orders."
        ),
        formula=shrunk("orders_with_return", "orders_placed", mean="shop_return_order_rate", weight=PRIOR_ORDERS),
        shape="skewed",
        high="often sends back",
        low="keeps orders",
    ),
)
