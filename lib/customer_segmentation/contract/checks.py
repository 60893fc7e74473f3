"""Why an order line is rejected or warned of, or a row of customers or events rejected: stable codes, declared once."""

from typing import Literal

Reason = Literal[
    "malformed_line",
    "missing_customer",
    "missing_order",
    "missing_date",
    "unreadable_date",
    "date_too_early",
    "date_in_future",
    "unreadable_number",
    "missing_amount",
    "missing_quantity",
    "zero_quantity",
    "absurd_quantity",
    "absurd_amount",
    "zero_price",
    "negative_price",
    "unknown_currency",
    "fee_product",
    "duplicate",
    "superseded",
    "order_changes_customer",
    "customer_from_order",
    "date_from_order",
]
"""A code in `rejected_transactions.reasons` or `transactions.warnings`."""

RowReason = Literal[
    "malformed_line",
    "missing_customer",
    "missing_date",
    "unreadable_date",
    "missing_event_type",
    "another_row",
    "duplicate",
]
"""A code in `rejected_customers.reasons` (`another_row`: the customer has a row that is kept), or in those of
`rejected_engagement` (`duplicate`: the same event is kept already)."""

MEANING: dict[Reason, str] = {
    "malformed_line": "a line that does not have the columns of its file",
    "missing_customer": "no customer",
    "missing_order": "no order number",
    "missing_date": "no order date",
    "unreadable_date": "an order date that can't be read",
    "date_too_early": "ordered before checks.earliest_order",
    "date_in_future": "ordered after the day of the run, or on or after as_of or latest_order",
    "unreadable_number": "an amount, price, quantity or discount that can't be read, or held, as a number",
    "missing_amount": "no amount and no price",
    "missing_quantity": "no quantity",
    "zero_quantity": "a quantity of zero, and no money given back",
    "absurd_quantity": "a quantity above checks.max_quantity",
    "absurd_amount": "an amount or a discount above checks.max_amount",
    "zero_price": "no value and no discount that explains it",
    "negative_price": "bought items with a negative value",
    "unknown_currency": "a currency that is not in checks.currencies",
    "fee_product": "a product that is a fee or postage by checks.fee_products",
    "duplicate": "an exact copy of a line that is kept",
    "superseded": "an earlier version of a line that was changed since",
    "order_changes_customer": "an order with lines of several customers",
    "customer_from_order": "no customer, taken from the other lines of its order, which agree",
    "date_from_order": "no order date, taken from the other lines of its order, which agree",
}
"""What each code says of a line, in the order in which a line's reasons are listed."""

ESSENTIAL: frozenset[Reason] = frozenset(
    {
        "missing_customer",
        "missing_order",
        "missing_date",
        "unreadable_date",
        "unreadable_number",
        "missing_amount",
        "missing_quantity",
    }
)
"""Reasons that always reject a line: without what they miss, it is no order line."""

ONLY_NOTED: frozenset[Reason] = frozenset({"customer_from_order", "date_from_order"})
"""What says of a line how it was completed: noted among its warnings unless it is told otherwise."""

NOT_KNOWN_YET: Reason = "date_in_future"
"""The one reason that may pass with time: a line rejected for it alone is taken once the as-of date is later."""
