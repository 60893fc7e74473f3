"""Psychographics as far as behaviour shows them: measured from purchases and responses, not asked."""

from customer_segmentation.contract.features.feature import Feature, ratio, share

PSYCHOGRAPHICS = (
    Feature(
        "price_sensitivity",
        "double",
        "share",
        "Measured from behaviour: share of gross purchases that was spent on lines with a discount.",
        share("discounted_spend", "gross"),
        "even",
        "price sensitive",
        "price insensitive",
    ),
    Feature(
        "variety_seeking",
        "double",
        "share",
        "Measured from behaviour: distinct products by purchase lines with a product, 1 where nothing is bought twice; "
        "null without products.",
        ratio("products", "product_lines"),
        "even",
        "seeks variety",
        "buys the same again",
    ),
    Feature(
        "brand_loyalty",
        "double",
        "share",
        "Measured from behaviour: share of the brand with the most gross purchases in those of all known brands; null "
        "without any.",
        ratio("brand_top", "brand_spend"),
        "even",
        "loyal to a brand",
        "switches brands",
    ),
    Feature(
        "promotion_response",
        "double",
        "share",
        "Measured from behaviour: responses by contacts, drawn towards one half where there are few: "
        "(responses + 1) / (contacts + 2), at most 1; null for a customer who was not contacted.",
        "if(contacts > 0, least(1D, (responses + 1D) / (contacts + 2D)), NULL)",
        "even",
        "responds to promotions",
        "unmoved by promotions",
        "engagement",
    ),
)
