"""A run: its session and settings, its name, and what it works with.

A run is named by its date, its settings, what has been read and the model that assigns: the same ones are the same run,
and anything else is another one, whose results stand beside those of this one. So is a model, by what it is trained on.
"""

import hashlib
import json
from collections.abc import Sequence
from copy import copy
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from customer_segmentation.claims import owner_of
from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.config.schema import Clustering, Config, Sources
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.features import DEFINITION, FEATURES
from customer_segmentation.contract.features.value import value_features
from customer_segmentation.progress import Progress
from customer_segmentation.spark.local_time import local_day
from customer_segmentation.stages.as_of import derived_as_of, remarks_on
from customer_segmentation.stages.backtest_log import BacktestLog
from customer_segmentation.stages.inputs import RunInputs
from customer_segmentation.stages.model_registry import ModelRegistry
from customer_segmentation.stages.publication import Publication
from customer_segmentation.stages.suppression import SuppressionList
from customer_segmentation.storage import Warehouse, require_apart_from_tables
from customer_segmentation.value import ValueModel

if TYPE_CHECKING:
    from customer_segmentation.stages.alerts import Alert

_SETTINGS_OF_A_RUN = {"timezone", "seed", "sources", "checks", "features", "value", "clustering", "segments"}
_SETTINGS_OF_FEATURES = {"timezone", "sources", "checks", "features", "value"}
_SETTINGS_OF_A_MODEL = {"timezone", "seed", "features", "value", "clustering"}
_SETTINGS_OF_A_BACKTEST = {*_SETTINGS_OF_A_MODEL, "sources", "checks", "backtest"}
_SETTINGS_OF_A_TRAINING = {*_SETTINGS_OF_A_MODEL, "segments"}

_NOT_OF_A_MODEL = {name: Clustering.model_fields[name].default for name in ("retrain_after_days", "gpu")}
"""When to train, and on what: models that differ in these alone follow one another, and keep their segments' ids."""

_OF_A_DATE = ("as_of", "features_id", "model_version", "version_to_train", "backtests", "ranked_by", "previous_run_id")
"""What is known of a run once it is asked for, and depends on the date."""


class Run:
    """What the stages of one run share.

    Attributes:
        spark, config: the session and the settings.
        warehouse: reads and writes all tables.
        inputs: the canonical tables at the versions that the run reads.
        models: the registered models of the run's settings.
        publication: which run is published.
        suppression: whose rows are filtered out.
        fitted_values: the value models that the run has fitted, by the features' id.
        progress: reports the stages.
        command: that the run is made by.
        started_at: the only time that the clock is asked for the run.
        claim: names the run, unlike any other, in what it claims.
        known_run_id: its `run_id`, once that has been asked for.
        alerts: figures of the run beyond limits, once they are known; see `stages.alerts`.

    Raises:
        ConfigurationError: a source lies in the folder of a table.
    """

    def __init__(
        self, spark: SparkSession, config: Config, progress: Progress | None = None, *, command: str = "run"
    ) -> None:
        require_apart_from_tables(config)
        self.spark = spark
        self.config = config
        self.command = command
        self.warehouse = Warehouse(spark, config.tables)
        self.inputs = RunInputs(self.warehouse, config)
        self.publication = Publication(self.warehouse, command, self._digest(_SETTINGS_OF_A_RUN))
        self.suppression = SuppressionList(self.warehouse)
        self.fitted_values: dict[str, ValueModel] = {}
        self.known_run_id: str | None = None
        self.alerts: Sequence[Alert] | None = None
        self.progress = progress or Progress()
        self.progress.run_id = lambda: self.known_run_id
        self.started_at = datetime.now(UTC)
        self.claim = owner_of(self.started_at.isoformat(timespec="microseconds"))

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
        for name in _OF_A_DATE:
            other.__dict__.pop(name, None)
        other.models = self.models.at(day)
        return other

    @property
    def run_id(self) -> str:
        """Such as 20180102-1f0c9a2e: the as-of date, and a digest of all that makes the results."""
        made_by = {"inputs": self.inputs.state, "model": self.model_version, "ranked_by": self.ranked_by}
        self.known_run_id = f"{self.as_of:%Y%m%d}-{self._digest(_SETTINGS_OF_A_RUN, **made_by)}"
        return self.known_run_id

    def known(self) -> dict[str, str | None]:
        """The run_id, as_of_date and model_version, as far as they are known; nothing is computed for it."""
        as_of, model_version = self.__dict__.get("as_of", self.config.as_of), self.__dict__.get("model_version")
        return {
            c.RUN_ID: self.known_run_id,
            c.AS_OF_DATE: None if as_of is None else as_of.isoformat(),
            c.MODEL_VERSION: model_version,
        }

    @property
    def backtest_id(self) -> str:
        """The `run_id` of a backtest up to the run's date."""
        return f"{self.as_of:%Y%m%d}-{self._digest(_SETTINGS_OF_A_BACKTEST, inputs=self.inputs.state)}"

    @cached_property
    def backtests(self) -> BacktestLog:
        """The newest backtest of the run's settings."""
        return BacktestLog(self.warehouse, self.models.settings, as_of=lambda: self.as_of)

    @cached_property
    def ranked_by(self) -> str:
        """The column of customer_features that customers are ranked by within their segments."""
        settings = self.config.features
        of_value = value_features(self.config.value.horizons)
        columns = [feature.name for feature in (*FEATURES, *settings.derived_features, *of_value)]
        horizon = self.config.segments.horizon_days
        return self.backtests.ranking_column(columns, horizon_days=horizon, windows=settings.windows.days())

    @cached_property
    def features_id(self) -> str:
        """A digest of what the features of the run's customers are made from."""
        return self._digest(_SETTINGS_OF_FEATURES, inputs=self.inputs.state, as_of=self.as_of.isoformat())

    @cached_property
    def models(self) -> ModelRegistry:
        """The registered models of the run's settings, up to its as-of date."""
        return ModelRegistry(
            self.warehouse,
            self._digest(_SETTINGS_OF_A_MODEL),
            as_of=lambda: self.as_of,
            max_age=timedelta(days=self.config.clustering.retrain_after_days),
            lines=lambda: self.inputs.state["lines"]["definition"],
            batch=lambda: self.inputs.state["lines"]["batch_number"],
        )

    @cached_property
    def model_version(self) -> str:
        """The model that assigns: the one that serves on, else the one that the run trains, until `serve`."""
        return self.models.reusable_version or self.version_to_train

    def serve(self, model: SegmentationModel) -> None:
        """Make the run one that this registered model assigns."""
        self.models.reusable, self.model_version = model, model.version

    @cached_property
    def version_to_train(self) -> str:
        """The version of a model trained on what the run reads, after the models of before its date."""
        incumbent = self.models.incumbent_version
        # By so many customers of the past it is seen which of several equally good segmentations ranks best.
        drawn = self.config.backtest.sample_size
        digest = self._digest(_SETTINGS_OF_A_TRAINING, inputs=self.inputs.state, incumbent=incumbent, drawn=drawn)
        return f"{self.config.clustering.algorithm}-{self.as_of:%Y%m%d}-{digest}"

    @cached_property
    def previous_run_id(self) -> str | None:
        """The run that was published before this one."""
        return self.publication.previous_run_id(self.run_id)

    def _digest(self, sections: set[str], **more: Any) -> str:
        settings = self.config.model_dump(mode="json", include=sections) | more
        if sections != _SETTINGS_OF_A_RUN and "clustering" in settings:
            settings["clustering"] |= _NOT_OF_A_MODEL
        # What a model learnt from features that meant something else is not for these.
        settings["definition"] = DEFINITION
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
