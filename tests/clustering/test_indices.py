"""Metrics of partitions against scikit-learn, on the driver and on all rows."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from customer_segmentation.clustering.selection.metrics import (
    ClusterMetrics,
    Partition,
    evaluate,
    evaluate_groups,
    evaluate_in_memory,
    summed,
    sums_pass,
)

SEEDS = range(20)


def drawn(seed: int) -> tuple[np.ndarray, list[Partition]]:
    """Points of any scale, with duplicates in every third draw, and partitions by centres and by shapes."""
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    n, d = int(generator.integers(30, 300)), int(generator.integers(1, 8))
    points = generator.normal(size=(n, d)) * generator.uniform(0.01, 50, size=d) + 5 * generator.normal(size=d)
    if seed % 3 == 0:
        points = np.round(points)
    distinct = np.unique(points, axis=0)
    ks = [k for k in (2, 3, 6) if k < len(distinct)]
    partitions = [Partition(distinct[generator.choice(len(distinct), k, replace=False)]) for k in ks]
    roots = generator.normal(size=(3, d, d)) / points.std(axis=0, keepdims=True).T.clip(0.1)
    partitions.append(Partition(generator.normal(size=(3, d)), roots, generator.normal(size=3)))
    return points, partitions


def by_scikit_learn(points: np.ndarray, labels: np.ndarray) -> list[float]:
    return [
        silhouette_score(points, labels, metric="sqeuclidean"),
        calinski_harabasz_score(points, labels),
        davies_bouldin_score(points, labels),
    ]


def three(found: ClusterMetrics) -> list[float]:
    return [found.silhouette, found.calinski_harabasz, found.davies_bouldin]


def framed(spark: SparkSession, points: np.ndarray) -> DataFrame:
    return spark.createDataFrame(pd.DataFrame(points, columns=[f"x{j}" for j in range(points.shape[1])]))


def assert_metrics(points: np.ndarray, partition: Partition, found: ClusterMetrics) -> None:
    labels = partition.labels(points)
    assert found.sizes.tolist() == np.bincount(labels, minlength=partition.k).tolist()
    if 1 < len(np.unique(labels)) < len(points):
        assert three(found) == pytest.approx(by_scikit_learn(points, labels), rel=1e-6, abs=1e-7)
    means = [points[labels == i].mean(axis=0) for i in range(partition.k) if (labels == i).any()]
    assert found.means[found.sizes > 0] == pytest.approx(np.array(means), rel=1e-6, abs=1e-7)
    inertia = sum(((points[labels == i] - points[labels == i].mean(axis=0)) ** 2).sum() for i in set(labels))
    assert found.inertia == pytest.approx(inertia, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_indices_equal_scikit_learns(seed: int) -> None:
    points, partitions = drawn(seed)

    found = evaluate_in_memory(points, np.ones(len(points)), partitions)

    for partition, one in zip(partitions, found, strict=True):
        assert_metrics(points, partition, one)


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_indices_on_all_rows_equal_scikit_learns_whatever_the_partitions(spark: SparkSession, seed: int) -> None:
    points, partitions = drawn(seed)
    frame = framed(spark, points)

    found = evaluate(frame, frame.columns, partitions)
    again = evaluate(frame.repartition(5).orderBy(frame.columns[0]), frame.columns, partitions)

    for partition, one, other in zip(partitions, found, again, strict=True):
        assert_metrics(points, partition, one)
        assert three(other) == three(one)
        assert (other.means == one.means).all()


def test_segments_that_a_column_defines_are_evaluated_as_scikit_learn_does(spark: SparkSession) -> None:
    print("seed 31")
    generator = np.random.default_rng(31)
    points, groups = generator.normal(size=(240, 3)), generator.integers(8, size=240)
    points += groups[:, None]
    segmentations = [np.array([0, 1, 0, 1, 2, 2, 2, 1]), np.arange(8), np.zeros(8, dtype=int)]
    frame = spark.createDataFrame(pd.DataFrame(points, columns=["a", "b c", "d"]).assign(g=groups))

    found = evaluate_groups(frame, ["a", "b c", "d"], "g", segmentations)
    again = evaluate_groups(frame.repartition(5), ["a", "b c", "d"], "g", segmentations)

    for segments, one, other in zip(segmentations, found, again, strict=True):
        labels = segments[groups]
        assert one.sizes.tolist() == np.bincount(labels).tolist()
        centers = np.stack([points[labels == i].mean(axis=0) for i in range(segments.max() + 1)])
        assert one.means == pytest.approx(centers)
        assert one.cost == one.inertia == pytest.approx(((points - centers[labels]) ** 2).sum())
        if segments.max():
            assert three(one) == pytest.approx(by_scikit_learn(points, labels))
        assert three(other) == pytest.approx(three(one), nan_ok=True, rel=1e-9)
    assert np.isnan(found[2].silhouette)


def test_weights_stand_for_repeated_points() -> None:
    print("seed 7")
    generator = np.random.default_rng(7)
    points, weights = generator.normal(size=(60, 3)), generator.integers(1, 5, size=60)
    partition = Partition(points[:4])

    (weighted,) = evaluate_in_memory(points, weights.astype(float), [partition])

    assert_metrics(np.repeat(points, weights, axis=0), partition, weighted)


def test_an_empty_segment_keeps_its_centre_and_counts_for_nothing() -> None:
    points = np.array([[0.0], [1.0], [10.0], [11.0]])
    partition = Partition(np.array([[0.5], [1e6], [10.5]]))

    (found,) = evaluate_in_memory(points, np.ones(4), [partition])

    assert found.sizes.tolist() == [2, 0, 2]
    assert found.means[1, 0] == 1e6
    assert found.smallest_share == 0
    assert three(found) == pytest.approx(by_scikit_learn(points, np.array([0, 0, 1, 1])))


def test_figures_that_are_not_defined_are_nan() -> None:
    (one,) = evaluate_in_memory(np.eye(3), np.ones(3), [Partition(np.array([[0.0] * 3, [99.0] * 3]))])

    assert np.isnan(three(one)).all()


def test_a_pass_over_no_rows_is_rejected(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="no points"):
        summed(framed(spark, np.eye(2)).where("x0 > 9"), ["x0", "x1"], [Partition(np.eye(2))])


def test_the_means_of_a_pass_are_a_step_of_k_means(spark: SparkSession) -> None:
    print("seed 9")
    points = np.random.default_rng(9).normal(size=(80, 2))
    centers = points[:3]

    (sums,) = summed(framed(spark, points), ["x0", "x1"], [Partition(centers)])

    squared = ((points[:, None] - centers[None]) ** 2).sum(axis=2)
    expected = [points[squared.argmin(axis=1) == i].mean(axis=0) for i in range(3)]
    assert sums.means(centers) == pytest.approx(np.array(expected))
    assert sums.cost == pytest.approx(squared.min(axis=1).sum())


def test_the_work_of_a_pass_needs_no_library_in_the_workers() -> None:
    points, partitions = drawn(10)
    sums = evaluate_in_memory(points, np.ones(len(points)), partitions)
    work = sums_pass(partitions)
    program = (
        "import pickle, sys; sys.modules['customer_segmentation'] = None; "
        "work, points = pickle.load(sys.stdin.buffer); "
        "print(*(one[:2].tolist() for one in work(points, None)))"
    )

    told = subprocess.run(
        [sys.executable, "-c", program], input=cloudpickle.dumps((work, points)), capture_output=True, check=True
    )

    assert told.stdout.decode().split() == " ".join(str(one.sizes[:2].tolist()) for one in sums).split()
