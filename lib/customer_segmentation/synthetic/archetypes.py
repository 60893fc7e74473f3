"""The kinds of customers that synthetic data is made of: the segments that a good clustering recovers."""

from dataclasses import dataclass

Range = tuple[float, float]
"""Lowest and highest value; each customer has one of its own in between, all equally likely."""


@dataclass(frozen=True)
class Archetype:
    """How customers of one kind buy.

    name: of the segment.
    share: of all customers, 0 to 1; the shares of all archetypes add up to 1.
    orders: orders per customer, relative to the other archetypes.
    lines_per_order: mean number of lines in an order, in halves, 1.5 or more.
    joined, left: when a customer's first and last orders are possible, as fractions of the span of the data.
    price_level: what the customer pays, relative to a product's base price.
    discount_rate: share of the list price that discounts take off, at most the mean depth of a discount.
    categories: number of product categories the customer buys in.
    redemption_rate: probability that a mailing is redeemed.
    member_share: share of customers in the loyalty programme.
    typical_age: age group that is more common here than elsewhere.
    """

    name: str
    share: float
    orders: float
    lines_per_order: float
    joined: Range
    left: Range
    price_level: Range
    discount_rate: Range
    categories: tuple[int, int]
    redemption_rate: float
    member_share: float
    typical_age: str


CHAMPIONS = Archetype(
    "champions", share=0.10, orders=22, lines_per_order=4,
    joined=(0.00, 0.10), left=(0.985, 1.000), price_level=(1.2, 1.6), discount_rate=(0.03, 0.07), categories=(10, 12),
    redemption_rate=0.35, member_share=0.90, typical_age="50-64",
)  # fmt: skip

ARCHETYPES: tuple[Archetype, ...] = (
    CHAMPIONS,
    Archetype(
        "loyal", share=0.20, orders=10, lines_per_order=3,
        joined=(0.00, 0.25), left=(0.940, 0.980), price_level=(0.9, 1.2), discount_rate=(0.03, 0.07), categories=(6, 8),
        redemption_rate=0.20, member_share=0.70, typical_age="35-49",
    ),
    Archetype(
        "big_basket", share=0.07, orders=5, lines_per_order=8,
        joined=(0.10, 0.30), left=(0.800, 0.900), price_level=(2.6, 3.6), discount_rate=(0.02, 0.06), categories=(7, 9),
        redemption_rate=0.05, member_share=0.30, typical_age="50-64",
    ),
    Archetype(
        "deal_hunters", share=0.26, orders=7, lines_per_order=2,
        joined=(0.20, 0.50), left=(0.850, 0.950), price_level=(0.6, 0.8), discount_rate=(0.32, 0.40), categories=(3, 4),
        redemption_rate=0.45, member_share=0.60, typical_age="25-34",
    ),
    Archetype(
        "newcomers", share=0.15, orders=4, lines_per_order=2,
        joined=(0.92, 0.95), left=(0.980, 1.000), price_level=(0.9, 1.2), discount_rate=(0.02, 0.06), categories=(2, 3),
        redemption_rate=0.15, member_share=0.20, typical_age="18-24",
    ),
    Archetype(
        "lapsed", share=0.22, orders=4, lines_per_order=2,
        joined=(0.00, 0.10), left=(0.300, 0.450), price_level=(0.8, 1.1), discount_rate=(0.02, 0.06), categories=(2, 3),
        redemption_rate=0.02, member_share=0.25, typical_age="65+",
    ),
)  # fmt: skip
