"""Algorithms are what the registry says: a new one is one entry, and estimators have scikit-learn's protocol."""

from typing import get_args

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.clustering import (
    ALGORITHMS,
    DBSCAN,
    AgglomerativeClustering,
    AlgorithmSpec,
    BisectingKMeans,
    CentroidModel,
    GaussianMixture,
    KMeans,
    Preparation,
    SegmentationEstimator,
    model_from_json,
)
from customer_segmentation.clustering.estimator.points import Points
from customer_segmentation.clustering.kmeans.centers import centroid_model
from customer_segmentation.clustering.selection.metrics import Partition
from customer_segmentation.clustering.training import train
from customer_segmentation.config.schema import Clustering, Preparing
from customer_segmentation.contract.errors import ConfigurationError
from tests.clustering.test_choice import FEATURES, framed

ESTIMATORS = [KMeans, BisectingKMeans, GaussianMixture, AgglomerativeClustering, DBSCAN]


class Diagonal(SegmentationEstimator[CentroidModel]):
    """A toy: centres evenly along the diagonal of the box that the customers fill."""

    algorithm = "diagonal"

    def __init__(self, k: int = 2, *, seed: int = 0) -> None:
        self.k = k
        self.seed = seed

    def _validate(self) -> None:
        self._require_whole("k", minimum=2)

    def _fit(self, points: Points) -> CentroidModel:
        centers = np.linspace(points.minimum, points.maximum, self.k)
        return centroid_model(self.algorithm, points, centers, k=self.k)


def along_the_diagonal(coreset, ks, n_init, seed):  # type: ignore[no-untyped-def]
    ends = coreset.points.min(axis=0), coreset.points.max(axis=0)
    return [Partition(np.linspace(*ends, k)) for k in ks]


def settings(**more: object) -> Clustering:
    plain = Preparing(skewed="none", winsorise=[0.0, 1.0])
    asked = Clustering(features=FEATURES, k_min=2, k_max=3, preparation=plain, **more)
    return asked.model_copy(update={"algorithm": Diagonal.algorithm})


@pytest.fixture
def customers(spark: SparkSession) -> DataFrame:
    points = np.random.default_rng(12).normal(size=(300, 3)) + np.repeat([0, 10, 20], 100)[:, None]
    return framed(spark, points).toDF("customer_id", *FEATURES)


@pytest.mark.slow
def test_one_entry_makes_a_new_algorithm_chosen_trained_stored_and_loaded(
    customers: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = AlgorithmSpec(Diagonal, CentroidModel, parameters=lambda _: {}, fit_coreset=along_the_diagonal)
    monkeypatch.setitem(ALGORITHMS, spec.name, spec)

    training = train(customers, settings(), seed=5)

    assert [(row["algorithm"], row["k"]) for row in training.candidate_rows()] == [("diagonal", k) for k in (2, 3)]
    assert training.model.k == 3
    assert set(training.stability) == set(training.model.segment_ids)
    assert {"silhouette", "stability", "structure"} <= set(training.quality)
    loaded = model_from_json(training.model.to_json())
    assert loaded.to_json() == training.model.to_json()
    assert loaded.assign(customers).collect() == training.model.transform(customers).collect()


@pytest.mark.slow
def test_an_algorithm_that_is_not_tried_on_a_sample_needs_a_number_of_segments(
    customers: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ALGORITHMS, "diagonal", AlgorithmSpec(Diagonal, CentroidModel, parameters=lambda _: {}))

    training = train(customers, settings(k=3), seed=5)

    assert training.model.k == 3
    assert training.quality["smallest_share"] > 0
    assert training.stability == {}
    with pytest.raises(ConfigurationError, match=r"clustering.k must be a number with the algorithm diagonal"):
        train(customers, settings(), seed=5)


def test_the_registry_has_the_algorithms_that_can_be_configured() -> None:
    assert [*ALGORITHMS, "auto"] == list(get_args(Clustering.model_fields["algorithm"].annotation))
    assert [spec.estimator for spec in ALGORITHMS.values()] == ESTIMATORS
    for name, spec in ALGORITHMS.items():
        estimator = spec.configured(Clustering(), k=5, seed=3)
        assert spec.name == estimator.algorithm == name
        assert estimator.get_params() | {"seed": 3, **({"k": 5} if spec.needs_k else {})} == estimator.get_params()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parameters_are_stored_as_given_told_and_set(estimator: type[SegmentationEstimator]) -> None:
    params = estimator().get_params()

    assert estimator(**params).get_params() == params
    assert repr(estimator()) == f"{estimator.__name__}()"
    changed = estimator().set_params(seed=7)
    assert changed.get_params() == {**params, "seed": 7}
    assert repr(changed) == f"{estimator.__name__}(seed=7)"
    with pytest.raises(ConfigurationError, match=rf"{estimator.__name__} has no parameter clusters; it has "):
        estimator().set_params(clusters=3)


def test_a_constructor_validates_nothing_and_a_fit_before_any_job() -> None:
    estimator = KMeans(k="many")

    assert repr(estimator) == "KMeans(k='many')"
    with pytest.raises(ConfigurationError, match="KMeans: k must be a whole number of at least 2; found 'many'"):
        estimator.fit(None, columns=["x"])


def test_a_preparation_is_an_estimator_that_a_fit_can_fit(customers: DataFrame) -> None:
    preparation = Preparation(columns=FEATURES, scaling="standard")
    estimator = AgglomerativeClustering(k=3)

    by_model = estimator.fit(customers, preparation=preparation.fit(customers))

    assert estimator.fit(customers, preparation=preparation).to_json() == by_model.to_json()
    assert repr(preparation) == f"Preparation(columns={FEATURES!r}, scaling='standard')"
    assert preparation.get_params()["columns"] is FEATURES


def test_skewed_is_a_transform_for_all_columns_a_list_or_a_transform_for_each() -> None:
    names = ["a", "b"]

    assert Preparation(names, skewed="log").transforms == {"a": "log", "b": "log"}
    assert Preparation(names, skewed=["b"]).transforms == {"a": "none", "b": "log"}
    assert Preparation(names, skewed={"a": "yeo_johnson"}).transforms == {"a": "yeo_johnson", "b": "none"}
    with pytest.raises(ConfigurationError, match="skewed: a must be one of none, log, yeo_johnson; found 'cube'"):
        Preparation(names, skewed="cube").fit(None)
