"""Demographics and asked psychographics: the customers' attributes, carried through to their features."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, NumericType

from customer_segmentation.contract import columns as c

PREFIX = "customer_"


def with_attributes(features: DataFrame, customers: DataFrame | None) -> DataFrame:
    """The features with `has_attributes` and a column `customer_NAME` for each attribute.

    Args:
        features: a row per customer.
        customers: a row per customer in the columns of the `customers` table; None where there is no source.

    Returns:
        Attributes that are numbers or true or false as doubles, all others as text; null where unknown.
    """
    if customers is None:
        return features.withColumn(c.HAS_ATTRIBUTES, F.lit(False))
    attributes = customers.select(
        c.CUSTOMER_ID,
        F.lit(True).alias(c.HAS_ATTRIBUTES),
        *(
            _carried(field.name, field.dataType).alias(f"{PREFIX}{field.name}")
            for field in customers.schema.fields
            if field.name != c.CUSTOMER_ID
        ),
    )
    joined = features.join(attributes, on=c.CUSTOMER_ID, how="left")
    return joined.withColumn(c.HAS_ATTRIBUTES, F.coalesce(c.HAS_ATTRIBUTES, F.lit(False)))


def _carried(name: str, type_: DataType) -> Column:
    is_number = isinstance(type_, (NumericType, BooleanType))
    return F.col(f"`{name}`").cast("double" if is_number else "string")
