"""A run: its session and settings, its name, and what it works with.

The same data, settings and date have the same names, so a repeated run replaces its own results.
"""

import hashlib
import json
import os
import socket
from copy import copy
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config, Segments, Sources
from customer_segmentation.contract.features import DEFINITION
from customer_segmentation.progress import Progress
from customer_segmentation.spark.local_time import local_day
from customer_segmentation.stages.as_of import derived_as_of, remarks_on
from customer_segmentation.stages.inputs import RunInputs
from customer_segmentation.stages.model_registry import ModelRegistry
from customer_segmentation.stages.publication import Publication
from customer_segmentation.storage import Warehouse

_SETTINGS_OF_A_RUN = {"timezone", "seed", "sources", "checks", "features", "clustering"}
_SETTINGS_OF_A_MODEL = {"timezone", "seed", "features", "clustering"}


class Run:
    """What the stages of one run share.

    Attributes:
        spark, config: the session and the settings.
        warehouse: reads and writes all tables.
        inputs: the canonical tables at the versions that the run reads.
        models: the registered models of the run's settings.
        publication: which run is published.
        progress: reports the stages.
        started_at: the only time that the clock is asked for the run.
        claim: names the run, unlike any other, in what it claims.
    """

    def __init__(self, spark: SparkSession, config: Config, progress: Progress | None = None) -> None:
        self.spark = spark
        self.config = config
        self.warehouse = Warehouse(spark, config.tables)
        self.inputs = RunInputs(self.warehouse, config)
        self.publication = Publication(self.warehouse)
        self.progress = progress or Progress()
        self.started_at = datetime.now(UTC)
        self.claim = (
            f"{socket.gethostname()}, process {os.getpid()}, {self.started_at.isoformat(timespec='microseconds')}"
        )

    @property
    def sources(self) -> Sources:
        """The configured sources; a ConfigurationError where there are none."""
        return self.config.configured_sources

    @property
    def start_day(self) -> date:
        """The day on which the run started, where the shop is."""
        return local_day(self.started_at, self.config.timezone)

    @cached_property
    def as_of(self) -> date:
        """The configured date, else the day after the last order up to the day that the run started."""
        return self.config.as_of or derived_as_of(self.inputs.order_days, start_day=self.start_day)

    def as_of_remarks(self) -> list[str]:
        """Warnings on the as-of date where none is configured."""
        if self.config.as_of is not None:
            return []
        return remarks_on(self.as_of, self.inputs.order_days, start_day=self.start_day)

    def at(self, day: date) -> "Run":
        """This run as of another date: of the same settings and inputs, under a run_id of its own."""
        other = copy(self)
        other.config = self.config.model_copy(update={"as_of": day})
        for name in ("as_of", "run_id", "models", "previous_run_id"):
            other.__dict__.pop(name, None)
        return other

    @cached_property
    def run_id(self) -> str:
        """Such as 20180102-1f0c9a2e: the as-of date, and a digest of the settings that make the results."""
        # What segments are called counts only where it is set, so that runs of before that are still known.
        named = {"segments"} if self.config.segments != Segments() else set()
        return f"{self.as_of:%Y%m%d}-{self._digest(_SETTINGS_OF_A_RUN | named)}"

    @cached_property
    def models(self) -> ModelRegistry:
        """The registered models of the run's settings, up to its as-of date."""
        max_age = timedelta(days=self.config.clustering.retrain_after_days)
        settings = self._digest(_SETTINGS_OF_A_MODEL)
        return ModelRegistry(self.warehouse, settings, as_of=lambda: self.as_of, max_age=max_age)

    @cached_property
    def previous_run_id(self) -> str | None:
        """The run that was published before this one."""
        return self.publication.previous_run_id(self.run_id)

    def _digest(self, sections: set[str]) -> str:
        settings = self.config.model_dump(mode="json", include=sections)
        # What a model learnt from features that meant something else is not for these.
        settings["definition"] = DEFINITION
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
