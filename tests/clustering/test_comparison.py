"""Estimators compared on the same customers, against scikit-learn's metrics of what each assigns."""

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from customer_segmentation.clustering import (
    DBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    GaussianMixture,
    KMeans,
    Preparation,
    compare,
)
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from tests.clustering.test_choice import framed, separated

COLUMNS = ["x0", "x1", "x2"]


@pytest.mark.slow
def test_every_algorithm_has_a_row_with_the_metrics_of_its_segments(spark: SparkSession) -> None:
    points, _ = separated(44, 3, 3, rows=240)
    points[:4] += [[14.0, 0, 0], [-14, 0, 0], [0, 14, 0], [0, 0, 14]]  # between the segments
    features = framed(spark, points)
    preparation = Preparation(columns=COLUMNS, scaling="standard").fit(features)
    estimators = [
        KMeans(k=3, n_init=1),
        BisectingKMeans(k=3),
        GaussianMixture(k=2),
        AgglomerativeClustering(k=4),
        DBSCAN(eps=0.35, min_samples=6),
    ]

    table = compare(features, estimators, preparation=preparation)

    assert table.estimator.tolist() == [repr(estimator) for estimator in estimators]
    assert table.estimator[0] == "KMeans(k=3, n_init=1)"
    assert (table.seconds > 0).all()
    assert table.stability.between(0, 1.001).all()
    rows = preparation.transform(features).orderBy("customer_id").toPandas()[preparation.outputs].to_numpy()
    for estimator, row in zip(estimators, table.itertuples(), strict=True):
        model = estimator.fit(features, preparation=preparation)
        segments = model.assign(features).orderBy("customer_id").toPandas().segment_id.to_numpy()
        inside = segments > 0
        shares = np.bincount(segments[inside])[1:] / len(segments)
        assert row.segments == model.k == len(shares)
        assert (row.smallest_share, row.largest_share) == pytest.approx((shares.min(), shares.max()))
        assert row.noise_share == pytest.approx(1 - inside.mean())
        expected = [
            silhouette_score(rows[inside], segments[inside], metric="sqeuclidean"),
            calinski_harabasz_score(rows[inside], segments[inside]),
            davies_bouldin_score(rows[inside], segments[inside]),
        ]
        assert [row.silhouette, row.calinski_harabasz, row.davies_bouldin] == pytest.approx(expected, rel=1e-6)
    assert table.noise_share[4] == pytest.approx(7 / 240)


@pytest.mark.slow
def test_an_estimator_that_can_not_be_fitted_has_a_row_that_says_why_and_the_others_theirs(spark: SparkSession) -> None:
    features = framed(spark, np.repeat(separated(42, 2, 3, rows=3)[0], 4, axis=0))

    table = compare(features, [KMeans(k=9), KMeans(k=2)], preparation=Preparation(columns=COLUMNS))

    assert table.segments.tolist() == [0, 2]
    assert "can't make 9 segments" in table.note[0]
    assert (table.note[1], table.silhouette.isna().tolist()) == ("", [True, False])


def test_all_noise_is_a_row_without_metrics_and_no_estimators_are_rejected(spark: SparkSession) -> None:
    features = framed(spark, separated(42, 2, 3, rows=60)[0])
    preparation = Preparation(columns=COLUMNS)

    table = compare(features, [DBSCAN(eps=1e-6)], preparation=preparation)

    assert (table.segments[0], table.noise_share[0], table.note[0]) == (0, 1.0, "all customers are noise")
    metrics = ["smallest_share", "largest_share", "silhouette", "calinski_harabasz", "davies_bouldin", "stability"]
    assert table[metrics].isna().all(axis=None)
    with pytest.raises(ConfigurationError, match="at least one estimator"):
        compare(features, [], preparation=preparation)


def test_what_can_not_be_compared_is_named(spark: SparkSession) -> None:
    features = framed(spark, separated(42, 2, 3, rows=60)[0])
    preparation = Preparation(columns=COLUMNS)

    for given, said in {"sample_size": 0, "seed": -1}.items():
        with pytest.raises(ConfigurationError, match=f"compare: {given} must be a whole number .*; found {said}"):
            compare(features, [KMeans(2)], preparation=preparation, **{given: said})
    with pytest.raises(ConfigurationError, match=r"compare needs estimators, such as KMeans.*found 'kmeans'"):
        compare(features, ["kmeans"], preparation=preparation)
    with pytest.raises(ConfigurationError, match="x1 not among the columns"):
        compare(features.drop("x1"), [KMeans(2)], preparation=preparation.fit(features))
    constant = Preparation(columns=["one"])
    with pytest.raises(DataRejectedError, match="compare: no feature tells the customers apart: one has"):
        compare(features.selectExpr("customer_id", "1 AS one"), [KMeans(2)], preparation=constant)
