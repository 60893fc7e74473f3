"""A full batch: all lines that the sources hold take the place of what is in the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.ingest import orders
from customer_segmentation.ingest.batches import as_accepted, as_rejected
from customer_segmentation.ingest.counts import RowCounts, count_lines
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.stages.ingest.batch_log import Batch, BatchLog
from customer_segmentation.stages.ingest.commit import commit_batch
from customer_segmentation.stages.ingest.limits import require_few_rejected, require_some_accepted
from customer_segmentation.stages.ingest.planning import Plan
from customer_segmentation.stages.ingest.validation import PersistedLines, SourceLines
from customer_segmentation.stages.ingest.verification import require_counts
from customer_segmentation.stages.run import Run


def load_all(run: Run, log: BatchLog, plan: Plan) -> Batch:
    """Validate, resolve, verify and commit all lines.

    Raises:
        DataRejectedError: no line is accepted, or too many are rejected; nothing was written.
        PublishingError: the lines do not add up; the batch is not committed.
    """
    lines = SourceLines(run, plan.snapshot.frames(run.spark), known_before=plan.batch.known_before)
    with lines.persisted() as validated, _resolved(validated) as result:
        require_some_accepted(
            result.counts, result.resolved, lines=validated.count, filtered_out=validated.filtered_out
        )
        share = run.config.checks.max_rejected_share
        require_few_rejected(result.counts, result.resolved, lines=validated.count, share=share)
        counts = _verified(validated, result)
        batch = replace(plan.batch, inserted=validated.count, counts=counts, source_columns=lines.columns())
        return commit_batch(run, log, plan, batch, write=lambda staged: _write(run, staged, result))


def _write(run: Run, staged: Batch, result: "_Result") -> None:
    rejected = as_rejected(result.resolved, batch_id=staged.batch_id)
    at_once(
        lambda: run.warehouse.overwrite(t.REJECTED_TRANSACTIONS, rejected),
        lambda: run.warehouse.overwrite(t.TRANSACTIONS, result.accepted),
    )


@dataclass(frozen=True)
class _Result:
    """The accepted lines, as rows of `transactions`; those that were resolved with others or rejected; their counts."""

    accepted: DataFrame
    resolved: DataFrame
    counts: RowCounts


@contextmanager
def _resolved(validated: PersistedLines) -> Iterator[_Result]:
    """Resolve the lines within their orders."""
    with (
        orders.suspects(validated.keys(), validated.suite) as suspects,
        persisted(orders.resolved(validated.unresolved(suspects), validated.suite)) as resolved,
    ):
        accepted = validated.accepted(suspects).unionByName(as_accepted(resolved))
        yield _Result(accepted, resolved, count_lines(resolved))


def _verified(validated: PersistedLines, result: _Result) -> RowCounts:
    """The counts of all lines, the accepted ones counted as they will be written.

    Raises:
        PublishingError: they are not those that were read.
    """
    warning = validated.suite.codes("warn")
    row = result.accepted.agg(
        F.count(F.lit(1)).alias("accepted"),
        *(F.count_if(F.array_contains(c.WARNINGS, code)).alias(code) for code in warning),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    counts = RowCounts(
        lines=validated.count + validated.filtered_out,
        accepted=row["accepted"],
        rejected=result.counts.rejected,
        filtered_out=validated.filtered_out,
        suppressed=validated.suppressed,
        by_reason=result.counts.by_reason,
        by_warning={code: row[code] for code in warning if row[code]},
    )
    require_counts(counts)
    return counts
