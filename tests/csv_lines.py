"""Order lines as CSV files, and random ones whose seed is printed."""

import csv
import random
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
