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

from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRefusedError
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import assign_segments, train_segments
from tests.generated import configured, quiet
from tests.warehouse import contents, read

DENSE = ["clustering.algorithm=dbscan", "clustering.min_samples=8", "clustering.eps=0.5"]
TREE = ["clustering.algorithm=agglomerative", "clustering.k_min=5", "clustering.k_max=7"]
WRITTEN = ["customer_segments", "segment_profiles", "segment_transitions", "model_runs", "pipeline_runs"]


@pytest.fixture(scope="module")
def folder(spark: SparkSession, generated: Path) -> Path:
    """The generated data, and two copies of its warehouse, each with a run by another algorithm after it."""
    for root, settings in (("dense", DENSE), ("tree", TREE)):
        shutil.copytree(generated / "tables", generated / root)
        run_pipeline(quiet(spark, configured(generated, root, *settings)), Console(file=io.StringIO()))
    return generated


@pytest.fixture(scope="module")
def dense(folder: Path) -> Path:
    return folder / "dense"


@pytest.fixture(scope="module")
def tree(folder: Path) -> Path:
    return folder / "tree"


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


def test_the_true_segments_are_found_by_a_tree_whose_cut_is_chosen(folder: Path, tree: Path) -> None:
    model = of_the_run(tree, "model_runs").iloc[0]

    assert agreement(folder, published(tree)) >= 0.9
    assert [row["k"] for row in model.candidates] == [5, 6, 7]
    assert model.k == max(model.candidates, key=lambda row: row["score"])["k"]
    assert model.quality["lost_variance"] == 0  # each of the customers is a micro-cluster of its own


def test_the_figures_of_a_cut_are_those_of_its_assignment(tree: Path) -> None:
    model, profiles = of_the_run(tree, "model_runs").iloc[0], of_the_run(tree, "segment_profiles")
    chosen = next(row for row in model.candidates if row["k"] == model.k)

    assert model.quality["smallest_share"] == pytest.approx(profiles.customer_share.min())
    assert [chosen[name] for name in ("silhouette", "davies_bouldin")] == [
        model.quality[name] for name in ("silhouette", "davies_bouldin")
    ]
    assert sorted(profiles.stability) == sorted(chosen["segment_stability"])


def test_dense_places_are_the_true_segments_and_the_customers_between_them_noise(folder: Path, dense: Path) -> None:
    segments, model = published(dense), of_the_run(dense, "model_runs").iloc[0]
    noise = segments[segments.segment_id == -1]

    assert agreement(folder, segments[segments.segment_id > 0]) >= 0.9
    assert 0 < len(noise) < 0.2 * len(segments)
    assert set(noise.segment_name) == {"Unclassified"}
    assert noise.is_outlier.all()
    assert (noise.confidence == 0).all()
    assert not any(len(drivers) for drivers in noise.drivers)
    assert model.k == 6 == segments.segment_id.max() == of_the_run(dense, "pipeline_runs").segments.iloc[0]
    assert model.quality["noise_share"] == pytest.approx(len(noise) / len(segments))


def test_noise_has_a_profile_without_a_centre_and_moves_are_told_with_it(dense: Path) -> None:
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


def test_the_page_tells_noise_and_how_the_segments_were_found(dense: Path) -> None:
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


@pytest.mark.parametrize(("root", "settings"), [("dense", DENSE), ("tree", TREE)])
def test_another_run_assigns_alike_with_the_registered_model_and_trains_to_the_same(
    spark: SparkSession, folder: Path, root: str, settings: list[str]
) -> None:
    before = {name: contents(folder / root, name) for name in WRITTEN}
    config = configured(folder, root, *settings)

    assign_segments(quiet(spark, config))
    by_registered = contents(folder / root, "customer_segments")
    train_segments(quiet(spark, config), anew=True)
    assign_segments(quiet(spark, config))

    assert by_registered == before["customer_segments"]
    assert {name: contents(folder / root, name) for name in WRITTEN} == before


def test_all_noise_is_refused_with_what_to_do_and_nothing_is_registered(spark: SparkSession, folder: Path) -> None:
    before = contents(folder / "dense", "model_runs")
    run = quiet(spark, configured(folder, "dense", *DENSE))
    sparse = run.config.clustering.model_copy(update={"eps": 1e-6})
    run.config = run.config.model_copy(update={"clustering": sparse})
    run.run_id = published(folder / "dense").run_id.iloc[0]  # whose features are there

    with pytest.raises(DataRefusedError, match=r"are noise: .* raise clustering\.eps or lower clustering\.min_samples"):
        train_segments(run, anew=True)

    assert contents(folder / "dense", "model_runs") == before


def test_a_model_without_its_core_points_is_not_assigned_with(spark: SparkSession, folder: Path) -> None:
    shutil.copytree(folder / "dense", folder / "damaged")
    run = quiet(spark, configured(folder, "damaged", *DENSE))
    points = run.warehouse.read(t.MODEL_CORE_POINTS).where("rank > 0").cache()
    points.count()
    run.warehouse.overwrite(t.MODEL_CORE_POINTS, points)

    with pytest.raises(ConfigurationError, match="the core points are not the model's"):
        assign_segments(run)
