"""The checks of an order line by itself: pure column expressions with stable reason codes.

They read the columns that `transactions.typed_lines` makes: for every canonical column `x` its typed value `x` and what
the source had as `raw_x`. Checks that need other lines are in `ingest.repeats`.
"""

from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.reasons import Reason
from customer_segmentation.spark.local_time import UTC, start_of_day

CURRENCY = "currency"
IS_MALFORMED = "_is_malformed"
FAILED = "_failed"


def raw(name: str) -> str:
    """The column that holds what the source had for a canonical column."""
    return f"raw_{name}"


@dataclass(frozen=True)
class Check:
    """A reason against a line: its code, when it holds (never null), and whether it refuses or only warns."""

    code: Reason
    holds: Column
    refuses: bool


def transaction_checks(settings: Checks, *, as_of: date | None = None, timezone: str = UTC) -> list[Check]:
    """The checks for order lines that are not off, in the order their reasons are listed.

    Args:
        settings: thresholds and severities.
        as_of: lines of this day and later are not known yet; None where it follows from the lines.
        timezone: whose days these, and the earliest and the latest one, are.
    """
    amount, quantity = F.col(c.AMOUNT), F.col(c.QUANTITY)
    ordered_at = F.col(c.ORDERED_AT)
    latest = min(filter(None, (as_of, settings.latest_order)))
    worthless = (amount == 0) & (F.coalesce(F.col(c.DISCOUNT), F.lit(0)) == 0)
    conditions: dict[Reason, Column] = {
        "malformed_line": F.col(IS_MALFORMED),
        "missing_customer": F.col(c.CUSTOMER_ID).isNull(),
        "missing_order": F.col(c.ORDER_ID).isNull(),
        "missing_date": F.col(raw(c.ORDERED_AT)).isNull(),
        "unreadable_date": _unreadable(c.ORDERED_AT),
        "date_too_early": _holds(ordered_at < start_of_day(settings.earliest_order, timezone)),
        "date_in_future": _holds(ordered_at >= start_of_day(latest, timezone)),
        "unreadable_number": _unreadable(c.QUANTITY)
        | _unreadable(c.DISCOUNT)
        | _unreadable(c.COUPON)
        | _unreadable_amount(),
        "missing_amount": F.col(raw(c.AMOUNT)).isNull(),
        "missing_quantity": F.col(raw(c.QUANTITY)).isNull() & quantity.isNull(),
        # A return of no goods is one of money.
        "zero_quantity": _holds((quantity == 0) & ~_holds(F.col(c.IS_RETURN) & (amount < 0))),
        "absurd_quantity": _holds(F.abs(quantity) > settings.max_quantity),
        "absurd_amount": reduce(
            Column.__or__,
            (_holds(F.abs(F.col(name)) > settings.max_amount) for name in (c.AMOUNT, c.DISCOUNT, c.COUPON)),
        ),
        "zero_price": _holds(worthless & (quantity != 0)),
        "negative_price": _holds((amount < 0) & (quantity > 0) & ~F.col(c.IS_RETURN)),
    }
    if settings.currencies:
        conditions["unknown_currency"] = ~_holds(F.col(CURRENCY).isin(settings.currencies))
    if settings.fee_products:
        whole = f"^(?:{'|'.join(f'(?:{pattern})' for pattern in settings.fee_products)})$"
        conditions["fee_product"] = _holds(F.col(c.PRODUCT_ID).rlike(whole))
    severities = {code: settings.severity_of(code) for code in conditions}
    return [
        Check(code, holds, severities[code] == "reject")
        for code, holds in conditions.items()
        if severities[code] != "off"
    ]


def failed(checks: list[Check]) -> Column:
    """The checks that hold for a line as one number: bit i is set where check i holds."""
    bits = (F.when(check.holds, F.lit(1 << place)).otherwise(F.lit(0)) for place, check in enumerate(checks))
    return reduce(Column.bitwiseOR, bits, F.lit(0)).cast("bigint")


def is_rejected(checks: list[Check]) -> Column:
    """Whether a check that refuses holds, of the number that `failed` gives."""
    return F.col(FAILED).bitwiseAND(F.lit(_mask(checks, refuses=True))) != 0


def codes(checks: list[Check], *, refuses: bool) -> Column:
    """The codes of the refusing (or the warning) checks that hold for a line, as an array; empty where none does.

    Of the number that `failed` gives.
    """
    none = F.array().cast("array<string>")
    held = [
        F.when(F.col(FAILED).bitwiseAND(F.lit(1 << place)) != 0, F.lit(check.code))
        for place, check in enumerate(checks)
        if check.refuses == refuses
    ]
    if not held:
        return none
    is_any = F.col(FAILED).bitwiseAND(F.lit(_mask(checks, refuses=refuses))) != 0
    return F.when(is_any, F.array_compact(F.array(*held))).otherwise(none)


def _mask(checks: list[Check], *, refuses: bool) -> int:
    return sum(1 << place for place, check in enumerate(checks) if check.refuses == refuses)


def _unreadable(name: str) -> Column:
    return F.col(raw(name)).isNotNull() & F.col(name).isNull()


def _holds(condition: Column) -> Column:
    return F.coalesce(condition, F.lit(False))


def _unreadable_amount() -> Column:
    """An amount that a readable quantity does not give: the price, or its product, is no number."""
    return _unreadable(c.AMOUNT) & F.col(c.QUANTITY).isNotNull()
