"""Basket and range: what is in an order, and how wide or narrow a customer's choice is."""

from customer_segmentation.contract.features.feature import Feature, ratio


def _entropy(of: str) -> str:
    """Shannon entropy from the sums of x and of x ln x; 0 where nothing was spent."""
    return f"coalesce(greatest(0D, ln(nullif({of}_spend, 0D)) - try_divide({of}_logs, {of}_spend)), 0D)"


BASKET = (
    Feature(
        "average_order_value",
        "double",
        "money",
        "Gross purchases by orders with a purchase.",
        ratio("gross", "orders"),
        "skewed",
        "big orders",
        "small orders",
    ),
    Feature(
        "items_per_order",
        "double",
        "items",
        "Purchased quantity by orders with a purchase.",
        ratio("items", "orders"),
        "skewed",
        "full baskets",
        "small baskets",
    ),
    Feature(
        "distinct_products",
        "bigint",
        "products",
        "Distinct products purchased.",
        "products",
        "skewed",
        "wide range",
        "narrow range",
    ),
    Feature(
        "distinct_categories",
        "bigint",
        "categories",
        "Distinct product categories purchased.",
        "categories",
        "even",
        "many categories",
        "few categories",
    ),
    Feature(
        "category_entropy",
        "double",
        "nats",
        "Shannon entropy of gross purchases over categories, 0 for one category or none.",
        _entropy("category"),
        "even",
        "buys across categories",
        "keeps to one category",
    ),
    Feature(
        "top_category_share",
        "double",
        "share",
        "Share of the category with the most gross purchases in those of all known categories; null without any.",
        ratio("category_top", "category_spend"),
        "even",
        "one main category",
        "no main category",
    ),
    Feature(
        "top_categories_share",
        "double",
        "share",
        "Share of the three categories with most gross purchases in those of all known categories; null without any.",
        ratio("(category_1_spend + category_2_spend + category_3_spend)", "category_spend"),
        "even",
        "few main categories",
        "many main categories",
    ),
    Feature(
        "distinct_brands",
        "bigint",
        "brands",
        "Distinct brands purchased; 0 where the source names none.",
        "brands",
        "skewed",
        "many brands",
        "few brands",
    ),
    Feature(
        "brand_concentration",
        "double",
        "index",
        "Herfindahl index of gross purchases over brands: 1 for a single brand, near 0 for many; null without brands.",
        ratio("brand_squares", "brand_spend * brand_spend"),
        "even",
        "few favourite brands",
        "mixes brands",
    ),
)
