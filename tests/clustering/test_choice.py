"""The coreset, the choice of algorithm and k, stability, and whether there is structure at all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import adjusted_rand_score, silhouette_score

from customer_segmentation.clustering.kmeans.lloyd import refine_centers
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection import choice as choosing
from customer_segmentation.clustering.selection.choice import CONTINUUM_K, Candidate, Choice, best, choose
from customer_segmentation.clustering.selection.clusterability import Clusterability, clusterability, unimodal_shares
from customer_segmentation.clustering.selection.coreset import Coreset, coreset
from customer_segmentation.clustering.selection.metrics import Partition, evaluate_in_memory
from customer_segmentation.clustering.selection.separation import separation, valley_depth, without_ties
from customer_segmentation.clustering.selection.stability import adjusted_rand, compare_bootstraps, stability
from customer_segmentation.clustering.training import Training, train
from customer_segmentation.config.schema import Clustering, Preparing
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.contract.tables import MODEL_RUNS
from customer_segmentation.preparation.model import identity_preparation


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


def chosen(points: np.ndarray, ks: range = range(3, 9), algorithms: tuple[str, ...] = ("kmeans",), **more) -> Choice:
    more = {"smallest_share": 0.02, "seed": 1, **more}
    choice = choose(points, [], whole(points), ks=ks, algorithms=algorithms, **more)
    assert choice is not None
    return choice


CASES = [(2, 3, 4), (3, 4, 8), (5, 7, 5)]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "k", "d"), CASES)
def test_separated_segments_are_found_with_their_number(in_memory: None, seed: int, k: int, d: int) -> None:
    points, truth = separated(seed, k, d, rows=600)

    choice = chosen(points, range(2, k + 3), seed=seed)

    assert choice.candidate.k == k
    assert choice.candidate.is_stable
    assert adjusted_rand_score(truth, choice.partition.labels(points)) >= 0.9
    measured = stability(whole(points), choice.partition, algorithm="kmeans", seed=seed)
    seen = clusterability(whole(points), choice.partition, stability=measured, seed=seed)
    assert seen.description.startswith("clear structure")


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "k", "d"), [(10 * k + d, k, d) for k in (3, 5, 8) for d in (2, 3, 8)])
def test_separated_segments_are_found_in_any_number_of_dimensions(in_memory: None, seed: int, k: int, d: int) -> None:
    test_separated_segments_are_found_with_their_number(None, seed, k, d)


def continuum(generator: np.random.Generator, rows: int) -> np.ndarray:
    """A crowd with skewed and flat features that go together, and no groups."""
    active = generator.normal(size=rows)
    skewed = np.exp((active + generator.normal(size=rows)) / 3)
    return np.stack([active, skewed, generator.uniform(-2, 2, rows), generator.normal(size=rows)], axis=1)


def groups(generator: np.random.Generator, rows: int) -> np.ndarray:
    """Five groups, 4 standard deviations apart or more."""
    centers = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4], [5, 5, 5]])
    return centers[generator.integers(5, size=rows)] + generator.normal(size=(rows, 3))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("made", "k"), [(continuum, CONTINUUM_K), (groups, 5)])
def test_the_number_does_not_change_with_the_seed_or_with_a_tenth_of_the_customers(in_memory: None, made, k) -> None:
    points = made(np.random.default_rng(40), 900)

    by_seed = [chosen(points, range(3, 8), seed=seed).candidate.k for seed in range(6)]
    print("seeds 100 to 105")
    draws = (np.random.default_rng(seed).permutation(900)[:810] for seed in range(100, 106))
    by_draw = [chosen(points[drawn], range(3, 8)).candidate.k for drawn in draws]

    assert by_seed == [k] * 6
    assert by_draw.count(k) >= 5


def test_no_figure_of_a_candidate_depends_on_the_others(in_memory: None) -> None:
    points, _ = separated(41, 3, 2, rows=300)

    few, many = chosen(points, range(3, 5)), chosen(points, range(2, 6))

    by_k = {candidate.k: replace(candidate, tied=False) for candidate in many.candidates}
    assert [replace(candidate, tied=False) for candidate in few.candidates] == [by_k[3], by_k[4]]


def test_bootstraps_that_agree_are_found_again_and_those_that_disagree_have_an_error() -> None:
    points = np.arange(8.0)[:, None]
    halves, thirds = np.repeat([0, 1], 4), np.array([0, 0, 0, 1, 1, 1, 2, 2])
    segmentation = Partition(np.array([[1.5], [5.5]]))

    same = compare_bootstraps(whole(points), segmentation, [halves, 1 - halves, halves])
    other = compare_bootstraps(whole(points), segmentation, [halves, halves, thirds])

    assert (same.rand, same.agreement, same.error) == (1.0, 1.0, 0.0)
    assert same.segments == pytest.approx([1.0, 1.0])
    worst = 2 / 5  # of the second third, with the second half
    assert other.agreement == pytest.approx((1 + worst + worst) / 3)
    without = np.array([worst, worst, 1.0])
    assert other.error == pytest.approx(np.sqrt(2 / 3 * ((without - without.mean()) ** 2).sum()))


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
        ks=[2],
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


@pytest.mark.slow
def test_a_mixture_is_chosen_where_it_is_right_and_k_means_elsewhere(in_memory: None) -> None:
    print("seed 42")
    generator = np.random.default_rng(42)
    rows = [generator.normal(size=(200, 2)) * [3, 0.5] + [0, y] for y in (0, 4, 8)]
    long, truth = np.concatenate(rows), np.repeat([0, 1, 2], 200)
    round_, _ = separated(43, 3, 2, rows=400)
    both = ("kmeans", "gaussian_mixture")

    mixture = chosen(long, range(3, 5), both)
    centers = chosen(round_, range(3, 5), both)

    assert (mixture.candidate.algorithm, mixture.candidate.k) == ("gaussian_mixture", 3)
    assert adjusted_rand_score(truth, mixture.partition.labels(long)) >= 0.95
    assert (centers.candidate.algorithm, centers.candidate.k) == ("kmeans", 3)


CLOUDS = {
    "normal": lambda draw, n, d: draw.normal(size=(n, d)),
    "elongated": lambda draw, n, d: draw.normal(size=(n, d)) * np.linspace(1, 4, d),
    "turned": lambda draw, n, d: draw.normal(size=(n, d)) @ draw.normal(size=(d, d)),
    "student, 3 degrees": lambda draw, n, d: draw.standard_t(3, size=(n, d)),
    "student, 3 degrees, round": lambda draw, n, d: draw.normal(size=(n, d)) / np.sqrt(draw.chisquare(3, (n, 1)) / 3),
    "student, 2 degrees": lambda draw, n, d: draw.standard_t(2, size=(n, d)),
    "laplace": lambda draw, n, d: draw.laplace(size=(n, d)),
    "logistic": lambda draw, n, d: draw.logistic(size=(n, d)),
    "uniform": lambda draw, n, d: draw.uniform(size=(n, d)),
    "uniform, turned": lambda draw, n, d: draw.uniform(size=(n, d)) @ (np.eye(d) + draw.normal(size=(d, d)) / 3),
    "exponential": lambda draw, n, d: draw.exponential(size=(n, d)),
    "lognormal": lambda draw, n, d: draw.lognormal(size=(n, d)),
    "gamma": lambda draw, n, d: draw.gamma(2, size=(n, d)),
    "gamma from 0": lambda draw, n, d: draw.gamma(0.5, size=(n, d)),
    "shares": lambda draw, n, d: draw.beta(1, 5, size=(n, d)),
    "bounded": lambda draw, n, d: draw.beta(2, 2, size=(n, d)),
    "counts": lambda draw, n, d: draw.poisson(5, size=(n, d)).astype(float),
    "log of orders": lambda draw, n, d: np.log1p(draw.geometric(0.3, size=(n, d))),
    "rounded": lambda draw, n, d: np.round(draw.normal(size=(n, d))),
    "zero for many": lambda draw, n, d: np.where(draw.random((n, d)) < 0.4, 0, draw.gamma(2, size=(n, d))),
    "one of them zero for many": lambda draw, n, d: np.column_stack(
        [np.where(draw.random(n) < 0.5, 0, 3 + draw.normal(size=n) / 2), draw.normal(size=(n, d - 1))]
    ),
}


def seen_in(points: np.ndarray, *, k: int, seed: int) -> Clusterability:
    """The clusterability of a segmentation that is taken to be stable in full."""
    partition = fit("kmeans", whole(points), k=k, n_init=5, seed=seed)
    measured = compare_bootstraps(whole(points), partition, [partition.labels(points)] * 3)
    return clusterability(whole(points), partition, stability=measured, seed=seed)


@pytest.mark.parametrize("family", ["turned", "student, 3 degrees", "lognormal", "counts", "zero for many"])
def test_no_groups_are_seen_in_a_single_cloud(family: str) -> None:
    print("seed 50")
    generator = np.random.default_rng(50)

    seen = seen_in(CLOUDS[family](generator, 500, 3), k=4, seed=50)

    assert seen.level < 2


@pytest.mark.long
@pytest.mark.slow
def test_single_clouds_of_any_shape_are_called_clear_in_at_most_5_percent() -> None:
    clear = []
    for family, draw in CLOUDS.items():
        for seed in range(4):
            generator = np.random.default_rng(seed)
            d, k = int(generator.integers(2, 7)), int(generator.integers(3, 6))
            clear += [(family, seed)] * (seen_in(draw(generator, 600, d), k=k, seed=seed).level == 2)

    assert len(clear) <= 0.05 * 4 * len(CLOUDS), clear


@pytest.mark.parametrize("direction", [[1, 0], [1, 1]], ids=["along a feature", "across"])
def test_groups_show_though_the_features_alone_show_them_too(direction: list[float]) -> None:
    print("seed 51")
    generator = np.random.default_rng(51)
    away = 4 * np.array(direction) / np.linalg.norm(direction)
    points = generator.normal(size=(600, 2)) + generator.integers(3, size=600)[:, None] * away

    seen = seen_in(points, k=3, seed=51)

    assert seen.level == 2
    assert seen.p_value == 0.01


def test_structure_is_clear_only_where_it_is_significant_separated_and_found_again() -> None:
    clear = Clusterability(p_value=0.01, separation=0.5, agreement=0.9)
    assert clear.description == "clear structure (p = 0.01, separation 0.50, bootstrap agreement 0.90)"
    assert replace(clear, agreement=0.5).description.startswith("weak structure")
    assert replace(clear, separation=0.05).description.startswith("weak structure")
    assert replace(clear, p_value=0.06).description.startswith("no structure: a continuum")
    assert "stability not measured" in replace(clear, agreement=float("nan")).description
    assert replace(clear, agreement=float("nan")).level == 1


def test_one_segment_is_no_structure() -> None:
    points, _ = separated(21, 3, 2, rows=200)

    found = clusterability(whole(points), Partition(points[:1]), stability=None, seed=1)

    assert (found.level, found.description) == (0, "no structure: all customers that are in a segment are in one")


def trained(k: int, tied: tuple[int, ...], level: Clusterability) -> Training:
    candidates = tuple(candidate(tried, 0.9, tied=tried in tied) for tried in (3, 4, 5))
    choice = Choice(candidates, (), k - 3) if tied else None
    model = CentroidModel(
        "kmeans",
        identity_preparation(["x"]),
        tuple(range(1, k + 1)),
        np.arange(float(k))[:, None],
        (1.0,) * k,
        3.0,
        1.0,
    )
    return Training(model, choice, {}, {}, level, {})


def test_a_training_says_its_ties_and_that_one_segment_is_of_no_use() -> None:
    clear = Clusterability(p_value=0.01, separation=0.5, agreement=0.9)
    one = Clusterability(float("nan"), float("nan"), float("nan"))

    assert trained(5, (5,), clear).description == clear.description
    assert trained(5, (3, 5), clear).description == f"{clear.description}; 3 segments would do as well"
    assert "all customers that are in a segment are in one; a single segment tells" in trained(1, (), one).description
    assert "lower clustering.eps" in trained(1, (), one).description


def test_a_valley_is_as_deep_as_the_density_falls() -> None:
    quantiles = (np.arange(2000) + 0.5) / 2000
    from scipy.stats import expon, norm

    normal = norm.ppf(quantiles)
    apart = np.concatenate([normal, normal + 6])

    assert valley_depth(normal, np.ones(2000)) == pytest.approx(0, abs=1e-3)
    assert valley_depth(expon.ppf(quantiles), np.ones(2000)) == pytest.approx(0, abs=1e-3)
    assert 0.85 < valley_depth(apart, np.ones(4000)) < 1
    assert valley_depth(apart * 100 + 7, np.ones(4000)) == pytest.approx(valley_depth(apart, np.ones(4000)))
    assert np.isnan(separation(normal[:, None], np.ones(2000), np.zeros(2000, dtype=int)))
    assert separation(apart[:, None], np.ones(4000), (apart > 3).astype(int)) == valley_depth(apart, np.ones(4000))


def test_equal_values_are_spread_and_others_stay() -> None:
    points = np.array([[0.0, 1.5], [0.0, 2.5], [1.0, 7.0], [1.0, 9.0], [3.0, 8.0], [3.0, 6.0]])

    spread = without_ties(points, seed=1)

    assert sorted(spread[:, 0]) == pytest.approx([0.125, 0.375, 0.875, 1.625, 2.25, 2.75])
    assert (np.argsort(points[:, 0] * 10, kind="stable") // 2 == np.argsort(np.argsort(spread[:, 0])) // 2).all()
    assert (spread[:, 1] == points[:, 1]).all()


def test_a_margin_without_groups_has_one_mode_and_keeps_its_heap() -> None:
    print("seed 52")
    generator = np.random.default_rng(52)
    two = np.concatenate([generator.normal(size=300), generator.normal(size=300) + 8])
    zeros = np.concatenate([np.zeros(300), generator.normal(size=700) + 8])

    values, shares = unimodal_shares(two)
    _, kept = unimodal_shares(zeros)

    assert shares.sum() == pytest.approx(1)
    assert shares[(values > 3) & (values < 5)].sum() > 10 * ((two > 3) & (two < 5)).mean()
    density = shares[1:-1] / ((values[2:] - values[:-2]) / 2)
    mode = int(density.argmax())
    assert (np.diff(density[: mode + 1]) >= -1e-9).all()
    assert (np.diff(density[mode:]) <= 1e-9).all()
    assert kept[0] == pytest.approx(0.3)


def candidate(k: int, agreement: float, share: float = 0.1, **more) -> Candidate:
    return Candidate(
        **{"algorithm": "kmeans", "k": k, "silhouette": 0.5, "smallest_share": share, **more}, agreement=agreement
    )


def pick(tried: list[Candidate], **more) -> tuple[int, list[int]]:
    winner, tied = best(tried, **{"smallest_share": 0.02, **more})
    return winner.k, [one.k for one in tied]


def test_the_rule_takes_the_largest_number_that_is_found_again() -> None:
    tried = [candidate(3, 1.0), candidate(4, 0.7), candidate(5, 0.9), candidate(6, 0.8, agreement_error=0.02)]

    assert pick(tried) == (5, [5])
    assert pick([*tried, candidate(7, 0.84, agreement_error=0.01)]) == (7, [7])
    assert pick([*tried, candidate(7, 0.99, share=0.01)]) == (5, [5])
    assert pick([*tried, candidate(7, 0.99, share=0.01)], smallest_share=0.0) == (7, [7])


def test_within_the_ties_the_most_useful_number_is_taken_unless_another_is_in_service() -> None:
    tried = [
        candidate(3, 0.92, usefulness=0.5),
        candidate(4, 0.93, agreement_error=0.04, usefulness=0.7),
        candidate(5, 0.92, usefulness=0.6),
        candidate(6, 0.5),
    ]

    assert pick(tried) == (4, [3, 4, 5])
    assert pick(tried, incumbent_k=3) == (3, [3, 4, 5])
    assert pick([*tried[:3], candidate(7, 0.86, usefulness=0.1)]) == (7, [7])


def test_the_number_in_service_stays_within_the_ties_only() -> None:
    tried = [candidate(3, 0.99), candidate(4, 0.93, agreement_error=0.04), candidate(5, 0.9), candidate(6, 0.5)]

    assert pick(tried) == (5, [4, 5])
    assert pick(tried, incumbent_k=4) == (4, [4, 5])
    assert pick(tried, incumbent_k=3) == (5, [4, 5])
    assert pick(tried, incumbent_k=6) == (5, [4, 5])


def test_a_continuum_is_cut_into_the_same_number_unless_another_is_found_again_clearly_better() -> None:
    tried = [candidate(k, 0.8 - 0.1 * k) for k in range(3, 9)]

    assert pick(tried) == (CONTINUUM_K, [3, 4, 5, 6, 7, 8])
    assert pick(tried, incumbent_k=6)[0] == 6
    assert pick([candidate(3, 0.7), *tried[1:]]) == (3, [3, 4, 5, 6, 7, 8])
    assert pick([candidate(3, 0.7), *tried[1:]], incumbent_k=4)[0] == 4
    assert pick([candidate(6, 0.1), candidate(7, 0.25)]) == (6, [6, 7])
    assert pick([candidate(6, 0.1), candidate(7, 0.5)]) == (7, [6, 7])
    assert pick([candidate(2, 0.1), candidate(3, 0.5, share=0.01)]) == (2, [2])
    assert pick([candidate(3, 0.1, share=0.001), candidate(4, 0.5, share=0.01)]) == (4, [4])


def test_another_algorithm_has_to_do_better() -> None:
    first = [candidate(3, 0.9, separation=0.3), candidate(4, 0.5, separation=0.9)]

    def other(agreement: float, separation: float) -> Candidate:
        return candidate(5, agreement, algorithm="gaussian_mixture", separation=separation)

    assert pick([*first, other(1.0, 0.45)])[0] == 3
    assert pick([*first, other(1.0, 0.55)])[0] == 5
    assert pick([*first, other(0.5, 0.99)])[0] == 3
    assert pick([first[1], other(0.9, 0.0)])[0] == 5


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.long
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
    assert {"silhouette", "cost", "agreement", "separation", "structure_p_value", "stability"} <= set(training.quality)
    assert set(training.stability) == {1, 2, 3, 4}
    assert (training.model.to_json(), training.candidate_rows()) == (again.model.to_json(), again.candidate_rows())
    kind = next(column.type for column in MODEL_RUNS.columns if column.name == "candidates")
    rows = spark.createDataFrame([(training.candidate_rows(),)], f"candidates {kind}").first()["candidates"]
    assert [row["k"] for row in rows] == [3, 4, 5, 6, 7]
    assert all(row["agreement"] is not None and row["stability"] is not None for row in rows)
    assert max(row["k"] for row in rows if row["tied"]) == 4  # three that are found again as well are a tie


@pytest.mark.slow
def test_a_configured_k_is_not_searched_for(spark: SparkSession) -> None:
    points, _ = separated(12, 3, 3, rows=300)
    frame = framed(spark, points).toDF("customer_id", *FEATURES)

    training = train(frame, Clustering(features=FEATURES, k=3), seed=5)

    assert training.model.k == 3
    assert training.candidate_rows() == []
    assert training.quality["silhouette"] > 0.3


@pytest.mark.slow
def test_a_tree_is_cut_where_the_segments_are(spark: SparkSession) -> None:
    points, truth = separated(13, 4, 3, rows=300)
    frame = framed(spark, points).toDF("customer_id", *FEATURES)
    settings = Clustering(algorithm="agglomerative", features=FEATURES, k_min=3, k_max=6, micro_clusters=100)

    training = train(frame, settings, seed=5)

    assert [row["k"] for row in training.candidate_rows()] == [3, 4, 5, 6]
    assert training.model.k == 4
    assert 0 < training.quality["compression_loss"] < 0.5
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
