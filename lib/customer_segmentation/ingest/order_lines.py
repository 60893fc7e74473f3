"""Order lines of any DataFrame: mapped, typed and validated as the pipeline validates those of its sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import ValidationError, model_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.arguments import as_section, problems_of
from customer_segmentation.config.schema import Checks, TransactionColumns, TransactionSource
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import CHECKS, Check
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.counts import RowCounts, count_lines
from customer_segmentation.ingest.expressions import quoted
from customer_segmentation.ingest.orders import resolved
from customer_segmentation.ingest.transactions import count_filtered_out, validated_lines
from customer_segmentation.spark.local_time import UTC, require_utc

_ALWAYS_THERE = {c.QUANTITY, c.AMOUNT, c.IS_RETURN, c.WARNINGS, c.LINE_ID}


@dataclass(frozen=True)
class OrderLines:
    """Validated order lines: every row of the frame is accepted, rejected or filtered out.

    Attributes:
        accepted: columns of the `transactions` table: those that are mapped, and quantity, amount (net of discounts,
            negative on a return), is_return, warnings (codes) and line_id.
        rejected: row, the line as JSON, and reasons, the codes of the checks that it fails.
    """

    accepted: DataFrame
    rejected: DataFrame
    _frame: DataFrame = field(repr=False)
    _source: TransactionSource = field(repr=False)
    _lines: DataFrame = field(repr=False)
    _checks: Sequence[Check] = field(repr=False)

    @cached_property
    def counts(self) -> RowCounts:
        """Rows by outcome and by code, counted when first asked for."""
        counts, filtered_out = count_lines(self._lines, self._checks), count_filtered_out(self._frame, self._source)
        return RowCounts(
            counts.lines + filtered_out,
            counts.accepted,
            counts.rejected,
            filtered_out,
            counts.by_reason,
            counts.by_warning,
            counts.harmless,
        )


class _FrameSource(TransactionSource):
    """The mapping of a frame that is there already."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> "_FrameSource":
        return self


def order_lines(
    frame: DataFrame,
    *,
    customer_id: str,
    order_id: str,
    ordered_at: str,
    amount: str | None = None,
    unit_price: str | None = None,
    quantity: str | None = None,
    product_id: str | None = None,
    category: str | None = None,
    discount: str | None = None,
    channel: str | None = None,
    brand: str | None = None,
    store_id: str | None = None,
    coupon: str | None = None,
    currency: str | None = None,
    is_return: str | None = None,
    line_number: str | None = None,
    changed_at: str | None = None,
    where: str | None = None,
    timestamp_format: str | Sequence[str] = (),
    timezone: str | None = None,
    decimal_comma: bool = False,
    accounting: bool = False,
    checks: Checks | Mapping[str, Any] | None = None,
    extra_checks: Sequence[Check] = (),
) -> OrderLines:
    """Validate the rows of a DataFrame as order lines.

    A column is mapped by its name or by a Spark SQL expression over its row, as in a configuration; a value that can't
    be read rejects its line and never fails the query. Exact copies, earlier versions of a line and orders of several
    customers are recognised, and a line without a customer or a date takes that of its order. Nothing is read or
    written here; `frame` may be of classic Spark or of Spark Connect, in a session whose time zone is UTC.

    Args:
        frame: a row for each order line.
        customer_id, order_id: who bought, and in which order.
        ordered_at: a timestamp, a date, or text in ISO 8601 or in one of `timestamp_format`.
        amount: net value of the line after discounts; needed where there is no `unit_price`.
        unit_price: value of an item; multiplied by the quantity.
        quantity: items; negative on a return. 1 for every line where it is not mapped.
        product_id, category, channel, brand, store_id: text.
        discount, coupon: what was taken off the list price, and the part of it by coupons. Unit: money.
        currency: checked against `checks.currencies`.
        is_return: whether the line returns or cancels a purchase; negative lines do, whatever it says.
        line_number, changed_at: key of a line within its order and time of its last change: of several versions the
            last one is kept.
        where: a condition; other rows are filtered out.
        timestamp_format: Spark datetime patterns of `ordered_at` and `changed_at` as text, tried in order.
        timezone: of times without an offset, such as Europe/Berlin; by default UTC.
        decimal_comma: text has numbers such as 1.234,56.
        accounting: text may have (12.50) or 12.50- for negative numbers, and currency signs.
        checks: thresholds and severities, as in the section `checks` of a configuration.
        extra_checks: checks of your own beside the library's.

    Raises:
        ConfigurationError: an argument is not valid; the message names it.
        DataRejectedError: the frame has no such column, or one of a type that does not fit; the message has a hint.

    Example:
        >>> frame = spark.createDataFrame(
        ...     [("C1", "O1", "2011-12-01 08:26", "6", "2.55"), ("C1", "O1", "2011-12-01 08:26", "two", "3.39")],
        ...     "CustomerID string, InvoiceNo string, InvoiceDate string, Quantity string, UnitPrice string",
        ... )
        >>> lines = order_lines(
        ...     frame,
        ...     customer_id="CustomerID",
        ...     order_id="InvoiceNo",
        ...     ordered_at="InvoiceDate",
        ...     quantity="Quantity",
        ...     unit_price="UnitPrice",
        ... )
        >>> lines.accepted.select("customer_id", "ordered_at", "quantity", "amount").show()
        +-----------+-------------------+--------+------+
        |customer_id|         ordered_at|quantity|amount|
        +-----------+-------------------+--------+------+
        |         C1|2011-12-01 08:26:00|   6.000| 15.30|
        +-----------+-------------------+--------+------+
        <BLANKLINE>
        >>> lines.rejected.select("reasons").first()["reasons"]
        ['unreadable_number']
        >>> print(lines.counts.describe())
        2 lines in = 1 accepted + 1 rejected
    """
    mapping = {
        c.CUSTOMER_ID: customer_id,
        c.ORDER_ID: order_id,
        c.ORDERED_AT: ordered_at,
        c.AMOUNT: amount,
        c.UNIT_PRICE: unit_price,
        c.QUANTITY: quantity,
        c.PRODUCT_ID: product_id,
        c.CATEGORY: category,
        c.DISCOUNT: discount,
        c.CHANNEL: channel,
        c.BRAND: brand,
        c.STORE_ID: store_id,
        c.COUPON: coupon,
        "currency": currency,
        c.IS_RETURN: is_return,
        c.LINE_NUMBER: line_number,
        c.CHANGED_AT: changed_at,
    }
    try:
        source = _FrameSource(
            columns=TransactionColumns.model_validate({key: _expression(text, frame) for key, text in mapping.items()}),
            where=where,
            timestamp_format=[timestamp_format] if isinstance(timestamp_format, str) else [*timestamp_format],
            timezone=timezone,
            decimal_comma=decimal_comma,
            accounting=accounting,
        )
    except ValidationError as error:
        raise ConfigurationError(f"order_lines: {problems_of(error)}") from None
    require_utc(frame.sparkSession, "order_lines")
    settings = as_section(Checks, checks, "order_lines")
    suite = CheckSuite(settings, timezone=timezone or UTC, checks=(*CHECKS, *extra_checks))
    if c.SOURCE_FILE not in frame.columns:
        frame = frame.withColumn(c.SOURCE_FILE, F.lit(None).cast("string"))
    lines = resolved(validated_lines(frame.sparkSession, frame, source, suite), suite)
    kept = {name for name, text in mapping.items() if text is not None} | _ALWAYS_THERE
    accepted, rejected = lines.where(F.size(c.REASONS) == 0), lines.where(F.size(c.REASONS) > 0)
    columns = [column.of(accepted) for column in TRANSACTIONS.columns if column.name in kept]
    return OrderLines(accepted.select(columns), rejected.select(c.ROW, c.REASONS), frame, source, lines, suite.checks)


def _expression(text: str | None, frame: DataFrame) -> str | None:
    """The expression of a mapping; a column of the frame is quoted, since its name may be no plain word."""
    return quoted(text) if text is not None and text in frame.columns else text
