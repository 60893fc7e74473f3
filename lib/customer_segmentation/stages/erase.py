"""Erases customers from every table for good, and gives a receipt.

    plan      their digests on the list of who is suppressed; what there is of them, counted     suppression, erasures
       │
    lines     taken out of the order lines, as a batch of ingest; returns follow                 ingest.erasure
       │
    tables    deleted from every other table that has rows of single customers
       │
    files     earlier versions, the change feed and strays deleted from the storage
       │
    commit    counted again, and nothing is there                                                erasures

Each step does what is left to do, for all who are on the list: an erasure that ended midway is brought to its end by
the next one, which needs their ids no more.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation import __version__
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, PublishingError
from customer_segmentation.display.formatting import count
from customer_segmentation.ingest.batches import made_of_columns
from customer_segmentation.ingest.suppression import HASH, IS_SUPPRESSED, Suppressed, hashed, quarantined_text
from customer_segmentation.log import log
from customer_segmentation.spark.persistence import checkpointed
from customer_segmentation.stages.builds import COMMITTED, PLANNED
from customer_segmentation.stages.ingest import erase_lines, follow_returns
from customer_segmentation.stages.ingest.verification import LINE_TABLES
from customer_segmentation.stages.leftovers import forget_log, remove_leftovers
from customer_segmentation.stages.run import Run

_WHILE_ERASING = {"delta.deletedFileRetentionDuration": "interval 0 seconds", "delta.checkpointInterval": "1"}
"""Properties of the tables while their files are deleted: no file is kept, and each commit stands for all before it."""

Properties = Mapping[str, Mapping[str, str]]
"""By table what these properties were before, where it had them."""


@dataclass(frozen=True)
class Receipt:
    """What an erasure removed; it names nobody.

    receipt_id: of the erasure, by the time at which it was asked for.
    customers: that were named for it and not erased before; customers_found: with a row in a table.
    rows_removed: by table; rows_by_run: of these, the rows of `customer_segments_history` by run.
    """

    receipt_id: str
    customers: int
    customers_found: int = 0
    rows_removed: Mapping[str, int] = field(default_factory=dict)
    rows_by_run: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The receipt as JSON values."""
        return asdict(self)

    def describe(self) -> list[str]:
        """The receipt in lines for people."""
        removed = [f"  {name}: {count(rows)} rows" for name, rows in sorted(self.rows_removed.items())]
        return [
            f"Receipt {self.receipt_id}: {count(self.customers)} customers erased; rows of "
            f"{count(self.customers_found)} were removed",
            *removed,
        ]


def erase_customers(run: Run, customer_ids: Sequence[str] = ()) -> Receipt:
    """Erase customers from every table, their files included, and keep them out from now on.

    Args:
        run: of which only the tables count.
        customer_ids: who is to be erased; none to bring an erasure to its end that ended midway. Where one did and
            others are named now, it is brought to its end first.

    Raises:
        ConfigurationError: nobody is named, and nobody was before.
        PublishingError: something of them is left, since somebody else writes to the tables.
        WarehouseBusyError: another run has taken over.
    """
    if customer_ids and run.suppression.unfinished() is not None and run.suppression.lacks(customer_ids):
        erase_customers(run)  # of others, who have a receipt of their own
    suppressed, receipt, properties = _taken_out(run, customer_ids)
    with run.progress.stage("files", "deleting the files of earlier versions"):
        remove_leftovers(run)
        for table in _tables(run):
            run.warehouse.set_properties(table, _WHILE_ERASING)
            run.warehouse.vacuum(table)
            forget_log(run.warehouse, table)
            own = properties.get(table.name, {})
            run.warehouse.set_properties(table, {name: own.get(name) for name in _WHILE_ERASING})
    left = _counted(run, suppressed, receipt).rows_removed
    if left:
        raise PublishingError(
            f"rows of erased customers are left in {', '.join(sorted(left))}: somebody else writes to the tables. Run "
            "the same command again"
        )
    _record(run, COMMITTED, receipt, properties)
    return receipt


def finish_removal(run: Run) -> None:
    """Take the rows of the erased out of every table where an erasure ended midway, so that no run is made with them.

    The files of earlier versions are for the next erasure to delete.
    """
    receipt_id = run.suppression.unfinished()
    if receipt_id is not None:
        log.warning(
            "erasure %s ended midway: rows are taken out now, and the files of earlier versions still have them; run "
            "`customer-segmentation erase` to delete those too",
            receipt_id,
        )
        _taken_out(run, ())


def _taken_out(run: Run, customer_ids: Sequence[str]) -> tuple[Suppressed, Receipt, Properties]:
    """Delete the rows of all who are suppressed, in every table; what was planned, see `_planned`."""
    with run.progress.stage("plan", "counting what there is of the customers") as stage:
        suppressed, receipt, properties = _planned(run, customer_ids)
        stage.result = f"{count(sum(receipt.rows_removed.values()))} rows of {count(receipt.customers_found)} customers"
    with run.progress.stage("lines", "taking out order lines and returns") as stage:
        batch = erase_lines(run, suppressed)
        _delete(run, suppressed, t.RETURNS)
        if batch is not None:
            follow_returns(run, batch)
            stage.result = batch.counts.describe()
    with run.progress.stage("tables", "deleting rows from all other tables"):
        for table in _tables(run):
            if table not in (*LINE_TABLES, t.RETURNS):
                _delete(run, suppressed, table)
    return suppressed, receipt, properties


def _planned(run: Run, customer_ids: Sequence[str]) -> tuple[Suppressed, Receipt, Properties]:
    """Who is suppressed, what is to be removed, and what properties tables had; all of it recorded."""
    receipt_id = run.suppression.unfinished() or f"{run.started_at:%Y%m%dT%H%M%S.%fZ}"
    if customer_ids:
        run.suppression.add(customer_ids, receipt_id=receipt_id)
    suppressed = run.suppression.suppressed
    if suppressed is None:
        raise ConfigurationError("nobody is to be erased: name customers by --customer or --customers-file")
    own = run.warehouse.rows(t.SUPPRESSED_CUSTOMERS, column="receipt_id", value=receipt_id)
    planned, properties = _recorded_plan(run, Receipt(receipt_id, own.select(HASH).distinct().count()))
    now = _counted(run, suppressed, planned)
    # What was removed before it ended midway is no longer there.
    receipt = replace(
        now,
        customers_found=max(now.customers_found, planned.customers_found),
        rows_removed=dict(Counter(now.rows_removed) | Counter(planned.rows_removed)),
        rows_by_run=dict(Counter(now.rows_by_run) | Counter(planned.rows_by_run)),
    )
    _record(run, PLANNED, receipt, properties)
    return suppressed, receipt, properties


def _recorded_plan(run: Run, receipt: Receipt) -> tuple[Receipt, Properties]:
    """The receipt with what was planned before it ended midway, and the properties of then."""
    if run.warehouse.exists(t.ERASURES):
        rows = run.warehouse.rows(t.ERASURES, column="receipt_id", value=receipt.receipt_id)
        row = rows.orderBy(F.desc("recorded_at")).first()
        if row is not None:
            run.warehouse.clock.saw(row["recorded_at"])
            names = ("customers_found", "rows_removed", "rows_by_run")
            return replace(receipt, **{name: row[name] for name in names}), json.loads(row["properties"])
    own = {table.name: run.warehouse.properties(table) for table in _tables(run)}
    return receipt, {
        name: {key: value for key, value in properties.items() if key in _WHILE_ERASING}
        for name, properties in own.items()
    }


def _record(run: Run, status: str, receipt: Receipt, properties: Properties) -> None:
    row = receipt.to_dict() | {
        "status": status,
        "properties": json.dumps(properties),
        "claimed_by": run.claim,
        "recorded_at": run.warehouse.clock.now(),
        "code_version": __version__,
    }
    run.warehouse.append_rows(t.ERASURES, [row])


def _tables(run: Run) -> list[t.Table]:
    """The tables that have rows of single customers and are there."""
    return [table for table in t.KNOWN_TABLES if table.names_customers and run.warehouse.exists(table)]


def _rows(run: Run, suppressed: Suppressed, table: t.Table) -> DataFrame:
    """The rows that a table has of suppressed customers."""
    rows = run.warehouse.read(table)
    if c.CUSTOMER_ID not in rows.columns:  # of an earlier release
        rows = rows.withColumn(c.CUSTOMER_ID, F.lit(None).cast("string"))
    text = quarantined_text() if c.ROW in rows.columns else None
    if text is not None and table is t.REJECTED_TRANSACTIONS:
        text = F.coalesce(text, made_of_columns(c.CUSTOMER_ID))
    return suppressed.marked(rows, text=text).where(IS_SUPPRESSED)


def _delete(run: Run, suppressed: Suppressed, table: t.Table) -> None:
    """Delete the rows of suppressed customers, in one commit where there are some."""
    if not run.warehouse.exists(table):
        return
    key = c.CUSTOMER_ID
    if c.ROW in table.column_names:
        key = c.LINE_ID if c.LINE_ID in table.column_names else c.ROW
    keys = checkpointed(_rows(run, suppressed, table).select(key).distinct())
    if not keys.isEmpty():
        run.warehouse.delete(table, keys)


def _counted(run: Run, suppressed: Suppressed, receipt: Receipt) -> Receipt:
    """The receipt with the rows that are there now. Reads every table once."""
    nowhere = F.lit(None).cast("string")
    parts = [
        _rows(run, suppressed, table).select(
            F.lit(table.name).alias("table_name"),
            (F.col(c.RUN_ID) if table is t.CUSTOMER_SEGMENTS_HISTORY else nowhere).alias(c.RUN_ID),
            hashed(F.col(c.CUSTOMER_ID), suppressed.salt).alias(HASH),
        )
        for table in _tables(run)
    ]
    if not parts:
        return replace(receipt, customers_found=0, rows_removed={}, rows_by_run={})
    counted = checkpointed(reduce(DataFrame.unionByName, parts).groupBy("table_name", c.RUN_ID, HASH).count())
    rows, by_run = Counter[str](), Counter[str]()
    for table_name, run_id, number in counted.groupBy("table_name", c.RUN_ID).agg(F.sum("count")).collect():
        rows[table_name] += number
        by_run.update({run_id: number} if run_id else {})
    found = counted.where(F.col(HASH).isNotNull()).select(HASH).distinct().count()
    return replace(receipt, customers_found=found, rows_removed=dict(rows), rows_by_run=dict(by_run))
