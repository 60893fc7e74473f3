"""Finds the rows of suppressed customers, who are known by salted digests of their ids alone."""

import hashlib
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from customer_segmentation.contract import columns as c
from customer_segmentation.ingest.files import CORRUPT
from customer_segmentation.ingest.orders import BROADCAST_LIMIT
from customer_segmentation.ingest.values import INVISIBLE, as_id

IS_SUPPRESSED = "_is_suppressed"
"""The column that `Suppressed.marked` adds."""

HASH = "customer_hash"
_HASH = "_customer_hash"
_SEPARATORS = (r"[^\p{L}\p{M}\p{N}_.@+/#& -]+", r"[,;|\t\"']+", r"[,;\t\"']+")
"""What parts the values of a line of text, whatever its format; of ids some have : = | and the like in them."""


@dataclass(frozen=True)
class Suppressed:
    """Suppressed customers.

    hashes: `HASH` of each, once.
    count: how many they are.
    salt: of the digests.
    """

    hashes: DataFrame
    count: int
    salt: str

    def marked(self, rows: DataFrame, *, text: Column | None = None) -> DataFrame:
        """The rows with `IS_SUPPRESSED`: whether they are of a suppressed customer.

        Args:
            rows: with a customer_id, null where there is none.
            text: the line of a row that has no columns, since it is malformed, else null: it is a suppressed customer's
                where one of its values is their id.
        """
        known = self.hashes.select(F.col(HASH).alias(_HASH), F.lit(True).alias(IS_SUPPRESSED))
        known = F.broadcast(known) if self.count <= BROADCAST_LIMIT else known
        of_id = rows.withColumn(_HASH, hashed(F.col(c.CUSTOMER_ID), self.salt)).join(known, on=_HASH, how="left")
        of_id = of_id.drop(_HASH).withColumn(IS_SUPPRESSED, F.coalesce(IS_SUPPRESSED, F.lit(False)))
        if text is None:
            return of_id
        everybody = self.hashes.agg(F.collect_list(HASH)).scalar()
        in_text = F.transform(values_in(text), lambda value: hashed(value, self.salt))
        is_in_text = F.when(text.isNotNull(), F.arrays_overlap(in_text, everybody))
        return of_id.withColumn(IS_SUPPRESSED, F.col(IS_SUPPRESSED) | F.coalesce(is_in_text, F.lit(False)))


def malformed_text(row: str = c.ROW) -> Column:
    """The text of a malformed line in a source's row as JSON; null for other rows."""
    return F.get_json_object(row, f"$.{CORRUPT}")


def quarantined_text() -> Column:
    """The text of a rejected row whose customer no column has, though it does not lack one; null for other rows.

    It is malformed, or an earlier release rejected it.
    """
    is_unknown = F.col(c.CUSTOMER_ID).isNull() & ~F.array_contains(c.REASONS, "missing_customer")
    return F.coalesce(malformed_text(), F.when(is_unknown, F.col(c.ROW)))


def hashed(customer_id: Column, salt: str) -> Column:
    """The digest of a customer's id; null without one."""
    return F.sha2(F.concat(F.lit(salt), customer_id), 256)


def hash_of(customer_id: str, salt: str) -> str:
    """Like `hashed`, of an id that a person gives."""
    return hashlib.sha256((salt + customer_id.strip(INVISIBLE)).encode()).hexdigest()


def values_in(text: Column) -> Column:
    """What could be a value in a line of text, as an array: its parts between separators, and the words of these."""
    parts = F.concat(*(F.split(text, separators) for separators in _SEPARATORS))
    words = F.flatten(F.transform(parts, lambda part: F.split(part, " ")))
    values = F.array_distinct(F.concat(parts, words))
    return F.array_compact(F.transform(values, lambda value: as_id(value, StringType())))
