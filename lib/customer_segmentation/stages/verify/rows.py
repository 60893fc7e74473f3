"""Verifies the rows of each table by themselves: all can be read, keys are what they say; and that lines add up."""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display.formatting import count
from customer_segmentation.spark.digests import digest_of_rows
from customer_segmentation.stages.ingest.batch_log import COMMITTED, STAGED, Batch
from customer_segmentation.stages.inputs import newest_batches
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.verify.pinned import PinnedTables, readable
from customer_segmentation.verification import Finding

_SEVERAL_ROWS = {
    *(t.REJECTED_TRANSACTIONS, t.REJECTED_CUSTOMERS, t.REJECTED_ENGAGEMENT),
    *(t.INGEST_BATCHES, t.INGEST_CHANGES, t.INGESTED_FILES, t.ERASURES),
}
"""A key has several rows: the rejected rows of a batch, copies of a line among them; what was planned again."""

_REPEATED_LINES = {t.TRANSACTIONS, t.RETURNS}
"""A key has several rows where copies of a line are accepted."""

_NULLABLE = {
    t.ENGAGEMENT: {c.CHANNEL, c.CAMPAIGN_ID},
    t.RETURNS: {c.LINE_ID},
    t.SEGMENT_TRANSITIONS: {"from_segment_id"},
    t.SEGMENT_LINEAGE: {c.SEGMENT_ID, c.PREVIOUS_SEGMENT_ID},
    t.BACKTESTS: {c.AS_OF_DATE, c.SEGMENT_ID},
    t.WAREHOUSE_CLAIM: {"owner"},
}
"""Parts of a key that are null where the row is of nothing of that kind."""


def checksum(frame: DataFrame) -> Column:
    """A sum over all rows and columns of a frame that does not depend on the order of the rows."""
    quoted = {f"`{field.name.replace('`', '``')}`": field.dataType for field in frame.schema}
    columns = [F.to_json(name) if isinstance(type_, MapType) else F.col(name) for name, type_ in quoted.items()]
    return digest_of_rows(*columns)


def row_findings(run: Run, tables: PinnedTables) -> Iterator[Finding | str]:
    """What is wrong with the rows of the tables; a sentence on what was verified last."""
    accepts_copies = run.config.checks.severity.get("duplicate", "reject") != "reject"
    rows: dict[str, int] = {}
    for table in tables.all:
        frame = tables.read(table)
        required = [F.col(name).isNull() for name in table.key if name not in _NULLABLE.get(table, ())]
        aggregates = [
            F.count(F.lit(1)).alias("rows"),
            F.count_distinct(F.struct(*table.key)).alias("keys"),
            F.count_if(reduce(or_, required, F.lit(False))).alias("without"),
            checksum(frame).alias("checksum"),  # so that every column is read
        ]
        damaged: list[Finding] = []
        with readable(table.name, tables.location(table), damaged):
            found = frame.agg(*aggregates).collect()[0]
        if damaged:
            yield from damaged
            continue
        rows[table.name] = found["rows"]
        key = ", ".join(table.key)
        may_repeat = table in _SEVERAL_ROWS or (accepts_copies and table in _REPEATED_LINES)
        if found["keys"] != found["rows"] and not may_repeat:
            yield Finding(
                table.name,
                f"key {key}",
                f"{count(found['rows'])} different ones in as many rows",
                f"{count(found['keys'])}",
                "find out who wrote rows twice; the next full build removes them",
            )
        if found["without"]:
            expected, remedy = "a value in every row", "find out who wrote rows without it"
            yield Finding(table.name, f"key {key}", expected, f"{count(found['without'])} rows without", remedy)
    yield from _line_findings(tables, rows)
    yield f"{count(sum(rows.values()))} rows of {len(rows)} tables read, keys and counts of lines right"


def _line_findings(tables: PinnedTables, rows: Mapping[str, int]) -> Iterator[Finding]:
    """Whether lines add up: those of the newest committed batch, and those in the tables."""
    if not tables.have(t.INGEST_BATCHES):
        return
    newest = newest_batches(tables.read(t.INGEST_BATCHES))
    committed = next((row for row in newest if row["status"] == COMMITTED), None)
    if committed is None:
        return
    batch = Batch.from_row(committed)
    name = f"batch {batch.number}"
    if not batch.counts.add_up:
        expected = "rows_in = rows_accepted + rows_rejected + rows_filtered_out"
        found = batch.counts.describe()
        yield Finding(t.INGEST_BATCHES.name, name, expected, found, "run with --set ingest.reload=true")
    if any(row["status"] == STAGED and row["batch_number"] > batch.number for row in newest):
        return  # a batch is, or was, being written: the next ingest brings it to its end
    for table, lines in (
        (t.TRANSACTIONS, batch.counts.accepted),
        (t.REJECTED_TRANSACTIONS, batch.counts.rejected),
    ):
        if table.name in rows and rows[table.name] != lines:
            remedy = "run `ingest`, which records what somebody else changed; --set ingest.reload=true reads all again"
            found = f"{count(rows[table.name])}"
            yield Finding(table.name, "rows", f"{count(lines)}, as {name} of ingest_batches says", found, remedy)
