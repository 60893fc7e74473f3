"""Who is suppressed, as rows of `suppressed_customers`."""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property

from pyspark.sql import functions as F

from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.ingest.suppression import HASH, Suppressed, hash_of
from customer_segmentation.spark.digests import digest_of_rows
from customer_segmentation.stages.builds import COMMITTED
from customer_segmentation.storage import Warehouse

_SALT_BYTES = 32


class SuppressionList:
    """The customers who were erased, for good: what the sources have of them is filtered out.

    Args:
        warehouse: has the tables.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    @cached_property
    def suppressed(self) -> Suppressed | None:
        """All who are on the list; None where nobody is."""
        if not self._warehouse.exists(t.SUPPRESSED_CUSTOMERS):
            return None
        hashes = self._warehouse.read(t.SUPPRESSED_CUSTOMERS).select(HASH).distinct()
        count = hashes.count()
        return Suppressed(hashes, count, self._salt) if count else None

    @cached_property
    def state(self) -> str | None:
        """A digest of the list, whatever its order; None where nobody is on it."""
        if self.suppressed is None:
            return None
        row = self.suppressed.hashes.agg(digest_of_rows(HASH)).first()
        assert row is not None, "an aggregation without grouping has one row"
        return f"{self.suppressed.count}-{row[0]}"

    def lacks(self, customer_ids: Iterable[str]) -> bool:
        """Whether some of these customers are not on the list."""
        if self.suppressed is None:
            return True
        hashes = [(hash_of(customer_id, self.suppressed.salt),) for customer_id in customer_ids]
        asked = self._warehouse.spark.createDataFrame(hashes, f"{HASH} string")
        return not asked.join(self.suppressed.hashes, on=HASH, how="left_anti").isEmpty()

    def add(self, customer_ids: Iterable[str], *, receipt_id: str) -> None:
        """Put customers on the list who are not on it, in one commit."""
        if self.suppressed is None and not self._warehouse.exists(t.SUPPRESSION_SALT):
            self._warehouse.create(t.SUPPRESSION_SALT, [{"salt": secrets.token_hex(_SALT_BYTES)}])
        salt = self._salt
        hashes = sorted({hash_of(customer_id, salt) for customer_id in customer_ids})
        rows = [{HASH: each, "receipt_id": receipt_id, "suppressed_at": datetime.now(UTC)} for each in hashes]
        new = self._warehouse.spark.createDataFrame([tuple(row.values()) for row in rows], t.SUPPRESSED_CUSTOMERS.ddl)
        if self.suppressed is not None:
            new = new.join(self.suppressed.hashes, on=HASH, how="left_anti")
        if not new.isEmpty():
            self._warehouse.append(t.SUPPRESSED_CUSTOMERS, new)
        for name in ("suppressed", "state"):
            self.__dict__.pop(name, None)

    def unfinished(self) -> str | None:
        """The receipt of an erasure that ended midway; None where none did."""
        if self.suppressed is None:
            return None
        asked = self._warehouse.read(t.SUPPRESSED_CUSTOMERS).select("receipt_id")
        if self._warehouse.exists(t.ERASURES):
            steps = self._warehouse.read(t.ERASURES)
            done = steps.where(F.col("status") == COMMITTED).select("receipt_id")
            asked = asked.unionByName(steps.select("receipt_id")).join(done, on="receipt_id", how="left_anti")
        row = asked.agg(F.max("receipt_id")).first()
        return row[0] if row else None

    @property
    def _salt(self) -> str:
        """The salt of the warehouse.

        Raises:
            CustomerSegmentationError: it is gone, and nobody on the list would be recognised.
        """
        is_there = self._warehouse.exists(t.SUPPRESSION_SALT)
        row = self._warehouse.read(t.SUPPRESSION_SALT).first() if is_there else None
        if row is None:
            raise CustomerSegmentationError(
                f"the salt at {self._warehouse.location(t.SUPPRESSION_SALT)} is gone: without it nobody in "
                f"{t.SUPPRESSED_CUSTOMERS.name} is recognised. Restore it from a backup; nothing was read"
            )
        salt: str = row["salt"]
        return salt
