"""Reads a saved model of any algorithm, a DBSCAN model with its core points."""

from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.model.base import SegmentationModel


def model_from_json(text: str, core_points: Callable[[DBSCANModel], DataFrame] | None = None) -> SegmentationModel:
    """The model of a text that `to_json` made.

    Args:
        core_points: gives a DBSCAN model's core points; without them it describes its segments, but can't assign.

    Raises:
        ConfigurationError: the text is no model, of an algorithm that this library lacks, or of another schema version;
            the core points are not the model's.
    """
    model = SegmentationModel.from_json(text)
    if isinstance(model, DBSCANModel) and core_points is not None:
        return model.with_core_points(core_points(model))
    return model


def load_model(spark: SparkSession, path: str) -> SegmentationModel:
    """The model that `save` wrote.

    Raises:
        ConfigurationError: there is no model at the path.

    Example:
        >>> import tempfile
        >>> from customer_segmentation.clustering import BisectingKMeans, load_model
        >>> features = spark.createDataFrame([(1.0,), (2.0,), (9.0,)], "orders double")
        >>> model = BisectingKMeans(k=2).fit(features, columns=["orders"])
        >>> path = tempfile.mkdtemp() + "/model"
        >>> model.save(spark, path)
        >>> load_model(spark, path).to_json() == model.to_json()
        True
    """
    return SegmentationModel.load(spark, path)
