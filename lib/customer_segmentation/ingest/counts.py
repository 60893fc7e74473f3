"""Counts of rows by outcome: every row that was read is accepted, rejected or filtered out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import CHECKS, Check


@dataclass(frozen=True)
class RowCounts:
    """Rows by outcome: lines = accepted + rejected + filtered_out, always.

    filtered_out: by the sources' `where`.
    by_reason: rejected lines by reason; a line counts under each of its reasons.
    by_warning: accepted lines by warning.
    harmless: rejected lines with harmless reasons alone, see `contract.checks.Check`; 0 where they are not counted.
    """

    lines: int = 0
    accepted: int = 0
    rejected: int = 0
    filtered_out: int = 0
    by_reason: Mapping[str, int] = field(default_factory=dict)
    by_warning: Mapping[str, int] = field(default_factory=dict)
    harmless: int = 0

    @property
    def add_up(self) -> bool:
        """Whether every line has exactly one outcome."""
        return self.lines == self.accepted + self.rejected + self.filtered_out

    def describe(self, of: str = "lines") -> str:
        """The counts as a sum, in one line."""
        filtered_out = f" + {self.filtered_out:,} filtered out (left out by `where`)" if self.filtered_out else ""
        return f"{self.lines:,} {of} in = {self.accepted:,} accepted + {self.rejected:,} rejected{filtered_out}"


def count_lines(lines: DataFrame, checks: Sequence[Check] = CHECKS) -> RowCounts:
    """Count validated lines by their `reasons` and `warnings`. Runs one aggregation.

    Args:
        lines: as `transactions.validated_lines` or `orders.resolved` gives them.
        checks: whose codes are counted.
    """
    codes = [check.code for check in checks]
    is_accepted = F.size(c.REASONS) == 0
    harmful = F.array_except(c.REASONS, F.array(*(F.lit(check.code) for check in checks if check.is_harmless)))
    row = lines.agg(
        F.count(F.lit(1)).alias("lines"),
        F.count_if(is_accepted).alias("accepted"),
        F.count_if(~is_accepted & (F.size(harmful) == 0)).alias("harmless"),
        *(F.count_if(F.array_contains(c.REASONS, code)).alias(code) for code in codes),
        *(F.count_if(is_accepted & F.array_contains(c.WARNINGS, code)).alias(f"warned_{code}") for code in codes),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    return RowCounts(
        row["lines"],
        row["accepted"],
        row["lines"] - row["accepted"],
        by_reason={code: row[code] for code in codes if row[code]},
        by_warning={code: row[f"warned_{code}"] for code in codes if row[f"warned_{code}"]},
        harmless=row["harmless"],
    )
