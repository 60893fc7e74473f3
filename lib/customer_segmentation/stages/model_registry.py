"""The registered models of one set of settings, in `model_runs` and `model_core_points`."""

from collections.abc import Callable, Mapping
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
        if not self._warehouse.exists(t.MODEL_RUNS):
            return None
        row = (
            self._warehouse.read(t.MODEL_RUNS)
            .where(F.col("configuration") == self.settings)
            .where(F.col("trained_as_of") <= F.lit(self._as_of()))
            .orderBy(F.desc("trained_as_of"))
            .select("model")
            .first()
        )
        return model_from_json(row["model"], self._core_points) if row else None

    @property
    def reusable(self) -> SegmentationModel | None:
        """The newest model, unless it calls for a training by its age."""
        model = self.newest
        return model if model is not None and self._as_of() - model.trained_as_of < self._max_age else None

    def register(self, model: SegmentationModel, row: Mapping[str, Any]) -> None:
        """Write a model, what it needs first.

        Args:
            model: the model.
            row: further columns of `model_runs`.
        """
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

    def _core_points(self, model: DBSCANModel) -> DataFrame:
        """The registered core points of a model."""
        self._warehouse.require(t.MODEL_CORE_POINTS, command="train")
        rows = self._warehouse.rows(t.MODEL_CORE_POINTS, column=c.MODEL_VERSION, value=model.version)
        return core_points_of(model, rows)
