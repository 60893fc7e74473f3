"""Order lines as CSV files, and random ones whose seed is printed."""

import csv
import random
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

Line = list[str]


class Sheet:
    """The columns of CSV files of order lines, with a good line to make others from."""

    def __init__(self, **good: str) -> None:
        self.names = list(good)
        self._good = good

    def line(self, **changes: str) -> Line:
        """The good line with some other values."""
        return list((self._good | changes).values())

    def written(self, path: Path, lines: list[Line]) -> Path:
        """The file, with the lines in it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([self.names, *lines])
        return path


COLUMNS = {
    "customer_id": "who",
    "order_id": "no",
    "ordered_at": "at",
    "product_id": "product",
    "quantity": "pieces",
    "unit_price": "price",
}
# Order lines with a key and a time of change.
MAPPING = COLUMNS | {"line_number": "position", "changed_at": "changed"}
SHEET = Sheet(
    who="C1", no="O1", at="2024-03-01 10:00:00", product="P1", pieces="2", price="3.50", position="", changed=""
)


def seeded(seed: int | None = None) -> random.Random:
    """A source of chance, its seed on the standard output; by default another one each time."""
    seed = random.randrange(2**32) if seed is None else seed
    print("seed", seed)
    return random.Random(seed)


def orders_of_two_kinds(customers: Iterable[int]) -> list[Line]:
    """Orders up to 2024-03-09: every other customer buys often and cheaply, the others seldom and at a high price."""
    lines = []
    for customer in customers:
        number, price = (6, 2) if customer % 2 else (2, 90)
        for place in range(number):
            day = date(2024, 3, 9) - timedelta(days=(customer + 7 * place) % 60)
            about = {"who": f"C{customer}", "no": f"O{customer}-{place}", "at": f"{day} 10:00:00"}
            lines.append(SHEET.line(**about, price=f"{price + customer / 10:.2f}"))
    return lines
