"""Reads a saved model of any algorithm: a table in the code says which class reads which algorithm's data."""

import json
from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.model.base import SegmentationModel, saved_text
from customer_segmentation.contract.errors import ConfigurationError

MODELS: tuple[type[SegmentationModel], ...] = (CentroidModel, MixtureModel, HierarchyModel, DBSCANModel)
"""Every class of fitted models."""

_BY_ALGORITHM = {algorithm: model for model in MODELS for algorithm in model.ALGORITHMS}


def model_from_json(text: str, core_points: Callable[[DBSCANModel], DataFrame] | None = None) -> SegmentationModel:
    """The model that its `to_json` told.

    Args:
        core_points: gives a DBSCAN model's core points; without them it describes its segments, but can't assign.

    Raises:
        ConfigurationError: the text is no model, of an algorithm that this library lacks, or of another schema version;
            the core points are not the model's.
    """
    model = _class_of(text).from_json(text)
    if isinstance(model, DBSCANModel) and core_points is not None:
        return model.with_core_points(core_points(model))
    return model


def load_model(spark: SparkSession, path: str) -> SegmentationModel:
    """The model that its `save` wrote.

    Raises:
        ConfigurationError: there is no model at the path.
    """
    return _class_of(saved_text(spark, path)).load(spark, path)


def _class_of(text: str) -> type[SegmentationModel]:
    try:
        return _BY_ALGORITHM[json.loads(text)["algorithm"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"not a segmentation model: {error!r}; its algorithm must be one of {', '.join(_BY_ALGORITHM)}"
        ) from None
