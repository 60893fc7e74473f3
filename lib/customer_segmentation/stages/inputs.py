"""The canonical tables that a run reads, each at one version, in local time."""

from datetime import date, timedelta
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.spark.local_time import in_local_time
from customer_segmentation.stages.builds import COMMITTED, PLANNED, Build, builds_of
from customer_segmentation.stages.suppression import SuppressionList
from customer_segmentation.storage import Warehouse

_STEPS_READ = 40
"""Rows of the newest batches that are looked at first: a batch has three at most."""


class RunInputs:
    """The canonical tables as they were when the run first read one of them.

    Attributes:
        own_batch: the newest batch where the run has committed it itself, so that it need not be looked up; else None.
    """

    def __init__(self, warehouse: Warehouse, config: Config) -> None:
        self._warehouse = warehouse
        self._config = config
        self.own_batch: Row | None = None

    @cached_property
    def versions(self) -> dict[str, int]:
        """Delta versions of the tables by name; fixed when first asked for.

        Raises:
            ConfigurationError: one of them was never written.
        """
        tables = [t.TRANSACTIONS, t.RETURNS, *self.entities]
        for table in tables:
            self._warehouse.require(table, command="ingest")
        return self._warehouse.versions(tables)

    @property
    def entities(self) -> list[t.Table]:
        """The tables beside the order lines that have a source."""
        sources = self._config.configured_sources
        return [table for table, own in ((t.CUSTOMERS, sources.customers), (t.ENGAGEMENT, sources.engagement)) if own]

    @cached_property
    def _builds(self) -> dict[str, Build]:
        """How far these tables are, by name."""
        entities = self.entities
        return {table.name: build for table, build in zip(entities, builds_of(self._warehouse, *entities), strict=True)}

    @cached_property
    def batch(self) -> Row:
        """The newest committed batch of order lines, a row of `ingest_batches`; fixed when first asked for.

        Raises:
            ConfigurationError: nothing was read yet, or a batch after it ended while it changed the tables.
        """
        if self.own_batch is not None:
            return self.own_batch
        self._warehouse.require(t.INGEST_BATCHES, command="ingest")
        newest = [row for row in newest_batches(self._warehouse.read(t.INGEST_BATCHES)) if row["status"] != PLANNED]
        committed = next((row for row in newest if row["status"] == COMMITTED), None)
        if committed is None:
            raise ConfigurationError("no order lines were read yet; run `customer-segmentation ingest` first")
        if newest[0]["batch_number"] > committed["batch_number"]:
            raise ConfigurationError(
                f"an ingest ended while batch {newest[0]['batch_number']} changed the tables, which hold neither the "
                "lines before it nor those after; run `customer-segmentation ingest` first"
            )
        return committed

    @cached_property
    def state(self) -> dict[str, Any]:
        """What the tables hold, whatever maintenance does to their files; fixed when first asked for.

        The batch that the order lines are of, what customers and events were made from, and who is suppressed, where
        somebody is; as JSON values.

        Raises:
            ConfigurationError: nothing was read yet.
        """
        made_from = {name: build.committed for name, build in self._builds.items()}
        suppressed = SuppressionList(self._warehouse).state
        lines = {name: self.batch[name] for name in ("batch_number", c.BATCH_ID, "definition")}
        return {"lines": lines, **made_from, **({"suppressed": suppressed} if suppressed else {})}

    def transactions(self, *, within: tuple[date, date] | None = None) -> DataFrame:
        """The accepted order lines in local time: for reading, not to be written.

        Args:
            within: a local day and a later one: at least the lines from the one to the other are there. By their times
                as they are stored, files without any are skipped.

        Raises:
            ConfigurationError: there are none yet.
        """
        lines = self._warehouse.read(t.TRANSACTIONS, version=self.versions[t.TRANSACTIONS.name])
        if within is not None:
            # No clock is a day off.
            first, last = within[0] - timedelta(1), min(within[1], date.max - timedelta(1)) + timedelta(1)
            lines = lines.where(
                (F.col(c.ORDERED_AT) >= F.lit(first).cast("timestamp"))
                & (F.col(c.ORDERED_AT) < F.lit(last).cast("timestamp"))
            )
        return in_local_time(lines, self._config.timezone, c.ORDERED_AT, c.CHANGED_AT)

    def returns(self) -> DataFrame:
        """The returns, matched with their purchases, in local time.

        Raises:
            ConfigurationError: there are none yet.
        """
        pieces = self._warehouse.read(t.RETURNS, version=self.versions[t.RETURNS.name])
        return in_local_time(pieces, self._config.timezone, c.RETURNED_AT, c.ORDERED_AT)

    def customers(self) -> DataFrame | None:
        """The customers' attributes; None where no source is configured.

        Raises:
            ConfigurationError: they were not read yet, or a run ended while it wrote them.
        """
        return self._entity(t.CUSTOMERS)

    def engagement(self) -> DataFrame | None:
        """The engagement events in local time; None where no source is configured.

        Raises:
            ConfigurationError: they were not read yet, or a run ended while it wrote them.
        """
        events = self._entity(t.ENGAGEMENT)
        return None if events is None else in_local_time(events, self._config.timezone, c.OCCURRED_AT)

    def _entity(self, table: t.Table) -> DataFrame | None:
        version = self.versions.get(table.name)
        if version is None:
            return None
        if self._builds[table.name].interrupted:
            raise ConfigurationError(
                f"{table.name} may have rows of other sources than it is on record with, since a run ended while it "
                "wrote them; run `customer-segmentation ingest`"
            )
        return self._warehouse.read(table, version=version)

    @cached_property
    def order_days(self) -> list[date]:
        """Each local day with an order line, ascending."""
        return sorted(row[0] for row in self.transactions().select(F.to_date(c.ORDERED_AT)).distinct().collect())


def newest_batches(batches: DataFrame) -> list[Row]:
    """Rows of `ingest_batches`: the steps of the newest batches, the newest first, down to a committed one if any."""
    steps = batches.orderBy(F.desc("batch_number"), F.desc("recorded_at"))
    rows = steps.limit(_STEPS_READ).collect()
    if len(rows) == _STEPS_READ and all(row["status"] != COMMITTED for row in rows):
        # So many attempts have ended before their commit.
        committed = steps.where(F.col("status") == COMMITTED).head()
        if committed is not None:
            rows = steps.where(F.col("batch_number") >= committed["batch_number"]).collect()
    return rows
