"""Order lines, mapped and judged: each is accepted or refused with all its reasons, and none is lost."""

import operator
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import TransactionColumns, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.ingest.checks import Check, raw, reasons
from customer_segmentation.ingest.sources import read_source
from customer_segmentation.ingest.values import as_text, as_timestamp, mapped

_LINE = "_line"
_IS_REFUSED = "_is_refused"
_MONEY = "decimal(18,2)"
_PRICE = "decimal(18,6)"
_QUANTITY = "decimal(18,3)"


def judged_lines(spark: SparkSession, source: TransactionSource, checks: list[Check]) -> DataFrame:
    """Every line of a source: as it came, in the canonical columns, and whether a check refuses it."""
    lines = typed_lines(read_source(spark, source), source)
    return lines.withColumn(_IS_REFUSED, reduce(operator.or_, [check.refuses for check in checks]))


def accepted(judged: DataFrame) -> DataFrame:
    """The lines that no check refuses, as rows of `transactions`."""
    return judged.where(~F.col(_IS_REFUSED)).select(TRANSACTIONS.column_names)


def refused(judged: DataFrame, checks: list[Check], *, batch_id: str) -> DataFrame:
    """The other lines with all reasons against them, as rows of `rejected_transactions`."""
    return judged.where(_IS_REFUSED).select(
        c.SOURCE_FILE,
        F.to_json(F.col(_LINE), {"ignoreNullFields": "false"}).alias(c.ROW),
        reasons(checks).alias(c.REASONS),
        F.current_timestamp().alias(c.INGESTED_AT),
        F.lit(batch_id).alias(c.BATCH_ID),
    )


def tallies(checks: list[Check]) -> dict[str, Column]:
    """Aggregates over judged lines: `lines`, `refused`, and for each check the lines that failed it, by code."""
    per_check = {check.code: F.count_if(check.refuses) for check in checks}
    return {"lines": F.count(F.lit(1)), "refused": F.count_if(F.col(_IS_REFUSED)), **per_check}


def typed_lines(frame: DataFrame, source: TransactionSource) -> DataFrame:
    """Order lines with every canonical column typed; what can't be read is null beside its raw value.

    Args:
        frame: rows of the source as `sources.read_source` gives them.
        source: the mapping.

    Returns:
        source_file, the line itself as a struct, the canonical columns of `transactions`, and a raw_ column for each.
    """
    mapping = source.columns
    own = [F.col(f"`{name}`") for name in frame.columns if name != c.SOURCE_FILE]
    lines = frame.select(
        c.SOURCE_FILE,
        F.struct(*own).alias(_LINE),
        *(column.alias(raw(name)) for name, column in _raw_columns(mapping).items()),
    )

    quantity = F.col(raw(c.QUANTITY)).try_cast(_QUANTITY)
    if mapping.amount is not None:
        amount = F.col(raw(c.AMOUNT)).try_cast(_MONEY)
    else:
        amount = (F.col(raw(c.AMOUNT)).try_cast(_PRICE) * quantity).try_cast(_MONEY)
    if mapping.is_return is not None:
        is_return = F.coalesce(F.col(raw(c.IS_RETURN)).try_cast("boolean"), F.lit(False))
    elif mapping.quantity is not None:
        is_return = F.coalesce(quantity < 0, F.lit(False))
    else:
        is_return = F.coalesce(amount < 0, F.lit(False))
    return lines.select(
        "*",
        as_text(F.col(raw(c.CUSTOMER_ID))).alias(c.CUSTOMER_ID),
        as_text(F.col(raw(c.ORDER_ID))).alias(c.ORDER_ID),
        as_timestamp(F.col(raw(c.ORDERED_AT)), source.timestamp_format).alias(c.ORDERED_AT),
        as_text(F.col(raw(c.PRODUCT_ID))).alias(c.PRODUCT_ID),
        as_text(F.col(raw(c.CATEGORY))).alias(c.CATEGORY),
        _negative_when(is_return, quantity).alias(c.QUANTITY),
        _negative_when(is_return, amount).alias(c.AMOUNT),
        F.abs(F.col(raw(c.DISCOUNT)).try_cast(_MONEY)).alias(c.DISCOUNT),
        as_text(F.col(raw(c.CHANNEL))).alias(c.CHANNEL),
        is_return.alias(c.IS_RETURN),
    )


def _raw_columns(mapping: TransactionColumns) -> dict[str, Column]:
    """The mapped values as the source has them; a price stands in for an amount."""
    given = mapping.model_dump(exclude={c.UNIT_PRICE})
    given[c.AMOUNT] = mapping.amount or mapping.unit_price
    columns = {name: mapped(text) for name, text in given.items()}
    if mapping.quantity is None:
        columns[c.QUANTITY] = F.lit(1)
    if mapping.discount is None:
        columns[c.DISCOUNT] = F.lit(0)
    return columns


def _negative_when(condition: Column, value: Column) -> Column:
    return F.when(condition, -F.abs(value)).otherwise(value)
