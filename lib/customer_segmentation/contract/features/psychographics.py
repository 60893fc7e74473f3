"""Psychographics as far as behaviour shows them: measured from purchases and responses, not asked."""

from customer_segmentation.contract.features.feature import Feature, ratio, share

PSYCHOGRAPHICS = (
    Feature(
        name="price_sensitivity",
        family="psychographics",
        unit="share",
        meaning="Measured from behaviour: share of gross purchases that was spent on lines with a discount.",
        formula=share("discounted_spend", "gross"),
        high="price sensitive",
        low="price insensitive",
    ),
    Feature(
        name="variety_seeking",
        family="psychographics",
        unit="share",
        meaning=(
            "Measured from behaviour: distinct products by purchase lines with a product, 1 where nothing is bought "
            "twice; null without products."
        ),
        formula=ratio("products", "product_lines"),
        high="seeks variety",
        low="buys the same again",
    ),
    Feature(
        name="brand_loyalty",
        family="psychographics",
        unit="share",
        meaning=(
            "Measured from behaviour: share of the brand with the most gross purchases in those of all known brands; "
            "null without any."
        ),
        formula=ratio("brand_top", "brand_spend"),
        high="loyal to a brand",
        low="switches brands",
    ),
    Feature(
        name="promotion_response",
        family="psychographics",
        unit="share",
        meaning=(
            "Measured from behaviour: responses by contacts, drawn towards one half where there are few: (responses + "
            "1) / (contacts + 2), at most 1; null for a customer who was not contacted."
        ),
        formula="if(contacts > 0, least(1D, (responses + 1D) / (contacts + 2D)), NULL)",
        high="responds to promotions",
        low="unmoved by promotions",
        source="engagement",
    ),
)
