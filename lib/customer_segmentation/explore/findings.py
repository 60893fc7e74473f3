"""What stands out in the data, in sentences. Each has a rule that is shown with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display import formatting as w
from customer_segmentation.explore.activity import SPIKE_AROUND_DAYS, SPIKE_LEAST, SPIKE_TIMES, Stretch
from customer_segmentation.explore.columns import ColumnProfile
from customer_segmentation.explore.exploration import Exploration

REFUSED_FROM = 0.01
MISSING_FROM = 0.05
REPEATED_FROM = 0.01
STRETCH_FROM = 3
SILENT_FROM = 7
ONE_CUSTOMER_FROM = 0.10
ONE_ORDER_FROM = 0.50
RETURNS_FROM = 0.20
FEW_CUSTOMERS = 100
UNKNOWN_FROM = 0.05
SHORT_DAYS = 90

# Columns that a source may lack, so that their absence is worth a word and no alarm.
_OPTIONAL = (c.PRODUCT_ID, c.CATEGORY, c.CHANNEL, c.CAMPAIGN_ID)
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """A sentence on the data.

    is_warning: whether it may make what is modelled wrong; otherwise it is good to know.
    rule: when the sentence is told.
    """

    is_warning: bool
    text: str
    rule: str


def findings(found: Exploration, currency: str = "") -> list[Finding]:
    """What stands out, warnings first."""
    told = [
        finding
        for look in (_intake, _time, _customers, _value, _returns, _columns, _coverage)
        for finding in look(found, currency)
    ]
    return sorted(told, key=lambda finding: not finding.is_warning)


def _intake(found: Exploration, currency: str) -> Iterator[Finding]:
    intake = found.intake
    refused = intake.refused / intake.lines if intake.lines else 0.0
    if refused >= REFUSED_FROM:
        reason, lines = max(intake.by_reason.items(), key=lambda item: (item[1], item[0]), default=("", 0))
        yield Finding(
            True,
            f"{w.share(refused)} of the lines read were refused, most often for {w.humanized(reason)} "
            f"({_many(lines, 'line')}).",
            f"{w.share(REFUSED_FROM, 0)} of the lines or more are refused",
        )
    missing = intake.by_reason.get("missing_customer", 0) / intake.lines if intake.lines else 0.0
    if missing >= REFUSED_FROM:
        yield Finding(
            True,
            f"{w.share(missing)} of the lines read name no customer, so what they sold is in no segment.",
            f"{w.share(REFUSED_FROM, 0)} of the lines or more have no customer",
        )
    if found.lines_after:
        yield Finding(
            False,
            f"{_many(found.lines_after, 'accepted line')} of {w.day(found.as_of)} or later did not enter.",
            "there are lines of the as-of date or later",
        )
    repeated = found.repeated_lines / found.calendar.total.lines if found.calendar.total.lines else 0.0
    if repeated >= REPEATED_FROM:
        yield Finding(
            True,
            f"{w.share(repeated)} of the lines are equal to another one of their order in every column: "
            "either the same product was scanned twice, or lines were delivered twice.",
            f"{w.share(REPEATED_FROM, 0)} of the lines or more repeat another",
        )


def _time(found: Exploration, currency: str) -> Iterator[Finding]:
    calendar = found.calendar
    days = calendar.every_day
    if not days:
        return
    if len(days) < SHORT_DAYS:
        yield Finding(
            True,
            f"The data spans {_many(len(days), 'day')}: too short to tell who comes back from who does not.",
            f"the data spans fewer than {SHORT_DAYS} days",
        )
    long = [stretch for stretch in calendar.stretches if stretch.days >= STRETCH_FROM]
    if long:
        more = f" There are {len(long) - _SHOWN} more such stretches." if len(long) > _SHOWN else ""
        yield Finding(
            True,
            f"No orders at all {_listed([_stretch(stretch) for stretch in long[:_SHOWN]])}.{more}",
            f"{STRETCH_FROM} or more days in a row have no order",
        )
    if calendar.spikes:
        spike = calendar.spikes[0]
        others = len(calendar.spikes) - 1
        more = f", and {_many(others, 'other day')} stand out as much" if others else ""
        yield Finding(
            True,
            f"{w.day(spike.day)} has {w.count(spike.orders)} orders where {w.figure(spike.usual, 1)} are usual{more}.",
            f"a day has at least {SPIKE_LEAST} orders and more than {SPIKE_TIMES} times the median of the days with "
            f"orders up to {SPIKE_AROUND_DAYS} days before and after",
        )
    silent = (found.as_of - days[-1]).days - 1
    if silent >= SILENT_FROM:
        yield Finding(
            True,
            f"The last line is of {w.day(days[-1])}: {_many(silent, 'day')} up to the as-of date hold nothing, so "
            "every customer looks less recent than they are.",
            f"{SILENT_FROM} or more days before the as-of date have no line",
        )


def _customers(found: Exploration, currency: str) -> Iterator[Finding]:
    if found.buyers < FEW_CUSTOMERS:
        yield Finding(
            True,
            f"{_many(found.buyers, 'customer')} with a purchase: segments of so few rest on single people.",
            f"fewer than {FEW_CUSTOMERS} customers have a purchase",
        )
    once = next((bucket.count for bucket in found.customers_by_orders if bucket.label == "1"), 0)
    if found.buyers and once / found.buyers >= ONE_ORDER_FROM:
        yield Finding(
            True,
            f"{w.share(once / found.buyers)} of the customers ordered just once, so frequency tells few of them apart.",
            f"{w.share(ONE_ORDER_FROM, 0)} of the customers or more have a single order",
        )
    only_returns = found.customers - found.buyers
    if only_returns:
        yield Finding(
            False,
            f"{_many(only_returns, 'customer')} with returns alone will be in no segment.",
            "there are customers without a purchase",
        )


def _value(found: Exploration, currency: str) -> Iterator[Finding]:
    spread = found.concentration
    if spread.tops and found.customers > 1:
        top = spread.tops[-1]
        yield Finding(
            False,
            f"The top {w.share(top.part, 0)} of the customers bring {w.share(top.share)} of the spend; the Gini "
            f"coefficient is {w.figure(spread.gini, 2)}.",
            "always",
        )
    if found.largest_customer is not None and spread.spend and found.customers > 1:
        part = float(found.largest_customer / spread.spend)
        if part >= ONE_CUSTOMER_FROM:
            yield Finding(
                True,
                f"One customer brings {w.share(part)} of the spend, {w.money(found.largest_customer, currency)}: a "
                "reseller, or an id that many customers share?",
                f"one customer has {w.share(ONE_CUSTOMER_FROM, 0)} of the spend or more",
            )
    orders = found.calendar.total.orders
    if orders and found.customers > 1 and found.most_orders / orders >= ONE_CUSTOMER_FROM:
        yield Finding(
            True,
            f"One customer has {w.share(found.most_orders / orders)} of the orders: an id that many customers share?",
            f"one customer has {w.share(ONE_CUSTOMER_FROM, 0)} of the orders or more",
        )


def _returns(found: Exploration, currency: str) -> Iterator[Finding]:
    total = found.calendar.total
    part = total.return_value_share
    if total.lines and not total.return_lines:
        yield Finding(
            False,
            "No line is a return. If the shop takes goods back, look at the mapping of quantity and is_return.",
            "no line is a return",
        )
    elif part is not None and part >= RETURNS_FROM:
        yield Finding(
            True,
            f"{w.share(part)} of what was bought came back, by value.",
            f"{w.share(RETURNS_FROM, 0)} of the value bought or more is returned",
        )
    elif total.lines and total.return_lines == total.lines:
        yield Finding(True, "Every line is a return; look at the mapping of is_return.", "all lines are returns")


def _columns(found: Exploration, currency: str) -> Iterator[Finding]:
    shown = [profile for profile in found.columns if profile.table != t.REJECTED_TRANSACTIONS.name and profile.rows]
    absent = [profile for profile in shown if profile.missing == profile.rows]
    if absent:
        yield Finding(
            any(profile.column not in _OPTIONAL for profile in absent),
            f"{_listed([_named(profile) for profile in absent])} {'hold' if len(absent) > 1 else 'holds'} no value.",
            "a column has no value at all",
        )
    holes = [profile for profile in shown if profile.rows > profile.missing >= MISSING_FROM * profile.rows]
    if holes:
        told = [f"{_named(profile)} ({w.share(profile.missing_share)})" for profile in holes]
        yield Finding(
            True,
            f"Values are missing in {_listed(told)}.",
            f"{w.share(MISSING_FROM, 0)} or more of a column's values are missing, but not all",
        )
    same = [
        profile
        for profile in shown
        if profile.distinct == 1 and profile.rows > 1 and not profile.missing and profile.column != c.IS_RETURN
    ]
    if same:
        have = "have" if len(same) > 1 else "has"
        yield Finding(
            False,
            f"{_listed([_named(profile) for profile in same])} {have} the same value in every row.",
            "a column has one value only",
        )


def _coverage(found: Exploration, currency: str) -> Iterator[Finding]:
    for part in found.coverage:
        known = part.both + part.without_orders
        if known and part.without_orders / known >= UNKNOWN_FROM:
            yield Finding(
                False,
                f"{w.share(part.without_orders / known)} of the customers in {part.table} have no order line.",
                f"{w.share(UNKNOWN_FROM, 0)} or more of a table's customers have no order line",
            )
        if part.table == t.CUSTOMERS.name and found.customers and not part.both:
            yield Finding(
                True,
                "No customer with orders has attributes: the ids of the two sources do not fit.",
                "customers and transactions share no customer",
            )
        elif part.table == t.CUSTOMERS.name and found.customers > part.both:
            yield Finding(
                False,
                f"{w.share(part.both / found.customers)} of the customers with orders have attributes.",
                "some customers with orders have no attributes",
            )


def _named(profile: ColumnProfile) -> str:
    return f"{profile.table}.{w.plain_text(profile.column)}"


def _stretch(stretch: Stretch) -> str:
    if stretch.first == stretch.last:
        return f"on {w.day(stretch.first)}"
    return f"from {_short(stretch.first, stretch.last)} to {w.day(stretch.last)} ({stretch.days} days)"


def _short(first: date, last: date) -> str:
    return f"{first.day} {first:%B}" if first.year == last.year else w.day(first)


def _many(number: int, what: str) -> str:
    return f"{w.count(number)} {what}{'' if number == 1 else 's'}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
