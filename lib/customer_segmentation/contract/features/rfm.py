"""RFM: how long ago, how often and for how much a customer bought."""

from customer_segmentation.contract.features.feature import Feature

RFM = (
    Feature(
        "recency_days",
        "int",
        "days",
        "Whole days from the last purchase to the as-of date.",
        "date_diff(as_of, last_day)",
        "skewed",
        "long inactive",
        "recently active",
    ),
    Feature(
        "frequency",
        "bigint",
        "orders",
        "Distinct orders with a purchase, the first one included; an order given back whole is none.",
        "orders",
        "skewed",
        "frequent",
        "infrequent",
    ),
    Feature(
        "monetary",
        "decimal(18,2)",
        "money",
        "Net spend: purchases less returns; can be negative.",
        "net",
        "skewed",
        "high spend",
        "low spend",
    ),
    Feature(
        "tenure_days",
        "int",
        "days",
        "Whole days from the first purchase to the as-of date.",
        "date_diff(as_of, first_day)",
        "skewed",
        "long-standing",
        "newly won",
    ),
    Feature(
        "active_days",
        "bigint",
        "days",
        "Distinct days with a purchase.",
        "days",
        "skewed",
        "many shopping days",
        "few shopping days",
    ),
)
