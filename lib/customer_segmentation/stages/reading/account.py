"""The account of the order lines that were read: how many, what became of them, and how far the sources were read."""

from dataclasses import dataclass, fields
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError, PublishingError
from customer_segmentation.ingest.repeats import Account
from customer_segmentation.report.wording import accounted
from customer_segmentation.stages.run import Run

_TOP_REASONS = 3
_LONGEST_EXAMPLE = 300


@dataclass(frozen=True)
class Reading:
    """What became of the lines of the sources: lines = accepted + refused + left_out, always.

    batch_id: of the batch that was read last.
    lines: read, of all batches.
    left_out: by the sources' `where`.
    by_reason: refused lines by code; a line counts under each of its codes.
    latest: lines of this day (YYYY-MM-DD) and later were refused as not known yet.
    columns: of each source, with their types.
    definition: digest of the configuration that lines are read with; another one calls for reading all of them.
    sources: how far each source has been read.
    versions: of the other tables that belong to it, by name.
    """

    batch_id: str
    lines: int
    accepted: int
    refused: int
    left_out: int
    by_reason: dict[str, int]
    latest: str
    columns: list[dict[str, str]]
    definition: str
    sources: list[dict[str, Any]]
    versions: dict[str, int]

    def told(self) -> str:
        """The account in one line."""
        return accounted(self.lines, self.accepted, self.refused, self.left_out)


def last_reading(run: Run) -> Reading:
    """The account of the lines that made `transactions` what it is.

    Raises:
        ConfigurationError: nothing was read yet.
    """
    reading = reading_so_far(run)
    if reading is None:
        raise ConfigurationError("no order lines were read yet; run `customer-segmentation ingest` first")
    return reading


def reading_so_far(run: Run) -> Reading | None:
    """Like `last_reading`; None before the first one, or where another version of the library wrote the table."""
    if not run.warehouse.exists(t.TRANSACTIONS):
        return None
    note = run.warehouse.last_commit(t.TRANSACTIONS)[1]
    return Reading(**note) if note.keys() == {field.name for field in fields(Reading)} else None


def judge_share(run: Run, found: Account, examples: DataFrame, *, judged: int, as_if: int | None = None) -> None:
    """Stop where too many lines are refused.

    Args:
        found: the refused lines of those that were judged.
        examples: has the refused lines.
        judged: how many were judged, so were read and not left out.
        as_if: the number to judge a small batch as.

    Raises:
        DataRefusedError: more than `checks.max_rejected_share` are refused.
    """
    limit = run.config.checks.max_rejected_share
    if found.refused - found.not_known_yet <= limit * (as_if or judged):
        return
    raise DataRefusedError(
        f"sources.transactions: {found.refused:,} of {judged:,} lines are refused, checks.max_rejected_share is "
        f"{limit:g}; {_most_often(found, examples)}\nAll of them are in "
        f"{run.warehouse.location(t.REJECTED_TRANSACTIONS)}; mend them or the mapping, or set checks.severity"
    )


def require_lines(found: Account, examples: DataFrame, *, lines: int, judged: int) -> None:
    """Stop where no line is accepted.

    Args:
        found, examples, judged: as for `judge_share`.
        lines: that were read.

    Raises:
        DataRefusedError: there are no lines, or all of them are left out or refused.
    """
    if judged > found.refused:
        return
    if not judged:
        kept = f", and `where` leaves out all of the {lines:,} read" if lines else ""
        raise DataRefusedError(f"sources.transactions: the sources hold no lines{kept}")
    raise DataRefusedError(
        f"sources.transactions: all of the {judged:,} lines are refused; {_most_often(found, examples)}\n"
        "Mend them or the mapping, or set checks.severity"
    )


def verify(run: Run, reading: Reading) -> None:
    """Compare what was written with what was counted.

    Raises:
        PublishingError: they differ.
    """
    written = run.warehouse.read(t.TRANSACTIONS).count(), run.warehouse.read(t.REJECTED_TRANSACTIONS).count()
    if written != (reading.accepted, reading.refused) or sum(written) + reading.left_out != reading.lines:
        raise PublishingError(
            f"{reading.told()}, but {written[0]:,} accepted and {written[1]:,} refused ones were written; the sources "
            "changed while they were read: run again"
        )


def _most_often(found: Account, examples: DataFrame) -> str:
    top = sorted(found.by_reason.items(), key=lambda item: (-item[1], item[0]))[:_TOP_REASONS]
    told = [f"  - {code} ({count:,}), such as {_example(examples, code)}" for code, count in top]
    return "\n".join(["most often for", *told])


def _example(lines: DataFrame, code: str) -> str:
    """A line that was refused for the code; its customer is not shown."""
    of_code = lines.where(F.array_contains(c.REASONS, code)).select(c.ROW, c.SOURCE_FILE, c.CUSTOMER_ID)
    row = of_code.orderBy(c.ROW, c.SOURCE_FILE).first()
    assert row is not None, "a reason that was counted has a line"
    shown = row[c.ROW].replace(row[c.CUSTOMER_ID], "***") if row[c.CUSTOMER_ID] else row[c.ROW]
    return f"{shown[:_LONGEST_EXAMPLE]} in {row[c.SOURCE_FILE]}"
