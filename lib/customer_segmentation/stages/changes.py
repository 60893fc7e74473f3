"""Which customers, products and days the batches of ingest touched, for the tables that follow the order lines."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.stages.run import Run


def changed_transactions(run: Run, *, since: int, until: int) -> DataFrame | str:
    """The rows that were inserted into `transactions` or deleted from it after one batch and up to another.

    Returns:
        The columns of `transactions`, a row for each change; or why they are unknown, as the end of a sentence.
    """
    if since > until:
        return f"they were made from batch {since}, and the batches on record end with {until}"
    batches = run.warehouse.read(t.INGEST_BATCHES).where(F.col("batch_number").between(since + 1, until))
    replacing = (
        batches.where("status = 'committed' AND mode IN ('full', 'external')").orderBy(F.desc("batch_number")).head()
    )
    if replacing is not None:
        mode = "read all lines again" if replacing["mode"] == "full" else "recorded that somebody had changed the lines"
        return f"batch {replacing['batch_number']} {mode}"
    if not run.warehouse.exists(t.INGEST_CHANGES):
        changing = "status = 'committed' AND (rows_inserted > 0 OR rows_deleted > 0 OR mode = 'erasure')"
        lost = batches.where(changing).orderBy("batch_number").head()
        if lost is not None:
            return f"what batch {lost['batch_number']} changed is no longer on record"
        return run.warehouse.read(t.TRANSACTIONS).limit(0).select(t.TRANSACTIONS.column_names)
    changes = run.warehouse.read(t.INGEST_CHANGES)
    of_batches = F.col("batch_number").between(since + 1, until) & (F.col("table_name") == t.TRANSACTIONS.name)
    # What an erasure deleted names nobody.
    return changes.where(of_batches & F.col(c.CUSTOMER_ID).isNotNull()).select(t.TRANSACTIONS.column_names)
