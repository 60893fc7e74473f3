"""Reads a saved model of any algorithm: a table in the code says which class reads which algorithm's data."""

import json

from pyspark.sql import SparkSession

from customer_segmentation.clustering.base import SegmentationModel, saved_text
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.mixture import MixtureModel
from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.contract.errors import ConfigurationError

MODELS: tuple[type[SegmentationModel], ...] = (CentroidModel, MixtureModel, HierarchyModel)
"""Every class of fitted models."""

_BY_ALGORITHM = {algorithm: model for model in MODELS for algorithm in model.ALGORITHMS}


def model_from_json(text: str) -> SegmentationModel:
    """The model that its `to_json` told.

    Raises:
        ConfigurationError: the text is no model, of an algorithm that this library lacks, or of another schema version.
    """
    try:
        algorithm = json.loads(text)["algorithm"]
        model = _BY_ALGORITHM[algorithm]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"not a segmentation model: {error!r}; its algorithm must be one of {', '.join(_BY_ALGORITHM)}"
        ) from None
    return model.from_json(text)


def load_model(spark: SparkSession, path: str) -> SegmentationModel:
    """The model that its `save` wrote.

    Raises:
        ConfigurationError: there is no model at the path.
    """
    return model_from_json(saved_text(spark, path))
