"""What an order line can only be judged on beside the others: exact copies, and orders of several customers.

Good data has few such lines. So the lines are looked at twice: a narrow pass finds the digests and orders that are
repeated, and the wide one sets apart the lines that they, or the lines' own checks, concern. Only those are compared
with each other; all others go straight to their table.
"""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks, Severity
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.reasons import MEANING, NOT_KNOWN_YET, Reason
from customer_segmentation.contract.tables import REJECTED_TRANSACTIONS, TRANSACTIONS
from customer_segmentation.ingest.transactions import IS_REFUSED

FEW = 1_000_000
"""Keys that are sent to every task rather than shuffled with the lines."""

_IS_COPIED = "_is_copied"
_IS_TORN = "_is_torn"


@dataclass(frozen=True)
class Key:
    """Values of a column that single lines out, and how many there are."""

    values: DataFrame
    count: int


def copied_lines(lines: DataFrame) -> DataFrame:
    """The `line_id`s that are there more than once: candidates for exact copies."""
    return lines.groupBy(c.LINE_ID).agg(F.count(F.lit(1)).alias("n")).where("n > 1").select(c.LINE_ID)


def torn_orders(lines: DataFrame) -> DataFrame:
    """The orders that have lines of more than one customer."""
    named = lines.where(F.col(c.ORDER_ID).isNotNull() & F.col(c.CUSTOMER_ID).isNotNull())
    customers = named.groupBy(c.ORDER_ID).agg(F.min(c.CUSTOMER_ID).alias("first"), F.max(c.CUSTOMER_ID).alias("last"))
    return customers.where(F.col("first") != F.col("last")).select(c.ORDER_ID)


def set_apart(lines: DataFrame, *, copied: Key | None, torn: Key | None) -> tuple[DataFrame, DataFrame]:
    """The lines that are good whatever the others are, as rows of `transactions`, and those to be compared or refused.

    Args:
        lines: as `transactions.judged_lines` gives them.
        copied: line_ids of `copied_lines`; None where copies are not looked for.
        torn: order_ids of `torn_orders`; None where they are not looked for.
    """
    marked = _marked(_marked(lines, copied, c.LINE_ID, _IS_COPIED), torn, c.ORDER_ID, _IS_TORN)
    concerned = F.col(IS_REFUSED) | F.col(_IS_COPIED) | F.col(_IS_TORN)
    return marked.where(~concerned).select(TRANSACTIONS.column_names), marked.where(concerned)


def compared(concerned: DataFrame, settings: Checks, *, copied: Key | None, torn: Key | None) -> DataFrame:
    """The lines that were set apart with all that is to be said of them in `reasons` and `warnings`.

    Of equal lines one is kept, the one from the file first by name; the others are copies of it. All lines of a torn
    order are concerned by it.
    """
    found: dict[Reason, Column] = {}
    if copied is not None and copied.count:
        equal = Window.partitionBy(c.LINE_ID, c.ROW).orderBy(c.SOURCE_FILE)
        found["duplicate"] = F.col(_IS_COPIED) & (F.row_number().over(equal) > 1)
    if torn is not None and torn.count:
        found["order_changes_customer"] = F.col(_IS_TORN)

    def added(column: str, severity: Severity) -> Column:
        more = [F.when(holds, F.lit(code)) for code, holds in found.items() if settings.severity_of(code) == severity]
        return F.concat(column, F.array_compact(F.array(*more))) if more else F.col(column)

    return concerned.withColumns({c.REASONS: added(c.REASONS, "reject"), c.WARNINGS: added(c.WARNINGS, "warn")})


@dataclass(frozen=True)
class Account:
    """How many lines are refused, how many of them only for a date that is not known yet, and how many by reason."""

    refused: int
    not_known_yet: int
    by_reason: dict[str, int]


def account(compared: DataFrame) -> Account:
    """Count the refused lines. Runs one aggregation."""
    not_known_yet = F.col(c.REASONS) == F.array(F.lit(NOT_KNOWN_YET))
    row = compared.agg(
        F.count_if(F.size(c.REASONS) > 0).alias("refused"),
        F.count_if(not_known_yet).alias("not_known_yet"),
        *(F.count_if(F.array_contains(c.REASONS, code)).alias(code) for code in MEANING),
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    return Account(row["refused"], row["not_known_yet"], {code: row[code] for code in MEANING if row[code]})


def accepted(lines: DataFrame) -> DataFrame:
    """The lines without a reason against them, as rows of `transactions`."""
    return lines.where(F.size(c.REASONS) == 0).select(TRANSACTIONS.column_names)


def refused(lines: DataFrame, *, batch_id: str) -> DataFrame:
    """The lines with reasons against them, as rows of `rejected_transactions`."""
    told = lines.where(F.size(c.REASONS) > 0).withColumns(
        {c.INGESTED_AT: F.current_timestamp(), c.BATCH_ID: F.lit(batch_id)}
    )
    return told.select(REJECTED_TRANSACTIONS.column_names)


def _marked(lines: DataFrame, key: Key | None, name: str, mark: str) -> DataFrame:
    """The lines with whether their key is among the values; no join where there are none."""
    if key is None or key.count == 0:
        return lines.withColumn(mark, F.lit(False))
    values = key.values.withColumn(mark, F.lit(True))
    joined = lines.join(F.broadcast(values) if key.count <= FEW else values, on=name, how="left")
    return joined.withColumn(mark, F.coalesce(mark, F.lit(False)))
