"""Findings: what stands out in the data, in sentences. Each rule is declared once and shown with its finding."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.verdict import Finding, Severity
from customer_segmentation.explore.activity import SPIKE_FACTOR, SPIKE_MIN_ORDERS, SPIKE_WINDOW_DAYS
from customer_segmentation.explore.columns import ColumnProfile
from customer_segmentation.explore.distributions import ORDERS_PER_CUSTOMER, SPEND_PER_CUSTOMER
from customer_segmentation.explore.exploration import Exploration
from customer_segmentation.explore.text import Text, value_at

MIN_REJECTED_SHARE = 0.01
MIN_MISSING_SHARE = 0.05
MIN_INACTIVE_DAYS = 3
FEW_CUSTOMERS = 100
FEW_DAYS = 90

# Columns that a source may lack, so that their absence is noted and no warning.
_OPTIONAL = (c.PRODUCT_ID, c.CATEGORY, c.CHANNEL, c.CAMPAIGN_ID)
_MAX_PERIODS = 3


@dataclass(frozen=True)
class Rule:
    """When there is a finding.

    when: in words, shown with the finding; "always" for one without a condition.
    value: what is compared, or its path in an exploration; None where the rule does not apply.
    minimum: the value from which there is a finding; without it, any that is neither 0 nor empty.
    """

    when: str
    value: str | Callable[[Exploration], Any]
    minimum: float | None = None


def findings(data: Exploration, currency: str = "") -> list[Finding]:
    """All that stands out, warnings first."""
    text, found, last = Text(currency), [], max(data.calendar.days, default=None)
    for severity, rules in RULES.items():
        for words, rule in rules.items():
            value = value_at(data, rule.value) if isinstance(rule.value, str) else rule.value(data)
            if value is not None and (value if rule.minimum is None else value >= rule.minimum):
                when = text.fill(rule.when, data, minimum=rule.minimum)
                found.append(Finding(severity, text.fill(words, data, value=value, last=last), when))
    return found


def _inactive_periods(data: Exploration) -> str:
    periods = [period for period in data.calendar.inactive_periods if period.days >= MIN_INACTIVE_DAYS]
    more = f" There are {len(periods) - _MAX_PERIODS} more such periods." if len(periods) > _MAX_PERIODS else ""
    return f"{_joined(_dates(*period, period.days) for period in periods[:_MAX_PERIODS])}.{more}" if periods else ""


def _dates(first: date, last: date, days: int) -> str:
    start = f"{first.day} {first:%B}" if first.year == last.year else fmt.day(first)
    return f"from {start} to {fmt.day(last)} ({days} days)"


def _spikes(data: Exploration) -> str:
    others = len(data.calendar.spikes) - 1
    more = f", and {fmt.count(others)} other day{'' if others == 1 else 's'} stand out as much" if others else ""
    return f"{more}." if data.calendar.spikes else ""


def _most_rejected(data: Exploration) -> str:
    counts = data.line_counts
    reason, lines = max(counts.by_reason.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    often = f"{fmt.humanized(reason)} ({fmt.count(lines)} line{'' if lines == 1 else 's'})"
    return often if counts.lines and counts.rejected / counts.lines >= MIN_REJECTED_SHARE else ""


def _empty(data: Exploration, *, optional: bool) -> str:
    empty = [each for each in _profiles(data) if each.missing == each.rows]
    if not empty or all(each.column in _OPTIONAL for each in empty) is not optional:
        return ""
    return f"{_joined(map(_name, empty))} {'hold' if len(empty) > 1 else 'holds'}"


def _incomplete(data: Exploration) -> str:
    incomplete = [each for each in _profiles(data) if each.rows > each.missing >= MIN_MISSING_SHARE * each.rows]
    return _joined(f"{_name(profile)} ({fmt.share(profile.missing_share)})" for profile in incomplete)


def _constant(data: Exploration) -> str:
    constant = [each for each in _profiles(data) if each.distinct == 1 and each.rows > 1 and not each.missing]
    names = [_name(profile) for profile in constant if profile.column != c.IS_RETURN]
    return f"{_joined(names)} {'have' if len(names) > 1 else 'has'}" if names else ""


def _with_attributes(data: Exploration) -> float | None:
    """Share of the customers with orders that have attributes; None where all have, or there are none."""
    both = data.coverage.get(t.CUSTOMERS.name, {}).get("both", data.customers)
    return both / data.customers if data.customers > both else None


def _without_orders(table: str) -> Rule:
    return Rule(
        "{minimum:share0} or more of a table's customers have no order line",
        lambda data: (known := data.coverage.get(table)) and known["without_orders"] / max(sum(known.values()), 1),
        0.05,
    )


_MAX_ORDERS, _LARGEST_SPEND = (
    f"distributions[{measure.name}].summary.maximum" for measure in (ORDERS_PER_CUSTOMER, SPEND_PER_CUSTOMER)
)

_WARNINGS = {
    "{line_counts.rejected/line_counts.lines:share} of the lines read were rejected, most often for {value}.": Rule(
        "1% of the lines or more are rejected", _most_rejected
    ),
    "{value:share} of the lines read name no customer, so what they sold is in no segment.": Rule(
        "{minimum:share0} of the lines or more have no customer",
        lambda data: data.line_counts.by_reason.get("missing_customer", 0) / max(data.line_counts.lines, 1),
        0.01,
    ),
    "{value:share} of the lines are equal to another one of their order in every column: either the same product was "
    "scanned twice, or lines were delivered twice.": Rule(
        "{minimum:share0} of the lines or more repeat another", "repeated_lines/calendar.total.lines", 0.01
    ),
    "The data spans {value:count} day{value:s}: too short to separate who comes back from who does not.": Rule(
        f"the data spans fewer than {FEW_DAYS} days",
        lambda data: len(data.calendar.dates) if len(data.calendar.dates) < FEW_DAYS else None,
    ),
    "No orders at all {value}": Rule(f"{MIN_INACTIVE_DAYS} or more days in a row have no order", _inactive_periods),
    "{calendar.spikes[0].day:day} has {calendar.spikes[0].orders:count} orders where "
    "{calendar.spikes[0].usual:figure1} are usual{value}": Rule(
        f"a day has at least {SPIKE_MIN_ORDERS} orders and more than {SPIKE_FACTOR} times the median of the days with "
        f"orders up to {SPIKE_WINDOW_DAYS} days before and after",
        _spikes,
    ),
    "The last line is of {last:day}: {value:count} day{value:s} up to the as-of date hold nothing, so every "
    "customer appears less recent than they are.": Rule(
        "7 or more days before the as-of date have no line",
        lambda data: (data.as_of - data.calendar.dates[-1]).days - 1 if data.calendar.dates else None,
        7,
    ),
    "{value:count} customer{value:s} with a purchase: segments of so few rest on single people.": Rule(
        f"fewer than {FEW_CUSTOMERS} customers have a purchase",
        lambda data: data.buyers if data.buyers < FEW_CUSTOMERS else None,
        0,
    ),
    "{value:share} of the customers ordered just once, so frequency separates few of them.": Rule(
        "{minimum:share0} of the customers or more have a single order",
        lambda data: sum(each.count for each in data.customers_by_orders if each.label == "1") / max(data.buyers, 1),
        0.5,
    ),
    f"One customer brings {{value:share}} of the spend, {{{_LARGEST_SPEND}:money}}: a reseller, or an id that many "
    "customers share?": Rule(
        "one customer has {minimum:share0} of the spend or more",
        lambda data: value_at(data, f"{_LARGEST_SPEND}/concentration.spend") if data.customers > 1 else None,
        0.1,
    ),
    "One customer has {value:share} of the orders: an id that many customers share?": Rule(
        "one customer has {minimum:share0} of the orders or more",
        lambda data: value_at(data, f"{_MAX_ORDERS}/calendar.total.orders") if data.customers > 1 else None,
        0.1,
    ),
    "{value:share} of what was bought was returned, by value.": Rule(
        "{minimum:share0} of the value bought or more is returned", "calendar.total.returned/calendar.total.bought", 0.2
    ),
    "Every line is a return; check the mapping of is_return.": Rule(
        "all lines are returns", lambda data: 0 < data.calendar.total.lines == data.calendar.total.return_lines
    ),
    "{value} no value.": Rule("a column has no value at all", lambda data: _empty(data, optional=False)),
    "Values are missing in {value}.": Rule("5% or more of a column's values are missing, but not all", _incomplete),
    "No customer with orders has attributes: the ids of the two sources do not fit.": Rule(
        "customers and transactions share no customer", lambda data: _with_attributes(data) == 0
    ),
}

_NOTES = {
    "{value:count} accepted line{value:s} of {as_of:day} or later did not enter.": Rule(
        "there are lines of the as-of date or later", "lines_after"
    ),
    "{value:count} customer{value:s} with returns alone will be in no segment.": Rule(
        "there are customers without a purchase", lambda data: data.customers - data.buyers
    ),
    "The {value[0].label} of the customers bring {value[0].part:share} of the spend; the Gini coefficient is "
    "{concentration.gini:figure2}.": Rule(
        "always", lambda data: data.concentration.tops[-1:] if data.customers > 1 else None
    ),
    "No line is a return. If the shop takes goods back, check the mapping of quantity and is_return.": Rule(
        "no line is a return", lambda data: data.calendar.total.lines > 0 == data.calendar.total.return_lines
    ),
    "{value} no value.": Rule("a column has no value at all", lambda data: _empty(data, optional=True)),
    "{value} the same value in every row.": Rule("a column has one value only", _constant),
    "{value:share} of the customers in customers have no order line.": _without_orders(t.CUSTOMERS.name),
    "{value:share} of the customers in engagement have no order line.": _without_orders(t.ENGAGEMENT.name),
    "{value:share} of the customers with orders have attributes.": Rule(
        "some customers with orders have no attributes", _with_attributes
    ),
}

RULES = {Severity.WARNING: _WARNINGS, Severity.NOTE: _NOTES}
"""By severity, worst first, the rule of each finding, in the order in which they are shown."""


def _profiles(data: Exploration) -> list[ColumnProfile]:
    """Columns of the canonical tables that have rows."""
    return [each for each in data.columns if each.table != t.REJECTED_TRANSACTIONS.name and each.rows]


def _name(profile: ColumnProfile) -> str:
    return f"{profile.table}.{fmt.plain_text(profile.column)}"


def _joined(names: Iterable[str]) -> str:
    """Names as `a, b and c`."""
    *others, last = list(names) or [""]
    return f"{', '.join(others)} and {last}" if others else last
