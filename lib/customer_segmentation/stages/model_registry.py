"""The registered models of one set of settings, in `model_runs` and `model_core_points`.

A registered model is never written again: that a later training asked for it once more is a row of `model_requests`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from customer_segmentation.clustering import SegmentationModel, model_from_json
from customer_segmentation.clustering.dbscan import DBSCANModel, core_point_rows, core_points_of
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.stages.publication import ROLLBACK
from customer_segmentation.storage import Warehouse

ORDERED_BY = ("trained_as_of", "asked_for_at")
"""What the models of some settings are ordered by, of which the highest serves; see `with_service`."""


class ModelRegistry:
    """The models of some settings that were trained up to a date.

    Args:
        warehouse: has the tables.
        settings: digest of the settings that make a model; another one calls for another training.
        as_of: gives the date up to which models count by when they were trained; asked for where there are models.
        max_age: a model of this age and older calls for a training.
        lines: gives the digest of the sources and checks that make the order lines; a model of other lines calls for a
            training.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        settings: str,
        *,
        as_of: Callable[[], date],
        max_age: timedelta,
        lines: Callable[[], str],
        batch: Callable[[], int],
    ) -> None:
        self._warehouse = warehouse
        self.settings = settings
        self._as_of = as_of
        self._max_age = max_age
        self._lines = lines
        self._batch = batch

    def at(self, day: date) -> "ModelRegistry":
        """The same models as of another date."""
        other = copy(self)
        other._as_of = lambda: day
        for name in ("newest", "incumbent", "reusable"):
            other.__dict__.pop(name, None)
        return other

    @cached_property
    def newest(self) -> SegmentationModel | None:
        """The newest model, be it in service or not; None where there is none."""
        row = next((row for row in self._rows if row["trained_as_of"] <= self._as_of()), None)
        return self.registered(row[c.MODEL_VERSION]) if row else None

    @cached_property
    def incumbent(self) -> SegmentationModel | None:
        """The model that a training at the as-of date follows, see `incumbent_version`; None for a first one.

        Its `highest_id` is that of all models whose segments were written, whatever their date.
        """
        model = self.registered(self.incumbent_version) if self.incumbent_version else None
        return replace(model, highest_id=_highest_id(self._rows)) if model else None

    @property
    def highest_id_elsewhere(self) -> int:
        """The highest id of models of other dates or lines whose segments were written; 0 where there are none.

        A first training has higher ones, such as that of a date before all others. One of the same date and lines as
        another, such as with other rules for names, begins anew.
        """
        same = (self._as_of(), self._batch())
        return _highest_id(row for row in self._rows if (row["trained_as_of"], row["batch_number"]) != same)

    @property
    def incumbent_version(self) -> str | None:
        """The newest model in service that was trained before the as-of date, or at it on lines of before.

        So a training that is repeated follows the same one.
        """
        row = next((row for row in self._rows if row["is_in_service"] and self._is_of_before(row)), None)
        return row[c.MODEL_VERSION] if row else None

    def _is_of_before(self, model: Row) -> bool:
        """Whether a model was trained before the as-of date, or at it on an earlier batch of order lines."""
        if model["trained_as_of"] != self._as_of():
            return bool(model["trained_as_of"] < self._as_of())
        return model["batch_number"] is not None and model["batch_number"] < self._batch()

    @property
    def in_service(self) -> SegmentationModel | None:
        """The newest model in service up to the as-of date, however old; None where there is none."""
        row = self._in_service(until=self._as_of())
        return self.registered(row[c.MODEL_VERSION]) if row else None

    def registered(self, version: str) -> SegmentationModel | None:
        """The model of this version; None where these settings have none."""
        if version not in {row[c.MODEL_VERSION] for row in self._rows}:
            return None
        row = self._warehouse.rows(t.MODEL_RUNS, column=c.MODEL_VERSION, value=version).select("model").first()
        return model_from_json(row["model"], self._core_points) if row else None

    def is_of_other_settings(self, version: str) -> bool:
        """Whether a model was registered for other settings: its segments' ids have nothing to do with these."""
        if not self._warehouse.exists(t.MODEL_RUNS):
            return False
        row = self._warehouse.rows(t.MODEL_RUNS, column=c.MODEL_VERSION, value=version).select("configuration").first()
        return row is not None and row["configuration"] != self.settings

    @cached_property
    def reusable(self) -> SegmentationModel | None:
        """The newest model in service, unless it calls for a training."""
        return self.registered(self.reusable_version) if self.reusable_version else None

    @property
    def reusable_version(self) -> str | None:
        """The newest model in service, unless it calls for a training by its age or the lines that it learnt from."""
        row = self._in_service(until=self._as_of())
        if row is None or self._as_of() - row["trained_as_of"] >= self._max_age:
            return None
        is_of_these = row["lines"] in (None, self._lines())  # a model of an earlier release has none
        return row[c.MODEL_VERSION] if is_of_these else None

    def register(
        self, model: SegmentationModel, row: Mapping[str, Any], *, lineage: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write a model, what it needs and its segments' lineage first.

        Args:
            model: the model.
            row: further columns of `model_runs`.
            lineage: rows of `segment_lineage` without the model's version.
        """
        version = {c.MODEL_VERSION: model.version}
        rows = [{**each, **version} for each in lineage]
        self._warehouse.replace_rows(t.SEGMENT_LINEAGE, rows, column=c.MODEL_VERSION, value=model.version)
        if isinstance(model, DBSCANModel):
            points = core_point_rows(model)
            self._warehouse.replace(t.MODEL_CORE_POINTS, points, column=c.MODEL_VERSION, value=model.version)
        own = {
            c.MODEL_VERSION: model.version,
            "algorithm": model.algorithm,
            "k": model.k,
            "trained_as_of": model.trained_as_of,
            "features": model.preparation.names,
            "model": model.to_json(),
            "configuration": self.settings,
            "lines": self._lines(),
            "batch_number": self._batch(),
            "registered_at": self._warehouse.clock.now(),
        }
        self._warehouse.replace_rows(t.MODEL_RUNS, [own | {**row}], column=c.MODEL_VERSION, value=model.version)
        self.newest = model
        self.__dict__.pop("_rows", None)

    def ask_again(self, version: str) -> None:
        """Keep that a training asked for a registered model, which serves on from now; nothing where it does already.

        Args:
            version: of a model that was trained as of the run's date.
        """
        serving = self._in_service(until=self._as_of())
        if serving is not None and serving[c.MODEL_VERSION] == version:
            return
        row = {c.MODEL_VERSION: version, "requested_at": self._warehouse.clock.now()}
        self._warehouse.append_rows(t.MODEL_REQUESTS, [row])
        for name in ("_rows", "newest"):
            self.__dict__.pop(name, None)

    @cached_property
    def _rows(self) -> list[Row]:
        """What there is to choose a model of these settings by, the newest first; the models themselves are large."""
        if not self._warehouse.exists(t.MODEL_RUNS):
            return []
        models = self._warehouse.rows(t.MODEL_RUNS, column="configuration", value=self.settings)
        ids = F.array_max(F.from_json(F.get_json_object("model", "$.segment_ids"), "array<int>"))
        highest = F.greatest(ids, F.get_json_object("model", "$.highest_id").cast("int"))
        newest = (
            with_service(self._warehouse, models)
            .orderBy(*map(F.desc, ORDERED_BY))
            .select(
                c.MODEL_VERSION,
                "trained_as_of",
                "lines",
                "batch_number",
                highest.alias("highest_id"),
                "asked_for_at",
                "has_run",
                "is_in_service",
            )
            .collect()
        )
        for row in newest:
            self._warehouse.clock.saw(row["asked_for_at"])
        return newest

    def _in_service(self, *, until: date) -> Row | None:
        """The newest model in service that was trained up to a date.

        A run that was killed after its training leaves a model that nobody was assigned by. It serves the same run when
        that is repeated; with other lines there is another one.
        """
        return next((row for row in self._rows if row["is_in_service"] and row["trained_as_of"] <= until), None)

    def _core_points(self, model: DBSCANModel) -> DataFrame:
        """The registered core points of a model."""
        self._warehouse.require(t.MODEL_CORE_POINTS, command="train")
        rows = self._warehouse.rows(t.MODEL_CORE_POINTS, column=c.MODEL_VERSION, value=model.version)
        return core_points_of(model, rows)


def _highest_id(models: Iterable[Row]) -> int:
    """The highest id of the models whose segments were written."""
    return max((row["highest_id"] or 0 for row in models if row["has_run"] or row["is_in_service"]), default=0)


def with_service(warehouse: Warehouse, models: DataFrame) -> DataFrame:
    """Rows of `model_runs` with what became of the models since.

    has_run: whether a model assigned the customers of a run that was completed.
    is_in_service: whether it may serve; one that `run` trained does so from its publication on, or once `train` asked
        for it, all else at once.
    asked_for_at: when it was asked for last: trained, trained again with nothing new, or published by a run of it.
        That `rollback` publishes a run again does not count.
    """
    of_earlier_release = {
        column.name: F.lit(None).cast(column.type)
        for column in t.MODEL_RUNS.columns
        if column.name not in models.columns
    }
    rows = models.withColumns(of_earlier_release) if of_earlier_release else models
    # A model of an earlier release does not say by which command.
    serves_at_once = F.coalesce(F.col("command") != "run", F.lit(True))
    is_in_service = serves_at_once | F.coalesce("is_published", F.lit(False)) | F.col("requested_at").isNotNull()
    for since in (_runs(warehouse), _requests(warehouse)):
        rows = rows.join(since, on=c.MODEL_VERSION, how="left")
    return rows.withColumns(
        {
            "has_run": F.col("is_published").isNotNull(),
            "is_in_service": is_in_service,
            "asked_for_at": F.greatest("registered_at", "requested_at", "published_at"),
        }
    )


def _runs(warehouse: Warehouse) -> DataFrame:
    """The models that assigned the customers of a run, whether one of those was published, and when last."""
    if not warehouse.exists(t.PIPELINE_RUNS):
        columns = f"{c.MODEL_VERSION} string, is_published boolean, published_at timestamp"
        return warehouse.spark.createDataFrame([], columns)
    runs = warehouse.read(t.PIPELINE_RUNS).select(c.MODEL_VERSION, c.RUN_ID)
    joined = runs.join(_published(warehouse), on=c.RUN_ID, how="left")
    return joined.groupBy(c.MODEL_VERSION).agg(
        F.max(F.coalesce("was_published", F.lit(False))).alias("is_published"),
        F.max("published_at").alias("published_at"),
    )


def _published(warehouse: Warehouse) -> DataFrame:
    """The runs that were published; when, where it was not by `rollback` and is on record."""
    published = warehouse.spark.createDataFrame([], f"{c.RUN_ID} string, published_at timestamp")
    if warehouse.exists(t.PUBLICATIONS):
        is_rollback = F.coalesce(F.col("command") == ROLLBACK, F.lit(False))
        published_at = F.when(~is_rollback, F.col("published_at")).alias("published_at")
        published = published.unionByName(warehouse.read(t.PUBLICATIONS).select(c.RUN_ID, published_at))
    if warehouse.exists(t.CUSTOMER_SEGMENTS):  # also by a command that was killed before its record
        current = warehouse.read(t.CUSTOMER_SEGMENTS).select(c.RUN_ID).limit(1)
        published = published.unionByName(current, allowMissingColumns=True)
    return published.withColumn("was_published", F.lit(True))


def _requests(warehouse: Warehouse) -> DataFrame:
    """The models that a later training asked for, with when it did last."""
    if not warehouse.exists(t.MODEL_REQUESTS):
        return warehouse.spark.createDataFrame([], f"{c.MODEL_VERSION} string, requested_at timestamp")
    requests = warehouse.read(t.MODEL_REQUESTS).groupBy(c.MODEL_VERSION)
    return requests.agg(F.max("requested_at").alias("requested_at"))
