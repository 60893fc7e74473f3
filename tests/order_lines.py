"""Order lines in the columns of `transactions`, and random ones."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

Line = tuple


def line(
    customer: str = "C1",
    order: str = "O1",
    at: str = "2024-06-01 12:00:00",
    product: str | None = "P1",
    category: str | None = "K1",
    quantity: str = "1",
    amount: str = "10.00",
    discount: str = "0.00",
    is_return: bool = False,
    channel: str | None = None,
    brand: str | None = None,
    store: str | None = None,
    coupon: str | None = "0.00",
    line_id: int = 0,
) -> Line:
    """A line of C1's order O1, unless said otherwise."""
    when = datetime.fromisoformat(at)
    return (
        customer,
        order,
        when,
        product,
        category,
        Decimal(quantity),
        Decimal(amount),
        Decimal(discount),
        channel,
        brand,
        store,
        None if coupon is None else Decimal(coupon),
        is_return,
        [],
        None,
        None,
        line_id,
    )


def random_line(draw: random.Random, line_id: int = 0) -> Line:
    """A line of one of 40 customers in two years: ties in time, orders of several customers, a return now and then."""
    is_return = draw.random() < 0.15
    sign = -1 if is_return else 1
    day = draw.choice([draw.randrange(800), draw.randrange(5)])  # ties on the same days, some after the as-of date
    at = datetime(2022, 6, 1) + timedelta(days=day, seconds=draw.choice([0, 43_200, 86_399, draw.randrange(86_400)]))
    return line(
        customer=f"C{draw.randrange(40)}",
        order=f"O{draw.randrange(250)}",
        at=at.isoformat(" "),
        product=draw.choice([None, *(f"P{i}" for i in range(9))]),
        category=draw.choice([None, *(f"K{i}" for i in range(6))]),
        quantity=str(sign * draw.randrange(1, 5)),
        amount=str(sign * Decimal(draw.randrange(0, 5000)) / 100),
        discount=draw.choice(["0.00", str(Decimal(draw.randrange(0, 300)) / 100)]),
        is_return=is_return,
        channel=draw.choice([None, "web", "store"]),
        brand=draw.choice([None, "B1", "B2"]),
        store=draw.choice([None, "S1", "S2", "S3"]),
        coupon=draw.choice([None, "0.00", "0.00", "1.50"]),
        line_id=line_id,
    )
