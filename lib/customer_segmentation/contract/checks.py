"""The checks of an order line, each declared once: its code, its meaning, what it does with a line, and its condition.

A check added to `CHECKS` is applied to every line, counted, named in messages, and can be set by `checks.severity`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Severity = Literal["reject", "warn", "off"]

CURRENCY = "currency"
IS_MALFORMED = "_is_malformed"


def raw(name: str) -> str:
    """The column with the text that the source has for a canonical column."""
    return f"raw_{name}"


@dataclass(frozen=True)
class Check:
    """A check of order lines.

    code: its stable name, in `rejected_transactions.reasons` or in `transactions.warnings`.
    meaning: of a line that fails it, in words.
    condition: Spark SQL that is true where a line fails; null is no failure. Its columns are those of
        `ingest.transactions.typed_lines`: the canonical columns, and what the source has for some as raw_NAME, of
        is_return what can't be read. In
        braces it has thresholds of the section `checks` of the configuration, and {earliest} and {latest}, the first
        instant that an order may have and the first one that is too late. None where the check compares the lines of
        an order, see `ingest.orders`.
    severity: what it does with a line, unless configured otherwise.
    needs: the threshold without which it is off.
    is_essential: it always rejects: without what it misses, a line is no order line.
    is_harmless: a rejected line does not count as bad data: it is known later, or is there in another form.
    """

    code: str
    meaning: str
    condition: str | None = None
    severity: Severity = "reject"
    needs: str | None = None
    is_essential: bool = False
    is_harmless: bool = False


MALFORMED = "malformed_line"
"""The code of a line whose values may stand in the columns of others: it says nothing of the lines beside it."""

NOT_KNOWN_YET = "date_in_future"
"""The code that may pass with time: a line rejected for it alone is accepted once the as-of date is later."""

CHECKS: tuple[Check, ...] = (
    Check(MALFORMED, "a line that does not have the columns of its file", IS_MALFORMED),
    Check("missing_customer", "no customer", "customer_id IS NULL", is_essential=True),
    Check("missing_order", "no order number", "order_id IS NULL", is_essential=True),
    Check("missing_date", "no order date", "raw_ordered_at IS NULL", is_essential=True),
    Check(
        "unreadable_date",
        "an order date that can't be read",
        "raw_ordered_at IS NOT NULL AND ordered_at IS NULL",
        is_essential=True,
    ),
    Check("date_too_early", "ordered before checks.earliest_order", "ordered_at < {earliest}"),
    Check(
        NOT_KNOWN_YET,
        "ordered after the day of the run, or on or after as_of or latest_order",
        "ordered_at >= {latest}",
        is_harmless=True,
    ),
    Check(
        "unreadable_number",
        "an amount, price, quantity, discount or coupon that is no number, or too large for its column",
        # An unreadable quantity makes the amount unreadable too, which says nothing more.
        "raw_quantity IS NOT NULL AND quantity IS NULL OR raw_discount IS NOT NULL AND discount IS NULL "
        "OR raw_coupon IS NOT NULL AND coupon IS NULL "
        "OR raw_amount IS NOT NULL AND amount IS NULL AND quantity IS NOT NULL",
        is_essential=True,
    ),
    Check(
        "unreadable_return",
        "what says whether the line is a return is neither true nor false",
        "raw_is_return IS NOT NULL",
    ),
    Check("missing_amount", "no amount and no price", "raw_amount IS NULL", is_essential=True),
    Check("missing_quantity", "no quantity", "raw_quantity IS NULL AND quantity IS NULL", is_essential=True),
    Check(
        "zero_quantity",
        "a quantity of zero, and no money returned",
        "quantity = 0 AND NOT coalesce(is_return AND amount < 0, false)",
    ),
    Check("absurd_quantity", "a quantity above checks.max_quantity", "abs(quantity) > {max_quantity}"),
    Check(
        "absurd_amount",
        "an amount, a discount or a coupon above checks.max_amount",
        "abs(amount) > {max_amount} OR abs(discount) > {max_amount} OR abs(coupon) > {max_amount}",
    ),
    Check(
        "zero_price",
        "no value and no discount that explains it",
        "amount = 0 AND coalesce(discount, 0) = 0 AND quantity <> 0",
    ),
    Check("negative_price", "bought items with a negative value", "amount < 0 AND quantity > 0 AND NOT is_return"),
    Check(
        "unknown_currency",
        "a currency that is not in checks.currencies",
        "NOT coalesce(currency IN ({currencies}), false)",
        needs="currencies",
    ),
    Check(
        "fee_product",
        "a product that is a fee or postage by checks.fee_products",
        "product_id RLIKE {fee_products}",
        needs="fee_products",
    ),
    Check("duplicate", "an exact copy of a line that is kept", is_harmless=True),
    Check("superseded", "an earlier version of a line that was changed since", is_harmless=True),
    Check("order_changes_customer", "an order with lines of several customers"),
    Check("customer_from_order", "no customer, taken from the other lines of its order, which agree", severity="warn"),
    Check("date_from_order", "no order date, taken from the other lines of its order, which agree", severity="warn"),
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
