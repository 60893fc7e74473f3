"""The core points of a DBSCAN model as rows of a table that models with any features share."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.dbscan.workers import RANK, SEGMENT
from customer_segmentation.contract import columns as c
from customer_segmentation.preparation import coordinate_names


def core_point_rows(model: DBSCANModel) -> DataFrame:
    """Its core points with model_version, segment, rank and point, the coordinates as an array.

    Raises:
        ConfigurationError: the model has none at hand.
    """
    return model.core_points.select(
        F.lit(model.version).alias(c.MODEL_VERSION),
        F.col(SEGMENT).alias("segment"),
        F.col(RANK).alias("rank"),
        F.array(*coordinate_names(model.preparation)).alias("point"),
    )


def core_points_of(model: DBSCANModel, rows: DataFrame) -> DataFrame:
    """The core points of rows that `core_point_rows` made, as the model takes them."""
    names = coordinate_names(model.preparation)
    coordinates = (F.col("point")[j].alias(name) for j, name in enumerate(names))
    return rows.select(*coordinates, F.col("rank").alias(RANK), F.col("segment").alias(SEGMENT))
