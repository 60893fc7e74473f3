"""Customers that changed segment since the previously published run, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from customer_segmentation.contract.columns import MOVED_BY_MODEL, NOISE_ID, NOISE_NAME
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.palette import segment_tone
from customer_segmentation.report.content import ReportContent


@dataclass(frozen=True)
class Balance:
    """A segment's customers: stayed + joined + new = now. `left` went to other segments."""

    segment_id: int
    name: str
    stayed: int
    joined: int
    new: int
    left: int

    @property
    def tone(self) -> str:
        """Name of the segment's colour."""
        return segment_tone(self.segment_id).name

    @property
    def now(self) -> int:
        """Customers in the segment in this run."""
        return self.stayed + self.joined + self.new


@dataclass(frozen=True)
class Move:
    """Customers that changed from one segment to another, with their net spend.

    by_model: those who did only because the model was trained again; None where that is not known.
    """

    from_id: int
    to_id: int
    from_name: str
    to_name: str
    customers: int
    revenue: Decimal | None
    by_model: int | None


@dataclass(frozen=True)
class Movement:
    """All that moved: a balance per segment of now or before, and the moves, largest first."""

    balances: list[Balance]
    moves: list[Move]

    @property
    def stayed(self) -> int:
        """Customers in the segment they were in."""
        return sum(balance.stayed for balance in self.balances)

    @property
    def moved(self) -> int:
        """Customers in another segment than before."""
        return sum(move.customers for move in self.moves)

    @property
    def new(self) -> int:
        """Customers that the run before didn't have."""
        return sum(balance.new for balance in self.balances)

    @property
    def loyalty(self) -> float | None:
        """Share of the customers seen in both runs that kept their segment; None without any."""
        known = self.stayed + self.moved
        return self.stayed / known if known else None

    @property
    def by_model(self) -> int | None:
        """Customers who moved only because the model was trained again; None where that is not known."""
        counts = [move.by_model for move in self.moves if move.by_model is not None]
        return sum(counts) if len(counts) == len(self.moves) else None

    @property
    def summary(self) -> str:
        """Who stayed, moved and is new, and why those who moved did."""
        said = (
            f"{fmt.share(self.loyalty)} of the customers seen before kept their segment; {fmt.count(self.moved)} moved "
            f"to another and {fmt.count(self.new)} are new."
        )
        if self.by_model is None or not self.moved:
            return said
        if not self.by_model:
            return f"{said} Those who moved did so by their behaviour."
        return (
            f"{said} Of those who moved, {fmt.count(self.moved - self.by_model)} did so by their behaviour and "
            f"{fmt.count(self.by_model)} only because the model was trained again."
        )


def movement(content: ReportContent) -> Movement:
    """The transitions of a run as balances and moves."""
    stayed: Counter[int] = Counter()
    joined: Counter[int] = Counter()
    new: Counter[int] = Counter()
    left: Counter[int] = Counter()
    rows = [row for row in content.transitions if row["to_segment_id"] is not None]
    for row in rows:
        origin, target, customers = row["from_segment_id"], row["to_segment_id"], row["customers"] or 0
        if origin is None:
            new[target] += customers
        elif origin == target:
            stayed[target] += customers
        else:
            joined[target] += customers
            left[origin] += customers
    order = [row["segment_id"] for row in content.by_value]
    order += sorted((stayed.keys() | joined.keys() | new.keys() | left.keys()) - set(order))
    names = content.names
    balances = [Balance(key, _name_of(key, names), stayed[key], joined[key], new[key], left[key]) for key in order]
    moves = [
        Move(
            row["from_segment_id"],
            row["to_segment_id"],
            _name_of(row["from_segment_id"], names),
            _name_of(row["to_segment_id"], names),
            row["customers"] or 0,
            row["revenue"],
            row.get(MOVED_BY_MODEL),
        )
        for row in rows
        if row["from_segment_id"] is not None and row["from_segment_id"] != row["to_segment_id"]
    ]
    return Movement(balances, sorted(moves, key=lambda move: (-move.customers, move.from_id, move.to_id)))


def _name_of(segment_id: int, names: Mapping[int, str]) -> str:
    """The segment's name; one that no longer exists goes by its number, noise by its own name."""
    if segment_id == NOISE_ID:
        return names.get(segment_id, NOISE_NAME)
    return names.get(segment_id, f"Segment {segment_id}, no longer there")
