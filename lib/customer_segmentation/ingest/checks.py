"""The checks an order line has to pass: pure column expressions with stable reason codes.

They read the columns that `transactions.typed_lines` makes: for every canonical column `x` its typed value `x` and what
the source had as `raw_x`.
"""

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks
from customer_segmentation.contract import columns as c


def raw(name: str) -> str:
    """The column that holds what the source had for a canonical column."""
    return f"raw_{name}"


@dataclass(frozen=True)
class Check:
    """A reason to refuse a line: its code, what it means, and when it holds (never null)."""

    code: str
    meaning: str
    refuses: Column


def transaction_checks(settings: Checks) -> list[Check]:
    """The checks for order lines, in the order their reasons are listed."""
    amount, quantity, discount = F.col(c.AMOUNT), F.col(c.QUANTITY), F.col(c.DISCOUNT)
    ordered_at = F.col(c.ORDERED_AT)
    no_number = _unreadable(c.QUANTITY) | _unreadable(c.DISCOUNT) | _unreadable_amount()
    floor = F.lit(settings.earliest_order).cast("timestamp")
    worthless = (amount == 0) & (F.coalesce(discount, F.lit(0)) == 0)
    return [
        Check("missing_customer", "no customer", F.col(c.CUSTOMER_ID).isNull()),
        Check("missing_order", "no order number", F.col(c.ORDER_ID).isNull()),
        Check("missing_date", "no order date", F.col(raw(c.ORDERED_AT)).isNull()),
        Check("unreadable_date", "an order date that is none", _unreadable(c.ORDERED_AT)),
        Check("date_too_early", "ordered before checks.earliest_order", _holds(ordered_at < floor)),
        Check("unreadable_number", "an amount, quantity or discount that is no number", no_number),
        Check("missing_amount", "no amount and no price", F.col(raw(c.AMOUNT)).isNull()),
        Check("missing_quantity", "no quantity", F.col(raw(c.QUANTITY)).isNull()),
        Check("zero_quantity", "a quantity of zero", _holds(quantity == 0)),
        Check(
            "absurd_quantity", "a quantity above checks.max_quantity", _holds(F.abs(quantity) > settings.max_quantity)
        ),
        Check("zero_price", "no value and no discount that explains it", _holds(worthless & (quantity != 0))),
        Check(
            "negative_price",
            "bought items with a negative value",
            _holds((amount < 0) & (quantity > 0) & ~F.col(c.IS_RETURN)),
        ),
    ]


def reasons(checks: list[Check]) -> Column:
    """The codes of all checks a line fails, as an array; empty for a good line."""
    return F.array_compact(F.array(*(F.when(check.refuses, F.lit(check.code)) for check in checks)))


def _unreadable(name: str) -> Column:
    return F.col(raw(name)).isNotNull() & F.col(name).isNull()


def _holds(condition: Column) -> Column:
    return F.coalesce(condition, F.lit(False))


def _unreadable_amount() -> Column:
    """An amount that a readable quantity does not give: the price, or its product, is no number."""
    return _unreadable(c.AMOUNT) & F.col(c.QUANTITY).isNotNull()
