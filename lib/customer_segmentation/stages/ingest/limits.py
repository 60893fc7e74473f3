"""Limits on rejected lines: a batch beyond them stops before anything is written."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import CHECK_BY_CODE
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest.counts import RowCounts

_REASONS_SHOWN = 3


def require_some_accepted(counts: RowCounts, rejected: DataFrame, *, lines: int, filtered_out: int) -> None:
    """Stop where no line is accepted.

    Args:
        counts: of the rejected lines among those validated.
        rejected: has them.
        lines: that were validated.
        filtered_out: that are filtered out.

    Raises:
        DataRejectedError: there are no lines, or all of them are filtered out or rejected.
    """
    if lines > counts.rejected:
        return
    if not lines:
        kept = f", and all of the {filtered_out:,} read are filtered out" if filtered_out else ""
        raise DataRejectedError(f"sources.transactions: the sources hold no lines{kept}")
    raise DataRejectedError(
        f"sources.transactions: all of the {lines:,} lines are rejected; {_most_frequent(counts, rejected)}\n"
        "Mend them or the mapping, or set checks.severity"
    )


def require_few_rejected(
    counts: RowCounts, rejected: DataFrame, *, lines: int, share: float, at_least: int = 0
) -> None:
    """Stop where too many lines are rejected. Copies, earlier versions and lines not known yet do not count.

    Args:
        counts: of the rejected lines among those validated.
        rejected: has them.
        lines: that were validated.
        share: `checks.max_rejected_share`.
        at_least: lines that a small batch is taken to have.

    Raises:
        DataRejectedError: more than the share are rejected.
    """
    if counts.rejected - counts.harmless <= share * max(lines, at_least):
        return
    raise DataRejectedError(
        f"sources.transactions: {counts.rejected:,} of {lines:,} lines are rejected, checks.max_rejected_share is "
        f"{share:g}; {_most_frequent(counts, rejected)}\nNothing was written. Mend the lines or the mapping, set "
        "checks.severity, or set checks.max_rejected_share to 1 to have the lines in rejected_transactions"
    )


def _most_frequent(counts: RowCounts, rejected: DataFrame) -> str:
    """The most frequent reasons, each with a file that has such a line; what the lines hold is not shown."""
    top = sorted(counts.by_reason.items(), key=lambda item: (-item[1], item[0]))[:_REASONS_SHOWN]
    files = rejected.agg(
        *(F.min(F.when(F.array_contains(c.REASONS, code), F.col(c.SOURCE_FILE))).alias(code) for code, _ in top)
    ).first()
    assert files is not None, "an aggregation without grouping has one row"
    reasons = [f"  - {code} ({count:,}): {CHECK_BY_CODE[code].meaning}, in {files[code]}" for code, count in top]
    return "\n".join(["most often for", *reasons])
