"""K-means by Spark RAPIDS ML, NVIDIA's library for graphics processors; imported only where it was asked for."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import cast

import numpy as np
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.spark.settings import is_connect

PACKAGE = "spark_rapids_ml"


def rapids_problem(spark: SparkSession) -> str | None:
    """Why Spark RAPIDS ML can't be used in a session; None where it can, or only a fit can tell."""
    if find_spec(PACKAGE) is None:
        return f"{PACKAGE} is not installed"
    if is_connect(spark):
        return f"{PACKAGE} needs a classic session, and this one is of Spark Connect"
    return None


def rapids_centers(points: DataFrame, columns: Sequence[str], *, k: int, max_iterations: int, seed: int) -> np.ndarray:
    """Centres by one restart of k-means|| on the graphics processors of the cluster, in double precision.

    Args:
        points: numeric columns without nulls.
        columns: coordinates.
        k: how many.
        max_iterations: most passes.
        seed: of the restart.

    Returns:
        (k, d) centres, or fewer.
    """
    from spark_rapids_ml.clustering import KMeans

    assembled = VectorAssembler(inputCols=list(columns), outputCol="_features").transform(points).select("_features")
    kmeans = KMeans(
        k=k,
        maxIter=max_iterations,
        seed=seed % 2**31,  # it takes no larger ones
        featuresCol="_features",
        float32_inputs=False,
    )
    return np.array(cast(Sequence[np.ndarray], kmeans.fit(assembled).clusterCenters()), dtype=float)
