"""What a feature is."""

from dataclasses import dataclass
from typing import Literal

Shape = Literal["skewed", "even"]
"""How a feature is prepared for clustering: a skewed one by its signed logarithm, an even one as it is."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A number per customer, with the formula that it is computed by.

    name: column in `customer_features`.
    family: what it is listed and weighted with.
    type: Spark SQL type.
    unit: of the value, for people ("days", "money", "share").
    meaning: one sentence, edge cases included.
    formula: Spark SQL over `as_of`, the columns of `customer_history`, and what `customer_segmentation.features` sums
        up in the windows before that date (spend_, spend_before_ and orders_ of short, medium and long) and of
        engagement (contacts, responses, last_response_day, received, answered); length_ of a window in days;
        priced_spend, and spend_at_average_prices, what the same items would have cost there; category_lines, and
        expected_discounted_lines, how many of them would be discounted if all bought as all do; shop_, of all customers
        together, see `shop_averages`. Where the library does not declare the feature, over the declared ones too.
    shape: how the values spread, see `Shape`.
    high, low: what people call a customer with much or little of it.
    source: the table that it comes from, and where the formula is another's, whose.
    """

    name: str
    family: str = "derived"
    type: str = "double"
    unit: str = "number"
    meaning: str
    formula: str
    shape: Shape = "even"
    high: str = ""
    low: str = ""
    source: str = "transactions"

    @property
    def comment(self) -> str:
        """The column comment: the meaning with its unit."""
        return f"{self.meaning} Unit: {self.unit}."


def ratio(part: str, whole: str) -> str:
    """The SQL of a part by a whole as a double; null where the whole is 0 or unknown."""
    return f"try_divide(cast({part} AS DOUBLE), cast({whole} AS DOUBLE))"


def share(part: str, whole: str) -> str:
    """The SQL of a ratio that is 0 where there is no whole."""
    return f"coalesce({ratio(part, whole)}, 0D)"


def shrunk(part: str, whole: str, *, mean: str, weight: float, seen: str = "", or_null: bool = False) -> str:
    """The SQL of a ratio shrunk towards the mean of all customers, as if `weight` more had been seen at that mean.

    Empirical Bayes: the posterior mean of a share whose beta prior has this mean and weight; where there is no whole
    the mean itself, or null.

    Args:
        seen: of how many lines, orders or contacts the customer's ratio is; of the whole where nothing is said.
    """
    seen = seen or whole
    drawn = f"coalesce(({seen} * {ratio(part, whole)} + {weight}D * {mean}) / ({seen} + {weight}D), {mean})"
    return f"if({whole} > 0, {drawn}, NULL)" if or_null else drawn


def digamma(value: str) -> str:
    """The SQL of the digamma function of a double that is at least 1, to nine decimals.

    The asymptotic series at the value plus 4, and the recurrence down to it (Abramowitz and Stegun 1964, 6.3.18 and
    6.3.5).
    """
    x = f"({value} + 4D)"
    terms = (
        "- 1 / (12 * pow({x}, 2))",
        "+ 1 / (120 * pow({x}, 4))",
        "- 1 / (252 * pow({x}, 6))",
        "+ 1 / (240 * pow({x}, 8))",
    )
    series = " ".join([f"ln({x}) - 1 / (2 * {x})", *(term.format(x=x) for term in terms)])
    return f"({series} - 1 / {value} - 1 / ({value} + 1) - 1 / ({value} + 2) - 1 / ({value} + 3))"
