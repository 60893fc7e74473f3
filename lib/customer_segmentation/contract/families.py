"""Families of features: a weight may be given to all of a family at once."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "timing": ("recency_days", "tenure_days", "days_between_orders", "recent_spend_share", "weekend_share"),
    "activity": ("frequency", "active_days"),
    "value": ("monetary", "average_order_value"),
    "range": ("items_per_order", "distinct_products", "distinct_categories"),
    "bargains": ("discount_rate", "return_rate"),
    "engagement": ("contacts", "responses"),
}
"""The features of each family; one that is in none can be given a weight by its name."""
