"""Hierarchy and density through the whole line: trained, registered, assigned by another run, published, reported."""

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from rich.console import Console
from sklearn.metrics import adjusted_rand_score

from customer_segmentation.clustering.selection.choice import STABLE_AGREEMENT
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.stages import assign_segments, build_features, train_segments, write_report
from tests.generated import configured, quiet
from tests.warehouse import contents, read

pytestmark = [pytest.mark.slow, pytest.mark.long]

APART = "recency_days, frequency, monetary, average_order_value, distinct_categories, discount_rate"
"""Features by which the true segments have gaps between them, at so few customers."""
DENSE = [
    "clustering.algorithm=dbscan",
    "clustering.min_samples=8",
    "clustering.eps=0.5",
    f"clustering.features=[{APART}]",
]
TREE = ["clustering.algorithm=agglomerative", "clustering.k_min=5", "clustering.k_max=7"]
WRITTEN = ["customer_segments", "segment_profiles", "segment_transitions", "model_runs", "pipeline_runs"]


def segmented(spark: SparkSession, generated: Path, root: str, settings: list[str]) -> Path:
    """A copy of the generated warehouse after a run by another algorithm, which assigns with what is registered."""
    shutil.copytree(generated / "tables", generated / root)
    config = configured(generated, root, *settings)
    trained = quiet(spark, config)
    build_features(trained)
    train_segments(trained, retrain=True)
    assigned = quiet(spark, config)
    assign_segments(assigned)
    write_report(assigned, Console(file=io.StringIO()))
    return generated / root


@pytest.fixture(scope="module")
def dense(spark: SparkSession, generated: Path) -> Path:
    return segmented(spark, generated, "dense", DENSE)


@pytest.fixture(scope="module")
def tree(spark: SparkSession, generated: Path) -> Path:
    return segmented(spark, generated, "tree", TREE)


def published(root: Path) -> pd.DataFrame:
    return read(root, "customer_segments").sort_values("customer_id", ignore_index=True)


def of_the_run(root: Path, table: str) -> pd.DataFrame:
    """The rows of the published run, or of its model."""
    now, rows = published(root).iloc[0], read(root, table)
    return rows[rows.run_id == now.run_id] if "run_id" in rows else rows[rows.model_version == now.model_version]


def agreement(folder: Path, segments: pd.DataFrame) -> float:
    truth = pd.read_parquet(folder / "data" / "truth_segments")
    both = segments.merge(truth, on="customer_id")
    return float(adjusted_rand_score(both.segment, both.segment_id))


@pytest.mark.long
def test_the_true_segments_are_found_by_a_tree_whose_cut_is_chosen(generated: Path, tree: Path) -> None:
    model = of_the_run(tree, "model_runs").iloc[0]

    assert agreement(generated, published(tree)) >= 0.9
    assert [row["k"] for row in model.candidates] == [5, 6, 7]
    found = [row["k"] for row in model.candidates if row["agreement"] + row["agreement_error"] >= STABLE_AGREEMENT]
    assert model.k == max(found)
    assert model.quality["compression_loss"] == 0  # each of the customers is a micro-cluster of its own


def test_the_figures_of_a_cut_are_those_of_its_assignment(tree: Path) -> None:
    model, profiles = of_the_run(tree, "model_runs").iloc[0], of_the_run(tree, "segment_profiles")
    chosen = next(row for row in model.candidates if row["k"] == model.k)

    assert model.quality["smallest_share"] == pytest.approx(profiles.customer_share.min())
    assert [chosen[name] for name in ("silhouette", "davies_bouldin")] == [
        model.quality[name] for name in ("silhouette", "davies_bouldin")
    ]
    assert sorted(profiles.stability) == sorted(chosen["segment_stability"])


def test_dense_places_are_the_true_segments_and_the_customers_between_them_noise(generated: Path, dense: Path) -> None:
    segments, model = published(dense), of_the_run(dense, "model_runs").iloc[0]
    noise = segments[segments.segment_id == -1]

    assert agreement(generated, segments[segments.segment_id > 0]) >= 0.9
    assert 0 < len(noise) < 0.2 * len(segments)
    assert set(noise.segment_name) == {"Unclassified"}
    assert noise.is_outlier.all()
    assert (noise.confidence == 0).all()
    assert not any(len(drivers) for drivers in noise.drivers)
    assert model.k == 6 == segments.segment_id.max() == of_the_run(dense, "pipeline_runs").segments.iloc[0]
    assert model.quality["noise_share"] == pytest.approx(len(noise) / len(segments))


def test_noise_has_a_profile_without_a_centre_and_moves_are_counted_with_it(dense: Path) -> None:
    profiles, moves = of_the_run(dense, "segment_profiles"), of_the_run(dense, "segment_transitions")
    noise = profiles[profiles.segment_id == -1].iloc[0]
    others = profiles[profiles.segment_id > 0]

    assert not noise.centroid
    assert np.isnan(noise.stability)
    assert noise.action
    assert all(others.centroid)
    assert others.stability.between(0.5, 1).all()
    assert moves[moves.to_segment_id == -1].customers.sum() == noise.customers
    assert moves.customers.sum() == len(published(dense))


def test_the_page_shows_noise_and_how_the_segments_were_found(dense: Path) -> None:
    page = (dense / "report.html").read_text()

    for words in ("Unclassified", "within eps 0.5, as set", "share of the customers in no segment", " structure"):
        assert words in page


def test_stored_core_points_name_no_customer(dense: Path) -> None:
    points, model = read(dense, "model_core_points"), of_the_run(dense, "model_runs").iloc[0]
    ids = set(published(dense).customer_id)

    assert set(points) == {"model_version", "segment", "rank", "point"}
    assert sorted(points["rank"]) == list(range(len(points)))
    assert {len(point) for point in points.point} == {len(model.features)}
    assert not any(customer in model.model for customer in ids)


def test_the_same_run_by_density_again_leaves_the_same_tables(spark: SparkSession, dense: Path) -> None:
    before = {name: contents(dense, name) for name in [*WRITTEN, "model_core_points"]}
    run = quiet(spark, configured(dense.parent, dense.name, *DENSE))

    train_segments(run, retrain=True)
    assign_segments(run)

    for name, rows in before.items():
        assert contents(dense, name) == rows, name


def test_all_noise_is_rejected_with_what_to_do_and_nothing_is_registered(spark: SparkSession, dense: Path) -> None:
    before = contents(dense, "model_runs")
    run = quiet(spark, configured(dense.parent, dense.name, *DENSE[:-1], "clustering.eps=0.000001"))

    with pytest.raises(
        DataRejectedError, match=r"are noise: .* raise clustering\.eps or lower clustering\.min_samples"
    ):
        train_segments(run, retrain=True)

    assert contents(dense, "model_runs") == before


def test_a_registered_model_without_its_core_points_is_rejected(spark: SparkSession, dense: Path) -> None:
    shutil.copytree(dense / "model_runs", dense.parent / "bare" / "model_runs")
    run = quiet(spark, configured(dense.parent, "bare", *DENSE, "as_of=2024-12-31"))

    with pytest.raises(
        ConfigurationError, match=r"no table .*model_core_points yet; run `customer-segmentation train`"
    ):
        run.models.newest  # noqa: B018
