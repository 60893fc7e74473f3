"""The as-of date of a run: configured, or derived from the order lines."""

from collections.abc import Sequence
from datetime import date, timedelta

from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.features.stray_days import stray_days


def derived_as_of(order_days: Sequence[date], *, start_day: date) -> date:
    """The day after the last order of the day that the run started or before.

    Args:
        order_days: each day with an order line, ascending.
        start_day: on which the run started, where the shop is.

    Raises:
        DataRejectedError: there is no order by that day.
    """
    if not order_days:
        raise DataRejectedError("there are no order lines to segment customers by")
    past = [day for day in order_days if day <= start_day]
    if not past:
        raise DataRejectedError(
            f"all order lines are dated after the day of the run, {start_day}: the first is of {order_days[0]}; "
            "mend their dates or this machine's clock, or set as_of"
        )
    return past[-1] + timedelta(days=1)


def remarks_on(as_of: date, order_days: Sequence[date], *, start_day: date) -> list[str]:
    """Warnings on a derived as-of date: orders that it excludes, and stray days that it rests on alone."""
    remarks = []
    if order_days[-1] >= as_of:
        remarks.append(
            f"order lines are dated up to {order_days[-1]}, after the day of the run, {start_day}: those do not "
            "enter; mend them, or reject them by checks.latest_order"
        )
    stray = stray_days([day for day in order_days if day < as_of])
    if stray is not None:
        which = (
            f"the last order day, {stray.last}, lies"
            if stray.days == 1
            else f"the last {stray.days} order days, {stray.first} to {stray.last}, lie"
        )
        remarks.append(
            f"{which} {stray.gap_days:,} days after the one before, {stray.last_before}, far from all others; if "
            f"that is a mistake, set as_of or checks.latest_order to {stray.last_before + timedelta(days=1)}"
        )
    return remarks
