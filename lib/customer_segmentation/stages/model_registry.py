"""The registered models of one set of settings, in `model_runs` and `model_core_points`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering import SegmentationModel, model_from_json
from customer_segmentation.clustering.dbscan import DBSCANModel, core_point_rows, core_points_of
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.storage import Warehouse


class ModelRegistry:
    """The models of some settings that were trained up to a date.

    Args:
        warehouse: has the tables.
        settings: digest of the settings that make a model; another one calls for another training.
        as_of: gives the date up to which models count by when they were trained; asked for where there are models.
        max_age: a model of this age and older calls for a training.
    """

    def __init__(self, warehouse: Warehouse, settings: str, *, as_of: Callable[[], date], max_age: timedelta) -> None:
        self._warehouse = warehouse
        self.settings = settings
        self._as_of = as_of
        self._max_age = max_age

    @cached_property
    def newest(self) -> SegmentationModel | None:
        """The newest model; None where there is none."""
        models = self._models()
        return None if models is None else self._newest(models.where(F.col("trained_as_of") <= F.lit(self._as_of())))

    @cached_property
    def incumbent(self) -> SegmentationModel | None:
        """The model that a training at the as-of date follows; None for a first one.

        It is the newest of those trained before that date, so that a training that is repeated follows the same one.
        Its `highest_id` is that of all registered models, whatever their date.
        """
        models = self._models()
        if models is None:
            return None
        ids = F.array_max(F.from_json(F.get_json_object("model", "$.segment_ids"), "array<int>"))
        highest = models.agg(F.max(F.greatest(ids, F.get_json_object("model", "$.highest_id").cast("int")))).first()
        model = self._newest(models.where(F.col("trained_as_of") < F.lit(self._as_of())))
        return replace(model, highest_id=highest[0] or 0) if model and highest else None

    def registered(self, version: str, *, able_to_assign: bool = True) -> SegmentationModel | None:
        """The model of this version; None where these settings have none.

        Args:
            able_to_assign: with the core points that a DBSCAN model assigns by.
        """
        models = self._models()
        if models is None:
            return None
        return self._newest(models.where(F.col(c.MODEL_VERSION) == version), able_to_assign=able_to_assign)

    def is_of_other_settings(self, version: str) -> bool:
        """Whether a model was registered for other settings: its segments' ids have nothing to do with these."""
        if not self._warehouse.exists(t.MODEL_RUNS):
            return False
        row = self._warehouse.rows(t.MODEL_RUNS, column=c.MODEL_VERSION, value=version).select("configuration").first()
        return row is not None and row["configuration"] != self.settings

    @property
    def reusable(self) -> SegmentationModel | None:
        """The newest model, unless it calls for a training by its age."""
        model = self.newest
        return model if model is not None and self._as_of() - model.trained_as_of < self._max_age else None

    def reusable_at(self, days: Sequence[date]) -> dict[date, SegmentationModel]:
        """The model that would be `reusable` as of each of several dates; no item where none would."""
        models = self._models()
        if models is None:
            return {}
        newest_first = models.orderBy(F.desc("trained_as_of")).select("trained_as_of", "model").collect()
        reusable = {}
        for day in days:
            newest = next((row for row in newest_first if row["trained_as_of"] <= day), None)
            if newest is not None and day - newest["trained_as_of"] < self._max_age:
                reusable[day] = model_from_json(newest["model"], None)
        return reusable

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
        }
        self._warehouse.replace_rows(t.MODEL_RUNS, [own | {**row}], column=c.MODEL_VERSION, value=model.version)
        self.newest = model

    def _models(self) -> DataFrame | None:
        """The rows of the models of these settings; None where no model is registered at all."""
        if not self._warehouse.exists(t.MODEL_RUNS):
            return None
        return self._warehouse.read(t.MODEL_RUNS).where(F.col("configuration") == self.settings)

    def _newest(self, models: DataFrame, *, able_to_assign: bool = True) -> SegmentationModel | None:
        row = models.orderBy(F.desc("trained_as_of")).select("model").first()
        return model_from_json(row["model"], self._core_points if able_to_assign else None) if row else None

    def _core_points(self, model: DBSCANModel) -> DataFrame:
        """The registered core points of a model."""
        self._warehouse.require(t.MODEL_CORE_POINTS, command="train")
        rows = self._warehouse.rows(t.MODEL_CORE_POINTS, column=c.MODEL_VERSION, value=model.version)
        return core_points_of(model, rows)
