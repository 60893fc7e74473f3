"""Demographics and asked psychographics: the columns of `customers`, joined to the features."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c


def attribute_names(customers: DataFrame) -> list[str]:
    """The attributes of a frame in the columns of the `customers` table."""
    return [name for name in customers.columns if name != c.CUSTOMER_ID]


def with_has_attributes(
    features: DataFrame, customers: DataFrame | None, attributes: Mapping[str, str] | None = None
) -> DataFrame:
    """The features with `has_attributes`, whether the customer is among the customers, and with some attributes.

    Args:
        features: a row per customer.
        customers: a row per customer in the columns of the `customers` table; None where there is no source.
        attributes: which attribute each new column is, as text.
    """
    if customers is None:
        return features.withColumn(c.HAS_ATTRIBUTES, F.lit(False))
    columns = _as_texts(attributes or {})
    known = customers.select(c.CUSTOMER_ID, F.lit(True).alias(c.HAS_ATTRIBUTES), *columns)
    joined = features.join(known, on=c.CUSTOMER_ID, how="left")
    return joined.withColumn(c.HAS_ATTRIBUTES, F.coalesce(c.HAS_ATTRIBUTES, F.lit(False)))


def with_attributes(features: DataFrame, customers: DataFrame, names: Mapping[str, str] | Sequence[str]) -> DataFrame:
    """The features with some attributes, as text; null for customers of whom they are not known.

    Whatever type an attribute has today, text is what it can be compared by tomorrow.

    Args:
        features: a row per customer.
        customers: a row per customer in the columns of the `customers` table.
        names: the attributes, none named like a column of the features; a mapping says which attribute each new column
            is.
    """
    wanted = names if isinstance(names, Mapping) else {name: name for name in names}
    return features.join(customers.select(c.CUSTOMER_ID, *_as_texts(wanted)), on=c.CUSTOMER_ID, how="left")


def _as_texts(names: Mapping[str, str]) -> list[Column]:
    return [F.col(f"`{name}`").cast("string").alias(new) for new, name in names.items()]
