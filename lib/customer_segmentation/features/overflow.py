"""Says which amounts make the sums of a customer's money or quantities overflow."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import DataRejectedError

_TOO_LARGE = ("ARITHMETIC_OVERFLOW", "NUMERIC_VALUE_OUT_OF_RANGE")


@contextmanager
def overflow_explained(lines: DataFrame) -> Iterator[None]:
    """Turns an arithmetic overflow in the block into an error that names the largest amounts.

    A customer's amounts are summed in cents and quantities in thousandths, as whole numbers of 64 bits, and kept with
    18 digits.

    Args:
        lines: what is summed, in the columns of the `transactions` table; read only where a sum is too large.

    Raises:
        DataRejectedError: a sum is too large.
    """
    try:
        yield
    except Exception as error:
        if not any(condition in str(error) for condition in _TOO_LARGE):
            raise
        raise DataRejectedError(_explanation(lines)) from None


def _explanation(lines: DataFrame) -> str:
    amount, discount, quantity = (
        F.coalesce(F.max(F.abs(F.col(name))), F.lit(0)).cast("decimal(20,3)")
        for name in (c.AMOUNT, c.DISCOUNT, c.QUANTITY)
    )
    largest = lines.agg(amount, discount, quantity).first()
    assert largest is not None, "an aggregation without grouping has one row"
    return (
        "a customer's amounts have to add up to less than 10^16, and the quantities to less than 9 * 10^15, but they "
        f"do not: the largest amount of a line is {largest[0]:,.2f}, the largest discount {largest[1]:,.2f}, the "
        f"largest quantity {largest[2]:,.0f}. If that is a mistake, set checks.max_amount or checks.max_quantity so "
        "that such lines are rejected, and run again; if it is not, map amounts in a larger unit, such as amount / 1000"
    )
