"""Divides the lines among the archetypes: which lines, orders and customers are whose, by ranges of numbers.

Plain arithmetic on a handful of numbers; it costs the same for a thousand lines and a billion.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from math import ceil

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Generate
from customer_segmentation.synthetic.archetypes import ARCHETYPES, CHAMPIONS, Archetype


@dataclass(frozen=True)
class Cohort:
    """Customers of one archetype with their orders and lines, each numbered without a gap.

    Orders come in pairs that share a fixed number of lines, cut in two at a drawn place: so orders differ in size,
    and still a line's order follows from its number alone.
    """

    archetype: Archetype
    first_line: int
    lines: int
    first_order: int
    lines_per_pair: int
    first_customer: int
    customers: int

    @property
    def end_line(self) -> int:
        """The number after its last line's."""
        return self.first_line + self.lines

    @property
    def end_customer(self) -> int:
        """The number after its last customer's."""
        return self.first_customer + self.customers

    @property
    def follower_weight(self) -> float:
        """Lines for each line at an odd place of its order, counted from 0; 0 where there is none."""
        size = self.lines_per_pair
        followers = sum(cut // 2 + (size - cut) // 2 for cut in range(1, size))
        return size * (size - 1) / followers if followers else 0.0

    @property
    def sql(self) -> str:
        """All of it as one constant struct; as text, since hundreds of literals take Spark's Python seconds to make."""
        numbers = asdict(self)
        values = {**numbers.pop("archetype"), **numbers, "follower_weight": self.follower_weight}
        fields = ", ".join(f"'{name}', {_sql(value)}" for name, value in values.items())
        return f"named_struct({fields})"


@dataclass(frozen=True)
class Plan:
    """The cohorts, in the order of their numbers.

    cohorts: one per archetype; together they have every customer.
    heavy: further orders of the first champion, who gets the configured share of all orders; empty without a skew.
    """

    cohorts: tuple[Cohort, ...]
    heavy: Cohort

    def cohort_of_line(self) -> Column:
        """The cohort of the column line, as a struct."""
        return _by_range("line", [(cohort.end_line, cohort) for cohort in (*self.cohorts, self.heavy)])

    def cohort_of_customer(self) -> Column:
        """The cohort of the column customer, as a struct."""
        return _by_range("customer", [(cohort.end_customer, cohort) for cohort in self.cohorts])


def make_plan(settings: Generate) -> Plan:
    """Divide customers by share, and lines by share x orders x lines per order.

    Every archetype gets a customer, and every customer at least a line; where lines are scarce, that comes first.
    """
    groups = (*ARCHETYPES, CHAMPIONS)
    spare = apportion(settings.customers - len(ARCHETYPES), [archetype.share for archetype in ARCHETYPES])
    customers = [1 + count for count in spare] + [0]

    demand = [archetype.share * archetype.orders for archetype in ARCHETYPES]
    orders = [(1 - settings.skew) * value / sum(demand) for value in demand] + [settings.skew]
    wanted = [share * archetype.lines_per_order for share, archetype in zip(orders, groups, strict=True)]
    missing = [max(0.0, settings.lines * w / sum(wanted) - n) for w, n in zip(wanted, customers, strict=True)]
    further = apportion(settings.lines - settings.customers, missing)
    lines = [n + count for n, count in zip(customers, further, strict=True)]

    cohorts: list[Cohort] = []
    first_line = first_order = first_customer = 0
    for archetype, n_lines, n_customers in zip(groups, lines, customers, strict=True):
        size = _lines_per_pair(archetype, n_lines, n_customers)
        heavy = n_customers == 0
        cohorts.append(
            Cohort(
                archetype, first_line, n_lines, first_order, size,
                first_customer=0 if heavy else first_customer, customers=1 if heavy else n_customers,
            )
        )  # fmt: skip
        first_line += n_lines
        first_order += 2 * ceil(n_lines / size)
        first_customer += n_customers
    return Plan(tuple(cohorts[:-1]), cohorts[-1])


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the weights that add up to the total."""
    edges = list(accumulate(weights))
    bounds = [0, *(round(total * (edge / (edges[-1] or 1.0))) for edge in edges)]
    return [high - low for low, high in pairwise(bounds)]


def _lines_per_pair(archetype: Archetype, lines: int, customers: int) -> int:
    """Lines that two orders share, fewer than usual where otherwise not every customer had an order."""
    pairs = ceil(customers / 2) or 1
    return max(2, min(round(2 * archetype.lines_per_order), lines // pairs))


def _by_range(number: str, ranges: Sequence[tuple[int, Cohort]]) -> Column:
    cases = " ".join(f"when {number} < {end}L then {cohort.sql}" for end, cohort in ranges)
    return F.expr(f"case {cases} end")


def _sql(value: object) -> str:
    match value:
        case tuple():
            return f"array({', '.join(_sql(item) for item in value)})"
        case int():
            return f"{value}L"
        case float():
            return f"{value!r}D"
        case _:
            return f"'{value}'"
