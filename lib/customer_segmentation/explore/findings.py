"""Findings: what stands out in the data, in sentences. Each rule is declared once and shown with its finding."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.verdict import Finding, Severity
from customer_segmentation.explore.activity import SPIKE_FACTOR, SPIKE_MIN_ORDERS, SPIKE_WINDOW_DAYS, InactivePeriod
from customer_segmentation.explore.columns import ColumnProfile
from customer_segmentation.explore.coverage import Coverage
from customer_segmentation.explore.exploration import Exploration

MIN_MISSING_SHARE = 0.05
MIN_INACTIVE_DAYS = 3
FEW_CUSTOMERS = 100
FEW_DAYS = 90

# Columns that a source may lack, so that their absence is noted and no warning.
_OPTIONAL = (c.PRODUCT_ID, c.CATEGORY, c.CHANNEL, c.CAMPAIGN_ID)
_MAX_PERIODS = 3


@dataclass(frozen=True)
class Rule:
    """A rule that makes a finding.

    when: the rule in words, shown with the finding; "always" for one without a condition. `{minimum}` is a share.
    text: the finding; `{share}` or `{count}` is the value, `{currency}` the currency, `{data}` the exploration. Without
        it the value is the text.
    value: what is compared; None where the rule does not apply.
    minimum: the value from which there is a finding; without it, any that is neither 0 nor empty.
    """

    when: str
    text: str
    value: Callable[[Exploration], float | str | None]
    minimum: float | None = None

    def finding(self, data: Exploration, severity: Severity, currency: str) -> Finding | None:
        """The finding, if the rule holds for the data."""
        value = self.value(data)
        if value is None or (not value if self.minimum is None else float(value) < self.minimum):
            return None
        if isinstance(value, str):
            return Finding(severity, value, self.when)
        figures = {"share": fmt.share(value), "count": fmt.count(value), "s": "" if value == 1 else "s"}
        largest = fmt.money(data.largest_customer, currency)
        dates = {"as_of": fmt.day(data.as_of), "last": fmt.day(max(data.calendar.days, default=None))}
        when = self.when.format(minimum=fmt.share(self.minimum, 0))
        return Finding(severity, self.text.format(**figures, **dates, largest=largest), when)


def findings(data: Exploration, currency: str = "") -> list[Finding]:
    """All that stands out, warnings first."""
    return [
        finding
        for severity, rules in RULES.items()
        for rule in rules
        if (finding := rule.finding(data, severity, currency)) is not None
    ]


def _inactive_periods(data: Exploration) -> str:
    periods = [period for period in data.calendar.inactive_periods if period.days >= MIN_INACTIVE_DAYS]
    others = len(periods) - _MAX_PERIODS
    more = f" There are {others} more such periods." if others > 0 else ""
    return (
        f"No orders at all {_joined([_dates(period) for period in periods[:_MAX_PERIODS]])}.{more}" if periods else ""
    )


def _dates(period: InactivePeriod) -> str:
    first, last = period.first, period.last
    if first == last:
        return f"on {fmt.day(first)}"
    start = f"{first.day} {first:%B}" if first.year == last.year else fmt.day(first)
    return f"from {start} to {fmt.day(last)} ({period.days} days)"


def _spikes(data: Exploration) -> str:
    if not data.calendar.spikes:
        return ""
    spike, others = data.calendar.spikes[0], len(data.calendar.spikes) - 1
    more = f", and {fmt.count(others)} other day{'' if others == 1 else 's'} stand out as much" if others else ""
    usual = fmt.figure(spike.usual, 1)
    return f"{fmt.day(spike.day)} has {fmt.count(spike.orders)} orders where {usual} are usual{more}."


def _rejected_lines(data: Exploration) -> str:
    counts, minimum = data.line_counts, 0.01
    share = _ratio(counts.rejected, counts.lines) or 0.0
    reason, lines = max(counts.by_reason.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    often = f"{fmt.humanized(reason)} ({fmt.count(lines)} line{'' if lines == 1 else 's'})"
    return f"{fmt.share(share)} of the lines read were rejected, most often for {often}." if share >= minimum else ""


def _top_customers(data: Exploration) -> str:
    if not data.concentration.tops or data.customers <= 1:
        return ""
    top = data.concentration.tops[-1]
    share = f"The top {fmt.share(top.part, 0)} of the customers bring {fmt.share(top.share)} of the spend"
    return f"{share}; the Gini coefficient is {fmt.figure(data.concentration.gini, 2)}."


def _share_with_one_order(data: Exploration) -> float | None:
    single = next((bucket.count for bucket in data.customers_by_orders if bucket.label == "1"), 0)
    return _ratio(single, data.buyers)


def _share_of_largest(data: Exploration) -> float | None:
    spend, largest = data.concentration.spend, data.largest_customer
    return float(largest / spend) if largest is not None and spend and data.customers > 1 else None


def _empty_columns(data: Exploration, *, optional: bool) -> str:
    empty = [profile for profile in _profiles(data) if profile.missing == profile.rows]
    if not empty or all(profile.column in _OPTIONAL for profile in empty) is not optional:
        return ""
    return f"{_joined(map(_name, empty))} {'hold' if len(empty) > 1 else 'holds'} no value."


def _incomplete_columns(data: Exploration) -> str:
    incomplete = [each for each in _profiles(data) if each.rows > each.missing >= MIN_MISSING_SHARE * each.rows]
    shares = [f"{_name(profile)} ({fmt.share(profile.missing_share)})" for profile in incomplete]
    return f"Values are missing in {_joined(shares)}." if incomplete else ""


def _constant_columns(data: Exploration) -> str:
    constant = [each for each in _profiles(data) if each.distinct == 1 and each.rows > 1 and not each.missing]
    names = [_name(profile) for profile in constant if profile.column != c.IS_RETURN]
    return f"{_joined(names)} {'have' if len(names) > 1 else 'has'} the same value in every row." if names else ""


def _with_attributes(data: Exploration) -> float | None:
    """Share of the customers with orders that have attributes; None where all have, or there are none."""
    both = next((each.both for each in data.coverage if each.table == t.CUSTOMERS.name), data.customers)
    return both / data.customers if data.customers > both else None


def _without_orders(table: str) -> Rule:
    def share(data: Exploration) -> float | None:
        known = next((each for each in data.coverage if each.table == table), Coverage(table, 0, 0))
        return _ratio(known.without_orders, known.both + known.without_orders)

    when = "{minimum} or more of a table's customers have no order line"
    return Rule(when, f"{{share}} of the customers in {table} have no order line.", share, 0.05)


_WARNINGS = (
    Rule("1% of the lines or more are rejected", "", _rejected_lines),
    Rule(
        "{minimum} of the lines or more have no customer",
        "{share} of the lines read name no customer, so what they sold is in no segment.",
        lambda data: _ratio(data.line_counts.by_reason.get("missing_customer", 0), data.line_counts.lines),
        0.01,
    ),
    Rule(
        "{minimum} of the lines or more repeat another",
        "{share} of the lines are equal to another one of their order in every column: either the same product was "
        "scanned twice, or lines were delivered twice.",
        lambda data: _ratio(data.repeated_lines, data.calendar.total.lines),
        0.01,
    ),
    Rule(
        f"the data spans fewer than {FEW_DAYS} days",
        "The data spans {count} day{s}: too short to separate who comes back from who does not.",
        lambda data: len(data.calendar.dates) if len(data.calendar.dates) < FEW_DAYS else None,
    ),
    Rule(f"{MIN_INACTIVE_DAYS} or more days in a row have no order", "", _inactive_periods),
    Rule(
        f"a day has at least {SPIKE_MIN_ORDERS} orders and more than {SPIKE_FACTOR} times the median of the days with "
        f"orders up to {SPIKE_WINDOW_DAYS} days before and after",
        "",
        _spikes,
    ),
    Rule(
        "7 or more days before the as-of date have no line",
        "The last line is of {last}: {count} day{s} up to the as-of date hold nothing, so every customer appears less "
        "recent than they are.",
        lambda data: (data.as_of - data.calendar.dates[-1]).days - 1 if data.calendar.dates else None,
        7,
    ),
    Rule(
        f"fewer than {FEW_CUSTOMERS} customers have a purchase",
        "{count} customer{s} with a purchase: segments of so few rest on single people.",
        lambda data: data.buyers if data.buyers < FEW_CUSTOMERS else None,
        0,
    ),
    Rule(
        "{minimum} of the customers or more have a single order",
        "{share} of the customers ordered just once, so frequency separates few of them.",
        _share_with_one_order,
        0.5,
    ),
    Rule(
        "one customer has {minimum} of the spend or more",
        "One customer brings {share} of the spend, {largest}: a reseller, or an id that many customers share?",
        _share_of_largest,
        0.1,
    ),
    Rule(
        "one customer has {minimum} of the orders or more",
        "One customer has {share} of the orders: an id that many customers share?",
        lambda data: _ratio(data.max_orders, data.calendar.total.orders) if data.customers > 1 else None,
        0.1,
    ),
    Rule(
        "{minimum} of the value bought or more is returned",
        "{share} of what was bought was returned, by value.",
        lambda data: data.calendar.total.return_value_share,
        0.2,
    ),
    Rule(
        "all lines are returns",
        "Every line is a return; check the mapping of is_return.",
        lambda data: 0 < data.calendar.total.lines == data.calendar.total.return_lines,
    ),
    Rule("a column has no value at all", "", lambda data: _empty_columns(data, optional=False)),
    Rule("5% or more of a column's values are missing, but not all", "", _incomplete_columns),
    Rule(
        "customers and transactions share no customer",
        "No customer with orders has attributes: the ids of the two sources do not fit.",
        lambda data: _with_attributes(data) == 0,
    ),
)

_NOTES = (
    Rule(
        "there are lines of the as-of date or later",
        "{count} accepted line{s} of {as_of} or later did not enter.",
        lambda data: data.lines_after,
    ),
    Rule(
        "there are customers without a purchase",
        "{count} customer{s} with returns alone will be in no segment.",
        lambda data: data.customers - data.buyers,
    ),
    Rule("always", "", _top_customers),
    Rule(
        "no line is a return",
        "No line is a return. If the shop takes goods back, check the mapping of quantity and is_return.",
        lambda data: data.calendar.total.lines > 0 == data.calendar.total.return_lines,
    ),
    Rule("a column has no value at all", "", lambda data: _empty_columns(data, optional=True)),
    Rule("a column has one value only", "", _constant_columns),
    _without_orders(t.CUSTOMERS.name),
    _without_orders(t.ENGAGEMENT.name),
    Rule(
        "some customers with orders have no attributes",
        "{share} of the customers with orders have attributes.",
        _with_attributes,
    ),
)

RULES = {Severity.WARNING: _WARNINGS, Severity.NOTE: _NOTES}
"""By severity, worst first, in the order in which their findings are shown."""


def _profiles(data: Exploration) -> list[ColumnProfile]:
    """Columns of the canonical tables that have rows."""
    return [each for each in data.columns if each.table != t.REJECTED_TRANSACTIONS.name and each.rows]


def _name(profile: ColumnProfile) -> str:
    return f"{profile.table}.{fmt.plain_text(profile.column)}"


def _joined(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
