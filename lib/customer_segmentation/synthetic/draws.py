"""Draws by hash: a value depends on what it is for, whose it is and the seed, never on where a row is computed."""

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

_MANTISSA = 53
"""Bits of a double's precision."""


@dataclass(frozen=True)
class Draws:
    """Reproducible draws as column expressions.

    Every method takes `what` is drawn, which keeps draws for one thing apart, and `of`, the number (bigint) of the
    line, order, customer or product it is drawn for.
    """

    seed: int

    def uniform(self, what: str, of: Column) -> Column:
        """A double, 0 <= value < 1."""
        hashed = F.xxhash64(of, F.lit(f"{what} {self.seed}"))
        return F.shiftrightunsigned(hashed, 64 - _MANTISSA) * F.lit(2.0**-_MANTISSA)

    def between(self, what: str, of: Column, bounds: Column) -> Column:
        """A double in the closed range that `bounds`, an array of two, holds."""
        return bounds[0] + (bounds[1] - bounds[0]) * self.uniform(what, of)

    def below(self, what: str, of: Column, count: Column | int) -> Column:
        """A bigint, 0 <= value < count."""
        return whole(self.uniform(what, of), count)

    def one_of(self, what: str, of: Column, values: tuple[str, ...]) -> Column:
        """One of the values, all equally likely."""
        return F.lit(list(values))[self.below(what, of, len(values))]

    def chance(self, what: str, of: Column, probability: Column | float) -> Column:
        """True with the probability."""
        return self.uniform(what, of) < probability


def whole(fraction: Column, count: Column | int) -> Column:
    """The fraction, 0 to 1, as a bigint, 0 <= value < count."""
    return F.least(F.floor(fraction * count), F.lit(count).cast("bigint") - 1)
