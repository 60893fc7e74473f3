"""Checks of order lines with their settings, as column expressions that flag lines and list codes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks
from customer_segmentation.contract.checks import CHECKS, Check, Severity
from customer_segmentation.ingest.expressions import sql_text
from customer_segmentation.spark.local_time import UTC, start_of_day_sql

FAILED = "_failed"
"""The column of `CheckSuite.failed`."""
_LARGEST_LIMIT, _LIMIT_DECIMALS = Decimal(10**12), 3


@dataclass(frozen=True)
class CheckSuite:
    """Checks of order lines with their settings.

    settings: thresholds and severities.
    known_before: lines of this day and later are not known yet; None where it follows from the lines.
    timezone: whose days these are; also that of local times, where a source has none of its own.
    checks: the declarations, in the order in which a line's codes are listed.
    """

    settings: Checks = field(default_factory=Checks)
    known_before: date | None = None
    timezone: str = UTC
    checks: tuple[Check, ...] = CHECKS

    @property
    def limits(self) -> dict[str, str]:
        """The thresholds in the conditions of checks, as SQL."""
        settings = self.settings
        latest = min(filter(None, (self.known_before, settings.latest_order)))
        any_fee = "|".join(f"(?:{pattern})" for pattern in settings.fee_products)
        return {
            "earliest": start_of_day_sql(settings.earliest_order, self.timezone),
            "latest": start_of_day_sql(latest, self.timezone),
            "max_quantity": _limit(settings.max_quantity),
            "max_amount": _limit(settings.max_amount),
            "currencies": ", ".join(map(sql_text, settings.currencies)),
            "fee_products": sql_text(f"^(?:{any_fee})$"),
        }

    def severity_of(self, code: str) -> Severity:
        """What the check of a code does with a line that fails it."""
        (declared,) = (check.severity for check in self.checks if check.code == code)
        return self.settings.severity.get(code, declared)

    def codes(self, severity: Severity) -> list[str]:
        """The codes of the checks that have a severity."""
        return [check.code for check in self.checks if self.severity_of(check.code) == severity]

    def in_order(self, codes: Column) -> Column:
        """An array of codes in the order of the declarations."""
        all_codes = F.array(*(F.lit(check.code) for check in self.checks))
        return F.when(F.size(codes) < 2, codes).otherwise(F.array_intersect(all_codes, codes))

    def failed(self) -> Column:
        """The checks that a line by itself fails, as one number: bit i is set where check i fails."""
        bits = (
            F.when(F.expr(self._condition_of(check)), F.lit(1 << place)).otherwise(F.lit(0))
            for place, check in enumerate(self._of_single_lines)
        )
        return reduce(Column.bitwiseOR, bits, F.lit(0)).cast("bigint")

    def is_rejected(self) -> Column:
        """Whether a line by itself fails a check that rejects; of the column `FAILED`."""
        return self._any_failed("reject")

    def failed_codes(self, severity: Severity) -> Column:
        """The codes of the checks of a severity that a line by itself fails, as an array; of the column `FAILED`."""
        none = F.array().cast("array<string>")
        codes = [
            F.when(F.col(FAILED).bitwiseAND(F.lit(1 << place)) != 0, F.lit(check.code))
            for place, check in enumerate(self._of_single_lines)
            if self.severity_of(check.code) == severity
        ]
        return F.when(self._any_failed(severity), F.array_compact(F.array(*codes))).otherwise(none) if codes else none

    @property
    def _of_single_lines(self) -> Sequence[Check]:
        return [
            check
            for check in self.checks
            if check.condition is not None
            and self.severity_of(check.code) != "off"
            and (check.needs is None or getattr(self.settings, check.needs))
        ]

    def _condition_of(self, check: Check) -> str:
        condition = str(check.condition)
        for name, sql in self.limits.items():
            condition = condition.replace(f"{{{name}}}", sql)
        return condition

    def _any_failed(self, severity: Severity) -> Column:
        of_severity = (self.severity_of(check.code) == severity for check in self._of_single_lines)
        mask = sum(1 << place for place, is_of_severity in enumerate(of_severity) if is_of_severity)
        return F.col(FAILED).bitwiseAND(F.lit(mask)) != 0


def _limit(value: float) -> str:
    """A limit in SQL: as a decimal, which decimals are compared with as they are, unless it has too many digits."""
    limit = Decimal(repr(float(value)))
    is_short = limit <= _LARGEST_LIMIT and limit == round(limit, _LIMIT_DECIMALS)
    return f"{limit:f}BD" if is_short else f"{float(value)!r}D"
