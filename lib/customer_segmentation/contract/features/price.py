"""Price and returns: what a customer pays in relation to the list price, and what comes back."""

from customer_segmentation.contract.features.feature import Feature, ratio, share

PRICE = (
    Feature(
        name="discount_rate",
        family="price",
        unit="share",
        meaning="Discounts by purchases at list price, 0 to 1; 0 where nothing has a price.",
        formula=share("discounts", "gross + discounts"),
        high="discount driven",
        low="full price",
    ),
    Feature(
        name="discounted_share",
        family="price",
        unit="share",
        meaning="Share of purchase lines with a discount.",
        formula=share("discounted_lines", "lines"),
        high="buys on offer",
        low="ignores offers",
    ),
    Feature(
        name="coupon_rate",
        family="price",
        unit="share",
        meaning="Share of orders in which a coupon was used; 0 where the source has none.",
        formula=share("coupon_orders", "orders"),
        shape="skewed",
        high="uses coupons",
        low="no coupons",
    ),
    Feature(
        name="average_item_price",
        family="price",
        unit="money",
        meaning="Gross purchases by purchased quantity; null where no quantity is left.",
        formula=ratio("gross", "items"),
        shape="skewed",
        high="dear items",
        low="cheap items",
    ),
    Feature(
        name="price_level",
        family="price",
        unit="index",
        meaning=(
            "Gross purchases by what the same quantities of each category would have cost at its average price over "
            "all customers: above 1 for the dear items of a category; null where no purchase has a category and a "
            "quantity."
        ),
        formula=ratio("priced_spend", "spend_at_average_prices"),
        shape="skewed",
        high="dear within categories",
        low="cheap within categories",
    ),
    Feature(
        name="return_rate",
        family="price",
        unit="share",
        meaning=(
            "Value returned by gross purchases, fully returned orders included; above 1 where more was returned than "
            "was bought in the data's time."
        ),
        formula=share("returned", "placed"),
        shape="skewed",
        high="returns much",
        low="returns little",
    ),
    Feature(
        name="return_order_rate",
        family="price",
        unit="share",
        meaning="Share of the orders placed of which something was returned, fully returned ones included.",
        formula=share("orders_given_back", "orders_placed"),
        shape="skewed",
        high="often sends back",
        low="keeps orders",
    ),
)
