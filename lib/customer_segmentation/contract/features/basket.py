"""Basket and range: what is in an order, and how wide or narrow a customer's choice is."""

from customer_segmentation.contract.features.feature import Feature, ratio


def _entropy(of: str) -> str:
    """Shannon entropy from the sums of x and of x ln x; 0 where nothing was spent."""
    return f"coalesce(greatest(0D, ln(nullif({of}_spend, 0D)) - try_divide({of}_logs, {of}_spend)), 0D)"


BASKET = (
    Feature(
        name="average_order_value",
        family="basket",
        unit="money",
        meaning="Gross purchases divided by the number of orders with a purchase.",
        formula=ratio("gross", "orders"),
        shape="skewed",
        high="big orders",
        low="small orders",
    ),
    Feature(
        name="items_per_order",
        family="basket",
        unit="items",
        meaning="Purchased quantity divided by the number of orders with a purchase.",
        formula=ratio("items", "orders"),
        shape="skewed",
        high="full baskets",
        low="small baskets",
    ),
    Feature(
        name="distinct_products",
        family="basket",
        type="bigint",
        unit="products",
        meaning="Distinct products purchased.",
        formula="products",
        shape="skewed",
        high="wide range",
        low="narrow range",
    ),
    Feature(
        name="distinct_categories",
        family="basket",
        type="bigint",
        unit="categories",
        meaning="Distinct product categories purchased.",
        formula="categories",
        high="many categories",
        low="few categories",
    ),
    Feature(
        name="category_entropy",
        family="basket",
        unit="nats",
        meaning="Shannon entropy of gross purchases over categories, 0 for one category or none.",
        formula=_entropy("category"),
        high="buys across categories",
        low="keeps to one category",
    ),
    Feature(
        name="top_category_share",
        family="basket",
        unit="share",
        meaning=(
            "Share of the category with the most gross purchases in those of all known categories; null without any."
        ),
        formula=ratio("category_top", "category_spend"),
        high="one main category",
        low="no main category",
    ),
    Feature(
        name="top_categories_share",
        family="basket",
        unit="share",
        meaning=(
            "Share of the three categories with most gross purchases in those of all known categories; null without "
            "any."
        ),
        formula=ratio("(category_1_spend + category_2_spend + category_3_spend)", "category_spend"),
        high="few main categories",
        low="many main categories",
    ),
    Feature(
        name="distinct_brands",
        family="basket",
        type="bigint",
        unit="brands",
        meaning="Distinct brands purchased; 0 where the source names none.",
        formula="brands",
        shape="skewed",
        high="many brands",
        low="few brands",
    ),
    Feature(
        name="brand_concentration",
        family="basket",
        unit="index",
        meaning=(
            "Herfindahl index of gross purchases over brands: 1 for a single brand, near 0 for many; null without "
            "brands."
        ),
        formula=ratio("brand_squares", "brand_spend * brand_spend"),
        high="few favourite brands",
        low="mixes brands",
    ),
)
