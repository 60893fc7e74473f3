"""What features ask of the frames that a caller gives: the columns, each once, and of kinds that can be read."""

import difflib
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.spark.distinct_columns import require_distinct_columns

REQUIRED = (c.CUSTOMER_ID, c.ORDER_ID, c.ORDERED_AT, c.AMOUNT)
OPTIONAL = (c.PRODUCT_ID, c.CATEGORY, c.QUANTITY, c.DISCOUNT, c.CHANNEL, c.BRAND, c.STORE_ID, c.COUPON)
"""A frame without one of these has no features that rest on it."""

_OF_EVENTS = (c.CUSTOMER_ID, c.OCCURRED_AT, c.EVENT_TYPE)
_OPTIONAL_OF_EVENTS = (c.CHANNEL, c.CAMPAIGN_ID)

_NUMBERS = (c.AMOUNT, c.QUANTITY, c.DISCOUNT, c.COUPON)
_TIMES = (T.TimestampType, T.TimestampNTZType, T.DateType, T.StringType)


def columns_of_lines(transactions: DataFrame) -> list[str]:
    """The optional columns that a frame of order lines has.

    Raises:
        DataRejectedError: it lacks a column that it must have, has one twice, or one that holds no numbers or times.
    """
    present = {name.lower() for name in transactions.columns}
    missing = [name for name in REQUIRED if name not in present]
    if missing:
        others = [name for name in transactions.columns if name.lower() not in (*REQUIRED, *OPTIONAL)]
        raise DataRejectedError(
            f"order lines need the columns {', '.join(REQUIRED)}; not there: "
            f"{', '.join(name + _hint(name, others) for name in missing)}; the columns are "
            f"{', '.join(transactions.columns)}"
        )
    require_distinct_columns("order lines", transactions, [*REQUIRED, *OPTIONAL, c.IS_RETURN])
    _require_kinds("order lines", transactions, times=[c.ORDERED_AT], numbers=_NUMBERS, flags=[c.IS_RETURN])
    return [name for name in OPTIONAL if name in present]


def events_of_customers(engagement: DataFrame) -> DataFrame:
    """Events in the columns of the `engagement` table, whatever case their names have; those of nobody are left out.

    Args:
        engagement: with customer_id, occurred_at and event_type; channel and campaign_id are null where it lacks them.

    Raises:
        DataRejectedError: it lacks a column that it must have, has one twice, or times that are none.
    """
    present = {name.lower() for name in engagement.columns}
    missing = [name for name in _OF_EVENTS if name not in present]
    if missing:
        raise DataRejectedError(
            f"engagement needs the columns {', '.join(_OF_EVENTS)}; not there: {', '.join(missing)}; the columns are "
            f"{', '.join(engagement.columns)}"
        )
    require_distinct_columns("engagement", engagement, [*_OF_EVENTS, *_OPTIONAL_OF_EVENTS])
    _require_kinds("engagement", engagement, times=[c.OCCURRED_AT])
    columns = [F.col(name).alias(name) for name in (*_OF_EVENTS, *_OPTIONAL_OF_EVENTS) if name in present]
    columns += [F.lit(None).cast("string").alias(name) for name in _OPTIONAL_OF_EVENTS if name not in present]
    return engagement.select(columns).where(F.col(c.CUSTOMER_ID).isNotNull())


def _require_kinds(
    caller: str, frame: DataFrame, *, times: Sequence[str], numbers: Sequence[str] = (), flags: Sequence[str] = ()
) -> None:
    """Reject a frame whose columns, those that are there, can't be what they are taken for: a cast would mislead.

    Raises:
        DataRejectedError: a column is of another kind; the message says what to do.
    """
    kinds: dict[str, tuple[tuple[type[T.DataType], ...], str, str]] = {
        **dict.fromkeys(times, (_TIMES, "time", "make a timestamp of it first, such as timestamp_millis(...)")),
        **dict.fromkeys(numbers, ((T.NumericType,), "number", "cast it first, or read the lines with order_lines")),
        **dict.fromkeys(
            flags, ((T.BooleanType, T.NumericType), "true or false", "compare it first, such as mark = 'R'")
        ),
    }
    for field in frame.schema.fields:
        expected, meaning, remedy = kinds.get(field.name.lower(), ((T.DataType,), "", ""))
        if not isinstance(field.dataType, (*expected, T.NullType)):
            raise DataRejectedError(
                f"{caller}: {field.name} is of type {field.dataType.simpleString()}, which is no {meaning}; {remedy}"
            )


def _hint(name: str, columns: Sequence[str]) -> str:
    """The column that may be meant, such as CustomerID or customer for customer_id."""
    plain = {column.lower().replace("_", "").replace(" ", ""): column for column in columns}
    close = difflib.get_close_matches(name.replace("_", ""), plain, n=1)
    return f" (did you mean {plain[close[0]]}?)" if close else ""
