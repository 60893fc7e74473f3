"""The checks of an order line, each declared once: its code, its meaning, what it does with a line, and its condition.

A check added to `CHECKS` is applied to every line, counted, named in messages, and can be set by `checks.severity`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

Severity = Literal["reject", "warn", "off"]

CURRENCY = "currency"
IS_MALFORMED = "_is_malformed"


def raw(name: str) -> str:
    """The column with the text that the source has for a canonical column."""
    return f"raw_{name}"


@dataclass(frozen=True)
class Limits:
    """The thresholds of the checks: the section `checks` of the configuration, its days as instants.

    earliest, latest: the first instant that an order may have, and the first one that is too late.
    """

    earliest: Column
    latest: Column
    max_quantity: float
    max_amount: float
    currencies: Sequence[str] = ()
    fee_products: Sequence[str] = ()


@dataclass(frozen=True)
class Check:
    """A check of order lines.

    code: its stable name, in `rejected_transactions.reasons` or in `transactions.warnings`.
    meaning: of a line that fails it, in words.
    condition: makes of the limits the expression that is true where a line fails; null is no failure. Its columns are
        those of `ingest.transactions.typed_lines`: each canonical column, and `raw(name)`. None where the check
        compares the lines of an order, see `ingest.orders`.
    severity: what it does with a line, unless configured otherwise.
    is_essential: it always rejects: without what it misses, a line is no order line.
    is_harmless: a rejected line does not count as bad data: it is known later, or is there in another form.
    """

    code: str
    meaning: str
    condition: Callable[[Limits], Column] | None = None
    severity: Severity = "reject"
    is_essential: bool = False
    is_harmless: bool = False


def _is_unreadable(*names: str) -> Column:
    return reduce(Column.__or__, (F.col(raw(name)).isNotNull() & F.col(name).isNull() for name in names))


def _exceeds(limit: float, *names: str) -> Column:
    return reduce(Column.__or__, (F.coalesce(F.abs(F.col(name)) > limit, F.lit(False)) for name in names))


def _has_unreadable_number(_: Limits) -> Column:
    # Where the quantity is unreadable, an amount of price and quantity is so too, and says nothing more.
    unreadable_amount = _is_unreadable(c.AMOUNT) & F.col(c.QUANTITY).isNotNull()
    return _is_unreadable(c.QUANTITY, c.DISCOUNT, c.COUPON) | unreadable_amount


def _has_zero_quantity(_: Limits) -> Column:
    is_refund = F.coalesce(F.col(c.IS_RETURN) & (F.col(c.AMOUNT) < 0), F.lit(False))
    return (F.col(c.QUANTITY) == 0) & ~is_refund


def _has_zero_price(_: Limits) -> Column:
    is_worthless = (F.col(c.AMOUNT) == 0) & (F.coalesce(F.col(c.DISCOUNT), F.lit(0)) == 0)
    return is_worthless & (F.col(c.QUANTITY) != 0)


def _has_negative_price(_: Limits) -> Column:
    return (F.col(c.AMOUNT) < 0) & (F.col(c.QUANTITY) > 0) & ~F.col(c.IS_RETURN)


def _has_unknown_currency(limits: Limits) -> Column:
    if not limits.currencies:
        return F.lit(False)
    return ~F.coalesce(F.col(CURRENCY).isin([*limits.currencies]), F.lit(False))


def _is_fee(limits: Limits) -> Column:
    if not limits.fee_products:
        return F.lit(False)
    return F.col(c.PRODUCT_ID).rlike(f"^(?:{'|'.join(f'(?:{pattern})' for pattern in limits.fee_products)})$")


NOT_KNOWN_YET = "date_in_future"
"""The code that may pass with time: a line rejected for it alone is accepted once the as-of date is later."""

CHECKS: tuple[Check, ...] = (
    Check("malformed_line", "a line that does not have the columns of its file", lambda _: F.col(IS_MALFORMED)),
    Check("missing_customer", "no customer", lambda _: F.col(c.CUSTOMER_ID).isNull(), is_essential=True),
    Check("missing_order", "no order number", lambda _: F.col(c.ORDER_ID).isNull(), is_essential=True),
    Check("missing_date", "no order date", lambda _: F.col(raw(c.ORDERED_AT)).isNull(), is_essential=True),
    Check(
        "unreadable_date",
        "an order date that can't be read",
        lambda _: _is_unreadable(c.ORDERED_AT),
        is_essential=True,
    ),
    Check(
        "date_too_early",
        "ordered before checks.earliest_order",
        lambda limits: F.col(c.ORDERED_AT) < limits.earliest,
    ),
    Check(
        NOT_KNOWN_YET,
        "ordered after the day of the run, or on or after as_of or latest_order",
        lambda limits: F.col(c.ORDERED_AT) >= limits.latest,
        is_harmless=True,
    ),
    Check(
        "unreadable_number",
        "an amount, price, quantity or discount that is no number, or too large for its column",
        _has_unreadable_number,
        is_essential=True,
    ),
    Check("missing_amount", "no amount and no price", lambda _: F.col(raw(c.AMOUNT)).isNull(), is_essential=True),
    Check(
        "missing_quantity",
        "no quantity",
        lambda _: F.col(raw(c.QUANTITY)).isNull() & F.col(c.QUANTITY).isNull(),
        is_essential=True,
    ),
    Check("zero_quantity", "a quantity of zero, and no money returned", _has_zero_quantity),
    Check(
        "absurd_quantity",
        "a quantity above checks.max_quantity",
        lambda limits: _exceeds(limits.max_quantity, c.QUANTITY),
    ),
    Check(
        "absurd_amount",
        "an amount or a discount above checks.max_amount",
        lambda limits: _exceeds(limits.max_amount, c.AMOUNT, c.DISCOUNT, c.COUPON),
    ),
    Check("zero_price", "no value and no discount that explains it", _has_zero_price),
    Check("negative_price", "bought items with a negative value", _has_negative_price),
    Check("unknown_currency", "a currency that is not in checks.currencies", _has_unknown_currency),
    Check("fee_product", "a product that is a fee or postage by checks.fee_products", _is_fee),
    Check("duplicate", "an exact copy of a line that is kept", is_harmless=True),
    Check("superseded", "an earlier version of a line that was changed since", is_harmless=True),
    Check("order_changes_customer", "an order with lines of several customers"),
    Check(
        "customer_from_order",
        "no customer, taken from the other lines of its order, which agree",
        severity="warn",
    ),
    Check(
        "date_from_order",
        "no order date, taken from the other lines of its order, which agree",
        severity="warn",
    ),
)
"""All checks, in the order in which a line's codes are listed."""

CHECK_BY_CODE: dict[str, Check] = {check.code: check for check in CHECKS}

if TYPE_CHECKING:
    CheckCode = str
else:
    CheckCode = Literal[tuple(CHECK_BY_CODE)]

ROW_REASONS: dict[str, str] = {
    "malformed_line": "a row that does not have the columns of its file",
    "missing_customer": "no customer",
    "missing_date": "no time of the event",
    "unreadable_date": "a time that can't be read",
    "missing_event_type": "no type of the event",
    "another_row": "another row of the same customer is kept",
    "duplicate": "an equal event is kept already",
}
"""What each code in `rejected_customers.reasons` or `rejected_engagement.reasons` means."""
