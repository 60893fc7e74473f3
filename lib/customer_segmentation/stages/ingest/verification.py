"""Every line in exactly one place: what was counted adds up, and the tables hold it."""

from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import PublishingError
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.stages.run import Run

LINE_TABLES = (t.TRANSACTIONS, t.REJECTED_TRANSACTIONS)


def require_counts(counts: RowCounts) -> None:
    """Stop before anything is written where lines are lost or doubled.

    Raises:
        PublishingError: the counts do not add up.
    """
    if not counts.add_up:
        raise PublishingError(
            f"{counts.describe()} does not add up; the sources changed while they were read. Nothing was written: run "
            "the same command again"
        )


def verified_versions(run: Run, counts: RowCounts) -> dict[str, int]:
    """The versions of the tables of lines, compared with what was counted before they were written.

    Raises:
        PublishingError: they hold other numbers of lines.
    """
    versions: dict[str, int]
    (accepted, rejected), versions = at_once(lambda: count_rows(run), lambda: table_versions(run))
    if (accepted, rejected) != (counts.accepted, counts.rejected):
        raise PublishingError(
            f"{counts.describe()}, but {accepted:,} accepted and {rejected:,} rejected ones were written; the sources "
            "changed while they were read, or somebody changed the tables: run the same command again"
        )
    return versions


def count_rows(run: Run) -> tuple[int, int]:
    """Lines in `transactions` and in `rejected_transactions`; Delta knows them without reading."""
    accepted, rejected = at_once(*(run.warehouse.read(table).count for table in LINE_TABLES))
    return accepted, rejected


def table_versions(run: Run) -> dict[str, int]:
    """Versions of the tables of lines, as they were last written."""
    return run.warehouse.versions(LINE_TABLES)
