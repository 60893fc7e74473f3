"""The coreset, the choice of algorithm and k, stability, and whether there is structure at all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import adjusted_rand_score, silhouette_score

from customer_segmentation.clustering.kmeans.refinement import refine_centers
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection import choice as choosing
from customer_segmentation.clustering.selection.choice import Candidate, best, choose, with_scores
from customer_segmentation.clustering.selection.clusterability import Clusterability, clusterability, hopkins
from customer_segmentation.clustering.selection.coreset import Coreset, coreset
from customer_segmentation.clustering.selection.metrics import Partition, evaluate_in_memory
from customer_segmentation.clustering.selection.stability import adjusted_rand, stability
from customer_segmentation.clustering.training import train
from customer_segmentation.config.schema import Clustering, Preparing
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.tables import MODEL_RUNS


def separated(seed: int, k: int, d: int, rows: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Round segments of different sizes, their centres at least 6 standard deviations apart, with the truth."""
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    centers: list[np.ndarray] = []
    while len(centers) < k:
        center = generator.uniform(-1, 1, size=d) * 9 * k ** (1 / d)
        if all(np.linalg.norm(center - other) >= 6 for other in centers):
            centers.append(center)
    truth = generator.choice(k, rows, p=generator.dirichlet(np.full(k, 8.0)))
    return np.array(centers)[truth] + generator.normal(size=(rows, d)), truth


def whole(points: np.ndarray) -> Coreset:
    return Coreset(points, np.ones(len(points)), len(points))


def framed(spark: SparkSession, points: np.ndarray) -> DataFrame:
    table = pd.DataFrame(points, columns=[f"x{j}" for j in range(points.shape[1])])
    table.insert(0, "customer_id", [f"C{i:06d}" for i in range(len(table))])
    return spark.createDataFrame(table)


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate points on the driver; that it is the same on all rows is shown elsewhere."""

    def evaluate(points, columns, partitions):
        return evaluate_in_memory(points, np.ones(len(points)), partitions)

    monkeypatch.setattr(choosing, "evaluate", evaluate)


ON_CORESETS = [name for name, spec in ALGORITHMS.items() if spec.fit_coreset]


def fit(algorithm: str, coreset: Coreset, *, k: int, n_init: int, seed: int) -> Partition:
    return ALGORITHMS[algorithm].fit_coreset(coreset, [k], n_init, seed)[0]


CASES = [(1, 2, 2), (2, 3, 4), (3, 4, 8), (4, 5, 3), (5, 7, 5), (6, 10, 4)]


@pytest.mark.parametrize(("seed", "k", "d"), CASES)
def test_separated_segments_are_found_with_their_number(in_memory: None, seed: int, k: int, d: int) -> None:
    points, truth = separated(seed, k, d)

    choice = choose(points, [], whole(points), ks=range(2, 17), algorithms=["kmeans"], smallest_share=0.02, seed=seed)

    assert choice is not None
    assert choice.candidate.k == k
    assert adjusted_rand_score(truth, choice.partition.labels(points)) >= 0.9
    seen = clusterability(whole(points), k=k, rand=choice.candidate.stability, seed=seed)
    assert seen.description.startswith("clear structure")


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "k", "d"), [(10 * k + d, k, d) for k in (2, 3, 5, 8, 12) for d in (2, 3, 5, 8)])
def test_separated_segments_are_found_in_any_number_of_dimensions(in_memory: None, seed: int, k: int, d: int) -> None:
    test_separated_segments_are_found_with_their_number(None, seed, k, d)


@pytest.mark.parametrize("algorithm", sorted(ON_CORESETS))
def test_every_algorithm_finds_separated_segments(algorithm: str) -> None:
    points, truth = separated(21, 4, 3)

    partition = fit(algorithm, whole(points), k=4, n_init=5, seed=1)

    assert adjusted_rand_score(truth, partition.labels(points)) >= 0.98
    assert stability(whole(points), partition, algorithm=algorithm, seed=1).rand >= 0.95


def test_a_mixture_is_chosen_where_shapes_differ(in_memory: None) -> None:
    print("seed 22")
    generator = np.random.default_rng(22)
    long, small = generator.normal(size=(700, 2)) * [12, 0.4], generator.normal(size=(300, 2)) * 0.4 + [0, 5]
    points, truth = np.concatenate([long, small]), np.repeat([0, 1], [700, 300])

    partition = fit("gaussian_mixture", whole(points), k=2, n_init=2, seed=1)

    assert adjusted_rand_score(truth, partition.labels(points)) >= 0.95
    choice = choose(
        points,
        [],
        whole(points),
        ks=[2, 3],
        algorithms=["kmeans", "gaussian_mixture"],
        smallest_share=0.02,
        seed=1,
    )
    assert choice is not None
    by_name = {(one.algorithm, one.k): one for one in choice.candidates}
    assert by_name["kmeans", 2].bic is None
    from sklearn.mixture import GaussianMixture

    peer = GaussianMixture(2, random_state=1, n_init=2).fit(points)
    assert by_name["gaussian_mixture", 2].bic == pytest.approx(peer.bic(points), rel=1e-3)


@pytest.mark.parametrize("d", [2, 4, 8])
def test_no_structure_is_said(d: int) -> None:
    print("seed", 30 + d)
    generator = np.random.default_rng(30 + d)

    uniform = clusterability(whole(generator.uniform(size=(2000, d))), k=4, rand=0.9, seed=1)
    cloud = clusterability(
        whole(generator.normal(size=(2000, d)) @ generator.normal(size=(d, d))), k=4, rand=0.9, seed=1
    )

    assert uniform.hopkins == pytest.approx(0.5, abs=0.1)
    assert uniform.description.startswith("no structure: customers are spread about evenly")
    assert cloud.description.startswith("no structure: a single cloud")


def test_structure_is_clear_only_where_it_is_separated_and_stable() -> None:
    clear = Clusterability(0.95, 0.8, 0.3, 0.9)
    assert clear.description.startswith("clear structure")
    assert replace(clear, rand=0.5).description.startswith("weak structure")
    assert replace(clear, silhouette=0.4).description.startswith("weak structure")
    assert "stability not measured" in replace(clear, rand=float("nan")).description
    assert replace(clear, rand=float("nan")).level == 1
    assert hopkins(np.zeros((30, 2)), seed=1) == 1.0


def test_one_segment_is_no_structure() -> None:
    points, _ = separated(21, 3, 2, rows=200)

    found = clusterability(whole(points), k=1, rand=1.0, seed=1)

    assert (found.level, found.description) == (0, "no structure: all customers that are in a segment are in one")


def candidate(k: int, silhouette: float, share: float = 0.1, **more: float) -> Candidate:
    return Candidate("kmeans", k, silhouette, share, **{"cost": 10.0 / k, **more})


def test_the_rule_prefers_big_then_stable_then_the_score_then_few() -> None:
    tried = with_scores(
        [candidate(2, 0.9, 0.001), candidate(3, 0.8, stability=0.3), candidate(4, 0.6), candidate(5, 0.6)]
    )

    assert best(tried, smallest_share=0.02).k == 4
    assert best(tried, smallest_share=0.0).k == 2
    assert best([one for one in tried if one.k == 3], smallest_share=0.02).k == 3
    assert best(tried, smallest_share=0.5).smallest_share == 0.1


def test_the_score_is_the_weighted_mean_that_is_stated() -> None:
    first, second = with_scores(
        [
            candidate(2, 0.5, stability=0.8, calinski_harabasz=100.0, davies_bouldin=0.5),
            candidate(3, -0.2, stability=0.6, calinski_harabasz=200.0, davies_bouldin=1.0),
        ]
    )

    assert first.score == pytest.approx(0.4 * 0.5 + 0.3 * 0.8 + 0.1 * 0.5 + 0.1 * 1.0)
    assert second.score == pytest.approx(0.0 + 0.3 * 0.6 + 0.1 * 1.0 + 0.1 * 0.5)


def test_the_elbow_is_where_the_cost_lies_deepest_below_the_line() -> None:
    tried = with_scores([candidate(k, 0.5, cost=cost) for k, cost in ((2, 100.0), (3, 30.0), (4, 25.0), (6, 20.0))])

    assert [one.elbow for one in tried] == pytest.approx([0.0, 70 / 80 - 1 / 4, 75 / 80 - 2 / 4, 0.0])


def test_k_stays_below_the_number_of_distinct_customers(in_memory: None) -> None:
    points = np.repeat(np.eye(4), 30, axis=0)

    choice = choose(points, [], whole(points), ks=range(2, 9), algorithms=["kmeans"], smallest_share=0, seed=1)

    assert choice is not None
    assert [one.k for one in choice.candidates] == [2, 3]
    assert choose(points, [], whole(points), ks=[4], algorithms=["kmeans"], smallest_share=0, seed=1) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_adjusted_rand_index_equals_scikit_learns(seed: int) -> None:
    print(f"seed {seed}")
    one, other = np.random.default_rng(seed).integers(0, 2 + seed, size=(2, 80))
    together = np.zeros((2 + seed, 2 + seed))
    np.add.at(together, (one, other), 1)

    assert adjusted_rand(together) == pytest.approx(adjusted_rand_score(one, other))


def test_stability_is_one_for_separated_segments_and_low_for_none() -> None:
    points, _ = separated(6, 3, 3)
    shapeless = np.random.default_rng(6).uniform(size=(400, 6))

    clear = stability(whole(points), fit("kmeans", whole(points), k=3, n_init=5, seed=1), algorithm="kmeans", seed=1)
    none = stability(whole(shapeless), Partition(shapeless[:8]), algorithm="kmeans", seed=1)

    assert clear.rand == pytest.approx(1.0)
    assert clear.segments == pytest.approx([1.0] * 3)
    assert none.rand < 0.5
    assert none.segments.mean() < 0.6


def test_a_coreset_gives_the_cost_of_all_customers_and_is_the_same_however_they_lie(spark: SparkSession) -> None:
    points, _ = separated(7, 5, 3, rows=20_000)
    points[:20] *= 30  # far away, few
    frame = framed(spark, points)
    names = ["x0", "x1", "x2"]

    core = coreset(frame, names, size=2000, seed=3, by="customer_id")
    again = coreset(frame.repartition(7).orderBy("x1"), names, size=2000, seed=3, by="customer_id")
    other = coreset(frame, names, size=2000, seed=4, by="customer_id")

    assert core.rows == 20_000
    assert 1000 < len(core.points) <= 2000  # those far away are certain, which leaves less to chance
    assert core.weights.sum() == pytest.approx(20_000)
    assert (core.points == again.points).all()
    assert core.weights == pytest.approx(again.weights, rel=1e-9)
    assert core.points.shape != other.points.shape or (core.points != other.points).any()
    for centers in (points[25:30], points[40:48]):
        exact = ((points[:, None] - centers[None]) ** 2).sum(axis=2).min(axis=1).sum()
        estimate = core.weights @ ((core.points[:, None] - centers[None]) ** 2).sum(axis=2).min(axis=1)
        assert estimate == pytest.approx(exact, rel=0.1)
    plain = core.unweighted(500, seed=1)
    assert len(plain) == 500
    assert plain.mean(axis=0) == pytest.approx(points.mean(axis=0), abs=4 * points.std(axis=0).max() / 500**0.5)


def test_few_customers_are_their_own_coreset(spark: SparkSession) -> None:
    points, _ = separated(8, 3, 2, rows=90)

    core = coreset(framed(spark, points).repartition(3), ["x0", "x1"], size=100, seed=1, by="customer_id")

    assert (core.points == points).all()
    assert (core.weights == 1).all()
    with pytest.raises(DataRejectedError, match="no customers"):
        coreset(framed(spark, points).where("x0 > 1e9"), ["x0", "x1"], size=100, seed=1, by="customer_id")


def test_refining_ends_at_the_best_of_its_starts_as_scikit_learn_does(spark: SparkSession) -> None:
    from sklearn.cluster import KMeans

    print("seed 9")
    points = np.random.default_rng(9).normal(size=(400, 3))
    starts = [points[:4], points[100:104]]

    centers, radii, cost = refine_centers(framed(spark, points), ["x0", "x1", "x2"], starts, passes=300)

    peers = [KMeans(4, init=start, n_init=1, tol=0).fit(points).inertia_ for start in starts]
    squared = ((points[:, None] - centers[None]) ** 2).sum(axis=2)
    assert cost == pytest.approx(squared.min(axis=1).sum())
    assert cost <= min(peers) * 1.01
    labels = squared.argmin(axis=1)
    assert radii == pytest.approx([np.sqrt(squared[labels == i, i].mean()) for i in range(4)])


FEATURES = ["frequency", "monetary", "discount_rate"]


@pytest.mark.slow
def test_a_training_chooses_fits_and_judges_whatever_the_partitions(spark: SparkSession) -> None:
    points, truth = separated(11, 4, 3, rows=600)
    cities = np.array(["Bonn", "Ulm"])[truth % 2]
    table = pd.DataFrame(points, columns=FEATURES).assign(city=cities)
    table.insert(0, "customer_id", [f"C{i:04d}" for i in range(len(table))])
    frame = spark.createDataFrame(table)
    settings = Clustering(
        features=FEATURES,
        k_max=7,
        preparation=Preparing(
            skewed="none", winsorise=[0.0, 1.0], attributes=["city"], weights={"city": 0.1, "rfm": 1.5}, variance=1.0
        ),
    )

    training = train(frame, settings, seed=5)
    again = train(frame.repartition(5), settings, seed=5)

    assert training.model.k == 4
    prepared = training.model.preparation.transform(frame)
    inputs = [f"z_{name}" for name in training.model.preparation.names]
    labels = Partition(training.model.centers_).labels(prepared.select(*inputs).toPandas().to_numpy())
    assert adjusted_rand_score(truth, labels) >= 0.95
    assert training.clusterability.description.startswith("clear structure")
    assert training.quality["structure"] == 2
    assert {"silhouette", "calinski_harabasz", "davies_bouldin", "cost", "hopkins", "stability"} <= set(
        training.quality
    )
    assert set(training.stability) == {1, 2, 3, 4}
    assert (training.model.to_json(), training.candidate_rows()) == (again.model.to_json(), again.candidate_rows())
    kind = next(column.type for column in MODEL_RUNS.columns if column.name == "candidates")
    rows = spark.createDataFrame([(training.candidate_rows(),)], f"candidates {kind}").first()["candidates"]
    assert [row["k"] for row in rows] == [2, 3, 4, 5, 6, 7]
    assert all(row["score"] is not None and row["stability"] is not None for row in rows)


def test_a_configured_k_is_not_searched_for(spark: SparkSession) -> None:
    points, _ = separated(12, 3, 3, rows=300)
    frame = framed(spark, points).toDF("customer_id", *FEATURES)

    training = train(frame, Clustering(features=FEATURES, k=3), seed=5)

    assert training.model.k == 3
    assert training.candidate_rows() == []
    assert training.quality["silhouette"] > 0.3


def test_a_tree_is_cut_where_the_segments_are(spark: SparkSession) -> None:
    points, truth = separated(13, 4, 3, rows=300)
    frame = framed(spark, points).toDF("customer_id", *FEATURES)
    settings = Clustering(algorithm="agglomerative", features=FEATURES, k_min=3, k_max=6, micro_clusters=100)

    training = train(frame, settings, seed=5)

    assert [row["k"] for row in training.candidate_rows()] == [3, 4, 5, 6]
    assert training.model.k == 4
    assert 0 < training.quality["lost_variance"] < 0.5
    rows = training.model.assign(frame).orderBy("customer_id").toPandas()
    assert adjusted_rand_score(truth, rows.segment_id) >= 0.95
    sizes = rows.segment_id.value_counts()
    assert training.quality["smallest_share"] == pytest.approx(sizes.min() / 300)
    prepared = training.model.preparation.transform(frame).orderBy("customer_id").toPandas()
    inputs = prepared[[f"z_{name}" for name in training.model.preparation.names]].to_numpy()
    expected = silhouette_score(inputs, rows.segment_id, metric="sqeuclidean")
    assert training.quality["silhouette"] == pytest.approx(expected, abs=1e-6)


def test_customers_too_similar_are_rejected_with_what_they_have(spark: SparkSession) -> None:
    frame = framed(spark, np.repeat([[0.0, 1, 1], [1, 0, 5]], 30, axis=0)).toDF("customer_id", *FEATURES)

    with pytest.raises(DataRejectedError, match="only 2 different values"):
        train(frame, Clustering(features=FEATURES), seed=5)
