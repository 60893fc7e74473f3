"""A run: its session, configuration and tables, and what it is called.

The same data, settings and date have the same names, so doing a run again replaces it.
"""

import hashlib
import json
import os
import socket
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.clustering.base import SegmentationModel
from customer_segmentation.clustering.dbscan import DBSCANModel, core_points_of
from customer_segmentation.clustering.saved import model_from_json
from customer_segmentation.config.schema import Config, Sources
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.features.attributes import PREFIX
from customer_segmentation.progress import Progress
from customer_segmentation.storage import Warehouse

_SETTINGS_OF_A_RUN = {"seed", "sources", "checks", "features", "clustering"}
_SETTINGS_OF_A_MODEL = {"seed", "features", "clustering"}


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
    def start_day(self) -> date:
        """The day on which the run started, where the shop is."""
        return self.started_at.astimezone(ZoneInfo(self.config.timezone)).date()

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
        """The configured date, else the day after the last accepted order."""
        if self.config.as_of is not None:
            return self.config.as_of
        last = self.transactions().agg(F.max(F.to_date(c.ORDERED_AT))).first()
        if last is None or last[0] is None:
            raise DataRefusedError("there are no order lines to segment customers by")
        latest: date = last[0]
        return latest + timedelta(days=1)

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
        """The accepted order lines, at the run's version."""
        for table in (t.TRANSACTIONS, t.RETURNS):
            self._require(table, "ingest")
        return self.warehouse.read(t.TRANSACTIONS, version=self.input_versions[t.TRANSACTIONS.name])

    def returns(self) -> DataFrame:
        """What was given back, with the purchases it undoes, at the run's version."""
        self._require(t.RETURNS, "ingest")
        return self.warehouse.read(t.RETURNS, version=self.input_versions[t.RETURNS.name])

    def customers(self) -> DataFrame | None:
        """The customers' attributes, at the run's version; None where no source is configured."""
        version = self.input_versions.get(t.CUSTOMERS.name)
        return None if version is None else self.warehouse.read(t.CUSTOMERS, version=version)

    def engagement(self) -> DataFrame | None:
        """The engagement events, at the run's version; None where no source is configured."""
        version = self.input_versions.get(t.ENGAGEMENT.name)
        return None if version is None else self.warehouse.read(t.ENGAGEMENT, version=version)

    def features(self) -> DataFrame:
        """The run's customers, with the attributes that they are clustered by."""
        self._require(t.CUSTOMER_FEATURES, "features")
        features = self.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=self.run_id)
        attributes = self.config.clustering.preparation.attributes
        if not attributes:
            return features
        known = [
            name.removeprefix(PREFIX) for name in features.columns if name.startswith(PREFIX) and name != c.CUSTOMER_ID
        ]
        missing = [name for name in attributes if name not in known]
        if missing:
            raise ConfigurationError(
                f"clustering.preparation.attributes: {', '.join(missing)} is not among the customers' attributes; "
                f"known here: {', '.join(known) or 'none'}"
            )
        return features.withColumns({name: F.col(f"{PREFIX}{name}") for name in attributes})

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
