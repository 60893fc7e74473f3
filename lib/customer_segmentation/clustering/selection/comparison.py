"""Compares estimators on the same customers: sizes, metrics over all of them, stability, seconds."""

import math
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame

from customer_segmentation.clustering.estimator.base import SegmentationEstimator, fitted_preparation
from customer_segmentation.clustering.estimator.points import nothing_to_cluster_on
from customer_segmentation.clustering.fitting import TrainingData, metrics_of, stability_of, training_data
from customer_segmentation.config.arguments import MAX_SEED, as_whole
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.preparation import Preparation, PreparationModel
from customer_segmentation.preparation.frames import require_columns

BOOTSTRAPS = 10
"""Of each estimator: enough for a mean, where a choice needs its standard error."""
METRICS = ("silhouette", "calinski_harabasz", "davies_bouldin")


def compare(
    features: DataFrame,
    estimators: Sequence[SegmentationEstimator[Any]],
    *,
    preparation: PreparationModel | Preparation,
    sample_size: int = 10_000,
    seed: int = 42,
) -> pd.DataFrame:
    """Fit each estimator to all customers and evaluate its segments.

    Args:
        features: a row per customer, with `customer_id`.
        estimators: of any algorithm, each with its parameters.
        preparation: how the features are prepared for all of them; one that is not fitted yet is fitted here.
        sample_size: the most weighted customers that stability is measured on.
        seed: of that sample and of the bootstraps.

    Returns:
        A row per estimator, in their order: estimator (with the parameters that are not defaults); segments;
        smallest_share and largest_share of all customers, and noise_share, of those in no segment, 0 to 1; silhouette
        (-1 to 1, higher is better), calinski_harabasz (higher is better) and davies_bouldin (lower is better), exact
        over the customers in segments, see `ClusterMetrics`; stability, the mean adjusted Rand index of bootstraps,
        up to 1; seconds of the fit; note, why there are no segments, empty where there are. NaN is a metric that is
        not defined or can't be measured.

    Raises:
        ConfigurationError: there are no estimators, a parameter is out of range, or a column is not there.
        DataRejectedError: there are no customers, nothing to cluster them on, or features that can't be measured.

    Example:
        >>> from customer_segmentation.clustering import AgglomerativeClustering, DBSCAN, Preparation, compare
        >>> rows = [(str(i), float(x)) for i, x in enumerate([1, 2, 3, 21, 22, 23])]
        >>> features = spark.createDataFrame(rows, "customer_id string, orders double")
        >>> preparation = Preparation(columns=["orders"]).fit(features)
        >>> table = compare(features, [AgglomerativeClustering(k=2), DBSCAN(eps=0.1)], preparation=preparation)
        >>> table[["estimator", "segments", "largest_share", "noise_share"]].to_dict("records")[0]
        {'estimator': 'AgglomerativeClustering(k=2)', 'segments': 2, 'largest_share': 0.5, 'noise_share': 0.0}
    """
    if isinstance(estimators, SegmentationEstimator):
        raise ConfigurationError(f"compare needs a list of estimators; found one, write [{estimators!r}]")
    if not estimators:
        raise ConfigurationError("compare needs at least one estimator; found none")
    others = [one for one in estimators if not isinstance(one, SegmentationEstimator)]
    if others:
        raise ConfigurationError(f"compare needs estimators, such as KMeans(k=4); found {others[0]!r:.60}")
    sample_size = as_whole(sample_size, "sample_size", "compare", minimum=1)
    seed = as_whole(seed, "seed", "compare", minimum=0, maximum=MAX_SEED)
    require_columns("compare", features, numbers=[], others=[CUSTOMER_ID])
    preparation = fitted_preparation(preparation, features, "compare")
    if not preparation.features_:
        raise nothing_to_cluster_on("compare", preparation)
    require_columns("compare", features, numbers=preparation.numbers, others=preparation.inputs)
    with training_data(features, preparation, size=sample_size, seed=seed) as data:
        return pd.DataFrame([_row(data, estimator, seed) for estimator in estimators])


def _row(data: TrainingData, estimator: SegmentationEstimator[Any], seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"estimator": repr(estimator), "segments": 0}
    row |= dict.fromkeys(("smallest_share", "largest_share", "noise_share", *METRICS, "stability", "seconds"), math.nan)
    row["note"] = ""
    started = time.perf_counter()
    try:
        model = estimator.fit(data.features, preparation=data.preparation)
    except DataRejectedError as error:
        return row | {"note": str(error)}
    row |= {"segments": model.k, "seconds": time.perf_counter() - started}
    if not model.k:
        return row | {"noise_share": 1.0, "note": "all customers are noise"}
    metrics, stability = metrics_of(data, model), stability_of(data.coreset, model, seed=seed, bootstraps=BOOTSTRAPS)
    shares = metrics.sizes / data.coreset.rows
    return {
        **row,
        "smallest_share": float(shares.min()),
        "largest_share": float(shares.max()),
        "noise_share": 1.0 - float(metrics.sizes.sum()) / data.coreset.rows,
        **{name: getattr(metrics, name) for name in METRICS},
        "stability": stability.rand if stability else math.nan,
    }
