"""What a synthetic customer is like, from its number and its cohort: columns `customer` and `cohort`."""

from math import gcd

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.synthetic.draws import Draws

AGE_GROUPS = ("18-24", "25-34", "35-49", "50-64", "65+")
REGIONS = ("north", "east", "south", "west", "centre")

_LEAST_DIGITS = 7
_GOLDEN_SECTION = 0.618
_TYPICAL_AGE_SHARE = 0.4
"""Probability that a customer's age group is the archetype's typical one, not just any."""


def customer_id(customers: int, seed: int) -> Column:
    """The customer's id as text, C0000012. Shuffled, so that no range of ids is of one archetype."""
    shuffled = (F.col("customer") * _stride(customers) + seed) % customers
    digits = max(_LEAST_DIGITS, len(str(customers - 1)))
    return F.concat(F.lit("C"), F.lpad(shuffled.cast("string"), digits, "0"))


def own(draws: Draws, trait: str) -> Column:
    """The customer's own value of a trait for which the archetype has a range."""
    return draws.between(trait, F.col("customer"), F.col(f"cohort.{trait}"))


def own_count(draws: Draws, trait: str) -> Column:
    """A customer's value of a trait in whole numbers, drawn evenly from the cohort's range."""
    low, high = F.col(f"cohort.{trait}")[0], F.col(f"cohort.{trait}")[1]
    return low + draws.below(trait, F.col("customer"), high - low + 1)


def age_group(draws: Draws) -> Column:
    """The customer's age group, which hints at the archetype."""
    customer = F.col("customer")
    typical = draws.chance("typical age", customer, _TYPICAL_AGE_SHARE)
    return F.when(typical, F.col("cohort.typical_age")).otherwise(draws.one_of("age", customer, AGE_GROUPS))


def region(draws: Draws) -> Column:
    """The customer's region, which says nothing of the archetype."""
    return draws.one_of("region", F.col("customer"), REGIONS)


def loyalty_member(draws: Draws) -> Column:
    """yes or no, more or less common by archetype."""
    return F.when(draws.chance("member", F.col("customer"), F.col("cohort.member_share")), "yes").otherwise("no")


def _stride(count: int) -> int:
    """A step that visits each of `count` numbers once before it comes back, small enough for bigint products."""
    step = max(1, min(int(count * _GOLDEN_SECTION), 2**62 // count))
    while gcd(step, count) != 1:
        step -= 1
    return step
