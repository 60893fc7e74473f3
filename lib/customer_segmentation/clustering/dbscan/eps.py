"""Suggests eps: where the distance to the k-th neighbour, over the customers in order, turns upwards."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.dbscan.workers import DISTANCE, QUERY, WEIGHT, neighbour_distances
from customer_segmentation.contract.errors import DataRejectedError


def suggested_eps(points: DataFrame, queries: np.ndarray, *, names: list[str], min_samples: int) -> float:
    """The knee of the distances within which min_samples customers lie, the customer itself among them.

    Args:
        points: distinct points with their weights.
        queries: some of them, whose distances are measured to all.

    Raises:
        DataRejectedError: each of the queried points has min_samples customers at distance 0, or none has so many.
    """
    schema = f"{QUERY} int, {DISTANCE} double, {WEIGHT} bigint"
    near = points.select(*names, WEIGHT).mapInArrow(neighbour_distances(queries, names, min_samples), schema)
    by_query = near.groupBy(QUERY).agg(F.sort_array(F.collect_list(F.struct(DISTANCE, WEIGHT))).alias("near"))
    weighed = F.aggregate(
        "near",
        F.struct(F.lit(0).cast("bigint").alias("weight"), F.lit(None).cast("double").alias("distance")),
        lambda so_far, neighbour: F.struct(
            (so_far["weight"] + neighbour[WEIGHT]).alias("weight"),
            F.when(so_far["weight"] < min_samples, neighbour[DISTANCE]).otherwise(so_far["distance"]).alias("distance"),
        ),
    )
    reached = by_query.select(weighed.alias("reached")).where(F.col("reached.weight") >= min_samples)
    distances = np.sort([row[0] for row in reached.select("reached.distance").collect()])
    distances = distances[distances > 0]
    if len(distances) == 0:
        raise DataRejectedError(
            f"no eps can be suggested for min_samples = {min_samples}: either all customers have that many equal ones, "
            "or there are fewer customers; set eps or another min_samples"
        )
    return float(f"{knee(distances):.9g}")


def knee(distances: np.ndarray) -> float:
    """The value that lies furthest below the line from the first to the last (Satopää et al. 2011, "Kneedle").

    Args:
        distances: sorted, at least one.
    """
    span = distances[-1] - distances[0]
    if span == 0:
        return float(distances[-1])
    rank = np.linspace(0.0, 1.0, len(distances))
    return float(distances[np.argmax(rank - (distances - distances[0]) / span)])
