"""The dates that a backtest goes back to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from customer_segmentation.contract.errors import DataRejectedError


@dataclass(frozen=True)
class BacktestDates:
    """The dates T by horizon; what is known before T is evaluated by what was done in the horizon from T on.

    first: day of the first order.
    by_horizon: dates, ascending, by days of the horizon; horizons without one are not there.
    skipped: why horizons or dates are not there, a sentence each.
    """

    first: date
    by_horizon: dict[int, list[date]]
    skipped: list[str]

    def learnt_from(self, horizon: int, day: date) -> date | None:
        """The date a horizon earlier, which what is known at a date can be learnt from: all that followed is known.

        None where less than a horizon of orders lies before it.
        """
        earlier = day - timedelta(horizon)
        return earlier if (earlier - self.first).days >= horizon else None


def backtest_dates(
    first: date, end: date, *, horizons: Sequence[int], folds: int, dates: Sequence[date] = ()
) -> BacktestDates:
    """The dates for each horizon: the given ones that it fits after, else the last ones that the history allows.

    Derived dates lie a horizon apart, the last of them a horizon before the end: no two are evaluated by the same days.
    Before each lies twice the horizon, so that a score can be trained on what was done in the horizon before; where
    there is no such date, once the horizon.

    Args:
        first: day of the first order.
        end: the day after the last one whose orders are known.
        horizons: days after the date by which scores are evaluated.
        folds: dates for each horizon at most, where none are given.
        dates: that are asked for.

    Raises:
        DataRejectedError: no horizon has a date.
    """
    by_horizon: dict[int, list[date]] = {}
    skipped = []
    for horizon in sorted(set(horizons)):
        if dates:
            found = sorted({day for day in dates if first < day <= end - timedelta(horizon)})
            late = sorted(set(dates) - set(found))
            if late:
                skipped.append(
                    f"horizon of {horizon} days: {', '.join(map(str, late))} skipped; a date needs orders before it "
                    f"and {horizon} days after it, and there are orders from {first} to before {end}"
                )
        else:
            found = _derived(first, end, horizon, folds)
            if not found:
                skipped.append(f"horizon of {horizon} days: skipped; it needs {2 * horizon} days of orders")
        if found:
            by_horizon[horizon] = found
    if not by_horizon:
        known, shortest = (end - first).days, min(horizons)
        wanted = f"backtest.dates ({', '.join(map(str, sorted(dates)))})" if dates else "a backtest"
        raise DataRejectedError(
            f"the history is too short for {wanted}: there are {known} days of orders, {first} to before {end}; the "
            f"shortest of backtest.horizons is {shortest} days, which needs as many before and after its date. Set "
            f"backtest.horizons to at most {max(known // 2, 1)} days"
            + (", choose earlier dates" if dates else "")
            + f", or come back when there are orders up to {first + timedelta(2 * shortest)}"
        )
    return BacktestDates(first, by_horizon, skipped)


def _derived(first: date, end: date, horizon: int, folds: int) -> list[date]:
    back = [end - timedelta(horizon * (fold + 1)) for fold in range(folds)]
    for history in (2 * horizon, horizon):
        enough = [day for day in reversed(back) if (day - first).days >= history]
        if enough:
            return enough
    return []
