"""A run: its session, configuration and tables, and what it is called.

The same data, settings and date have the same names, so doing a run again replaces it.
"""

import difflib
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.clustering import SegmentationModel, model_from_json
from customer_segmentation.clustering.dbscan import DBSCANModel, core_points_of
from customer_segmentation.config.schema import Config, Sources
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.features.attributes import attribute_names, with_attributes
from customer_segmentation.features.stray_days import stray_days
from customer_segmentation.ingest.customers import renamed_attributes
from customer_segmentation.progress import Progress
from customer_segmentation.spark.local_time import in_local_time, local_day
from customer_segmentation.storage import Warehouse

_SETTINGS_OF_A_RUN = {"timezone", "seed", "sources", "checks", "features", "clustering"}
_SETTINGS_OF_A_MODEL = {"timezone", "seed", "features", "clustering"}


class Run:
    """What the stages of one run share."""

    def __init__(self, spark: SparkSession, config: Config, progress: Progress | None = None) -> None:
        self.spark = spark
        self.config = config
        self.warehouse = Warehouse(spark, config.tables)
        self.progress = progress or Progress()
        self.started_at = datetime.now(UTC)
        self.claim = (
            f"{socket.gethostname()}, process {os.getpid()}, {self.started_at.isoformat(timespec='microseconds')}"
        )

    @property
    def sources(self) -> Sources:
        """The configured sources.

        Raises:
            ConfigurationError: there are none.
        """
        if self.config.sources is None:
            raise ConfigurationError(
                "sources.transactions: is missing; say where the order lines are, see conf/demo.yml"
            )
        return self.config.sources

    @cached_property
    def as_of(self) -> date:
        """The configured date, else the day after the last accepted order of the day that the run started or before.

        Raises:
            DataRefusedError: no date is configured, and there is no order by that day.
        """
        if self.config.as_of is not None:
            return self.config.as_of
        days = self._order_days
        if not days:
            raise DataRefusedError("there are no order lines to segment customers by")
        past = [day for day in days if day <= self.start_day]
        if not past:
            raise DataRefusedError(
                f"all order lines are dated after the day of the run, {self.start_day}: the first is of {days[0]}; "
                "mend their dates or this machine's clock, or set as_of"
            )
        return past[-1] + timedelta(days=1)

    def as_of_remarks(self) -> list[str]:
        """What there is to say of the date where none is configured: orders that it leaves out, or rests on alone."""
        if self.config.as_of is not None:
            return []
        days, remarks = self._order_days, []
        if days[-1] >= self.as_of:
            remarks.append(
                f"order lines are dated up to {days[-1]}, after the day of the run, {self.start_day}: those do not "
                "enter; mend them, or refuse them by checks.latest_order"
            )
        stray = stray_days([day for day in days if day < self.as_of])
        if stray is not None:
            which = (
                f"the last order day, {stray.last}, lies"
                if stray.days == 1
                else (f"the last {stray.days} order days, {stray.first} to {stray.last}, lie")
            )
            remarks.append(
                f"{which} {stray.gap_days:,} days after the one before, {stray.last_before}, far from all others; if "
                f"that is a mistake, set as_of or checks.latest_order to {stray.last_before + timedelta(days=1)}"
            )
        return remarks

    @cached_property
    def _order_days(self) -> list[date]:
        """Each local day with an order line, ascending."""
        return sorted(row[0] for row in self.transactions().select(F.to_date(c.ORDERED_AT)).distinct().collect())

    @property
    def start_day(self) -> date:
        """The day on which the run started, where the shop is."""
        return local_day(self.started_at, self.config.timezone)

    @cached_property
    def run_id(self) -> str:
        """Such as 20180102-1f0c9a2e: the as-of date, and a digest of the settings that make the results."""
        return f"{self.as_of:%Y%m%d}-{self._digest(_SETTINGS_OF_A_RUN)}"

    @property
    def model_settings(self) -> str:
        """Digest of the settings that make a model; another one calls for another training."""
        return self._digest(_SETTINGS_OF_A_MODEL)

    @cached_property
    def input_versions(self) -> dict[str, int]:
        """Delta versions of the canonical tables that the run reads; fixed at its first look."""
        read = [t.TRANSACTIONS, t.RETURNS]
        read += [t.CUSTOMERS] if self.sources.customers else []
        read += [t.ENGAGEMENT] if self.sources.engagement else []
        return {table.name: self.warehouse.version(table) for table in read}

    def transactions(self) -> DataFrame:
        """The accepted order lines, at the run's version, in local time: for reading, not to be written."""
        for table in (t.TRANSACTIONS, t.RETURNS):
            self._require(table, "ingest")
        lines = self.warehouse.read(t.TRANSACTIONS, version=self.input_versions[t.TRANSACTIONS.name])
        return in_local_time(lines, self.config.timezone, c.ORDERED_AT, c.CHANGED_AT)

    def returns(self) -> DataFrame:
        """What was given back, with the purchases it undoes, at the run's version, in local time."""
        self._require(t.RETURNS, "ingest")
        pieces = self.warehouse.read(t.RETURNS, version=self.input_versions[t.RETURNS.name])
        return in_local_time(pieces, self.config.timezone, c.RETURNED_AT, c.ORDERED_AT)

    def customers(self) -> DataFrame | None:
        """The customers' attributes, at the run's version; None where no source is configured."""
        version = self.input_versions.get(t.CUSTOMERS.name)
        return None if version is None else self.warehouse.read(t.CUSTOMERS, version=version)

    def engagement(self) -> DataFrame | None:
        """The engagement events, at the run's version, in local time; None where no source is configured."""
        version = self.input_versions.get(t.ENGAGEMENT.name)
        if version is None:
            return None
        return in_local_time(self.warehouse.read(t.ENGAGEMENT, version=version), self.config.timezone, c.OCCURRED_AT)

    def features(self) -> DataFrame:
        """The run's customers, with the attributes that they are clustered by, as text.

        Raises:
            ConfigurationError: an attribute is not in `customers`.
        """
        self._require(t.CUSTOMER_FEATURES, "features")
        rows = self.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=self.run_id)
        # An earlier release added the attributes here.
        features = rows.select(t.CUSTOMER_FEATURES.column_names)
        attributes = self.config.clustering.preparation.attributes
        if not attributes:
            return features
        customers = self.customers()
        known = {} if customers is None else {name.lower(): name for name in attribute_names(customers)}
        missing = [name for name in attributes if name.lower() not in known]
        if customers is None or missing:
            renamed = {} if customers is None else renamed_attributes(customers)
            raise ConfigurationError(
                f"clustering.preparation.attributes: {', '.join(missing)} is not among the customers' attributes"
                f"{_instead_of(missing, list(known.values()), renamed)}"
            )
        return with_attributes(features, customers, {name: known[name.lower()] for name in attributes})

    @cached_property
    def newest_model(self) -> SegmentationModel | None:
        """The newest registered model of the run's settings that was trained at or before its as-of date."""
        if not self.warehouse.exists(t.MODEL_RUNS):
            return None
        row = (
            self.warehouse.read(t.MODEL_RUNS)
            .where(F.col("configuration") == self.model_settings)
            .where(F.col("trained_as_of") <= F.lit(self.as_of))
            .orderBy(F.desc("trained_as_of"))
            .select("model")
            .first()
        )
        return model_from_json(row["model"], self._core_points) if row else None

    def _core_points(self, model: DBSCANModel) -> DataFrame:
        """The registered core points of a model."""
        self._require(t.MODEL_CORE_POINTS, "train")
        return core_points_of(
            model, self.warehouse.rows(t.MODEL_CORE_POINTS, column=c.MODEL_VERSION, value=model.version)
        )

    @property
    def young_model(self) -> SegmentationModel | None:
        """The newest model, as long as it is less than `clustering.retrain_after_days` old at the as-of date."""
        model = self.newest_model
        limit = timedelta(days=self.config.clustering.retrain_after_days)
        return model if model is not None and self.as_of - model.trained_as_of < limit else None

    @cached_property
    def previous_run_id(self) -> str | None:
        """The run that was published before this one; a run done again keeps the one it had."""
        published = self.published_run_id()
        if published != self.run_id:
            return published
        runs = self.warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=self.run_id)
        row = runs.select("previous_run_id").first()
        return row[0] if row else None

    def published_run_id(self) -> str | None:
        """The run that consumers read now."""
        if not self.warehouse.exists(t.CUSTOMER_SEGMENTS):
            return None
        row = self.warehouse.read(t.CUSTOMER_SEGMENTS).select(c.RUN_ID).first()
        return row[0] if row else None

    def _require(self, table: t.Table, command: str) -> None:
        if not self.warehouse.exists(table):
            raise ConfigurationError(
                f"there is no table {self.warehouse.location(table)} yet; run `customer-segmentation {command}` first"
            )

    def _digest(self, sections: set[str]) -> str:
        settings = self.config.model_dump(mode="json", include=sections)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _instead_of(missing: Sequence[str], known: Sequence[str], renamed: Mapping[str, str]) -> str:
    """What attributes that are not there may be called, else which there are, as the end of a message."""
    called = {source_name.lower(): name for name, source_name in renamed.items()}
    close = [
        called.get(name.lower()) or next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), None)
        for name in missing
    ]
    meant = ", ".join(name for name in close if name is not None)
    return f"; did you mean {meant}?" if meant else f"; known here: {', '.join(known) or 'none'}"
