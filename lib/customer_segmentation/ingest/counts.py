"""Counts of rows by outcome: every row that was read is accepted, rejected or filtered out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import CHECKS, NOT_KNOWN_YET, Check


@dataclass(frozen=True)
class RowCounts:
    """Rows by outcome: lines = accepted + rejected + filtered_out, always.

    filtered_out: by the sources' `where`, or since they are of suppressed customers.
    by_reason: rejected lines by reason; a line counts under each of its reasons.
    by_warning: accepted lines by warning.
    suppressed: those filtered out that are of suppressed customers.
    harmless: rejected lines with harmless reasons alone, see `contract.checks.Check`; 0 where they are not counted.
    """

    lines: int = 0
    accepted: int = 0
    rejected: int = 0
    filtered_out: int = 0
    by_reason: Mapping[str, int] = field(default_factory=dict)
    by_warning: Mapping[str, int] = field(default_factory=dict)
    harmless: int = 0
    suppressed: int = 0

    @property
    def add_up(self) -> bool:
        """Whether every line has exactly one outcome."""
        return self.lines == self.accepted + self.rejected + self.filtered_out

    @property
    def has_future_lines(self) -> bool:
        """Whether lines are rejected, or accepted with a warning, since their day is still to come."""
        return NOT_KNOWN_YET in self.by_reason or NOT_KNOWN_YET in self.by_warning

    @property
    def as_sum(self) -> str:
        """The lines as the sum of their outcomes."""
        filtered_out = f" + {self.filtered_out:,} filtered out" if self.filtered_out else ""
        return f"{self.lines:,} lines in = {self.accepted:,} accepted + {self.rejected:,} rejected{filtered_out}"

    def describe(self, of: str = "lines") -> str:
        """The counts as a sum, with what filtered lines out, in one line."""
        causes = {"by `where`": self.filtered_out - self.suppressed, "of erased customers": self.suppressed}
        named = [f"{number:,} {cause}" if self.suppressed else cause for cause, number in causes.items() if number]
        return self.as_sum.replace(" lines in ", f" {of} in ", 1) + (f" ({', '.join(named)})" if named else "")


def count_lines(lines: DataFrame, checks: Sequence[Check] = CHECKS) -> RowCounts:
    """Count validated lines by their `reasons` and `warnings`. Runs one aggregation.

    Args:
        lines: as `transactions.validated_lines` or `orders.resolved` gives them.
        checks: whose codes are counted.
    """
    outcomes = lines.groupBy(c.REASONS, c.WARNINGS).count().collect()
    harmless = {check.code for check in checks if check.is_harmless}
    by_reason, by_warning, outcome = Counter[str](), Counter[str](), Counter[str]()
    for reasons, warnings, number in outcomes:
        if reasons:
            outcome["harmless" if harmless.issuperset(reasons) else "harmful"] += number
            by_reason.update(dict.fromkeys(reasons, number))
        else:
            outcome["accepted"] += number
            by_warning.update(dict.fromkeys(warnings, number))
    return RowCounts(
        outcome.total(),
        outcome["accepted"],
        outcome["harmless"] + outcome["harmful"],
        by_reason=_in_order(by_reason, checks),
        by_warning=_in_order(by_warning, checks),
        harmless=outcome["harmless"],
    )


def _in_order(counts: Mapping[str, int], checks: Sequence[Check]) -> dict[str, int]:
    return {check.code: counts[check.code] for check in checks if check.code in counts}
