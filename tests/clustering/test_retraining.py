"""A model that is trained again has the segments of the one before, and the tables say what became of each."""

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.clustering.training import Training, train
from customer_segmentation.config.schema import Clustering, Preparing
from customer_segmentation.contract import tables as t
from customer_segmentation.insight.lineage import lineage
from customer_segmentation.stages import Run, assign_segments, build_features, ingest_sources, train_segments
from customer_segmentation.stages.generate import generate_data
from customer_segmentation.storage import Warehouse
from tests.generated import configured, quiet
from tests.warehouse import contents, read

FEATURES = ["frequency", "monetary", "discount_rate"]


def settings(algorithm: str, **more: Any) -> Clustering:
    asked = {} if algorithm == "dbscan" else {"k": 3}
    plain = Preparing(skewed="none", scaling="standard")
    return Clustering(algorithm=algorithm, features=FEATURES, preparation=plain, micro_clusters=100, **(asked | more))


TODAY = date(2024, 8, 1)


def customers(spark: SparkSession, *groups: tuple[float, float, float, int], seed: int, new: int = 0) -> DataFrame:
    """Customers around middles, each with so many; a customer's place in its group does not depend on the others.

    Those of the last `new` groups came less than a month ago.
    """
    print(f"seed {seed}")
    points = [
        np.random.default_rng([seed, i]).normal(middle, 1.0, size=(size, 3)) for i, (*middle, size) in enumerate(groups)
    ]
    tenures = np.repeat([400] * (len(groups) - new) + [7] * new, [len(group) for group in points])
    table = pd.DataFrame(np.vstack(points), columns=FEATURES)
    table.insert(0, "customer_id", [f"C{i:04d}" for i in range(len(table))])
    return spark.createDataFrame(table.assign(as_of_date=TODAY, tenure_days=tenures))


GROUPS = [(0.0, 0.0, 0.0, 120), (9.0, 0.0, 0.0, 100), (0.0, 30.0, 0.0, 80)]


def segments(training: Training, frame: DataFrame) -> pd.Series:
    rows = training.model.assign(frame).select("customer_id", "segment_id").toPandas()
    return rows.set_index("customer_id").segment_id.sort_index()


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm",
    [
        "kmeans",
        "dbscan",
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in ("bisecting_kmeans", "gaussian_mixture", "agglomerative")
        ),
    ],
)
def test_a_training_on_the_same_customers_gives_the_same_segments(spark: SparkSession, algorithm: str) -> None:
    earlier = customers(spark, *GROUPS, seed=1)
    now = customers(spark, *((x + 0.4, y - 0.3, z, size) for x, y, z, size in GROUPS), seed=2)
    first = train(earlier, settings(algorithm), seed=5)

    second = train(now, settings(algorithm), seed=5, incumbent=first.model)
    again = train(now.repartition(3), settings(algorithm), seed=5, incumbent=second.model)

    assert again.model.to_json() == second.model.to_json()
    assert segments(again, now).equals(segments(second, now))
    assert set(second.model.segment_ids) == set(first.model.segment_ids) == set(again.model.segment_ids)
    if algorithm != "dbscan":
        cost, independent = second.quality["cost"], second.quality["independent_cost"]
        assert cost - independent <= 0.005 * (300 * 3 if algorithm == "gaussian_mixture" else independent)
    assert set(second.stability) <= set(second.model.segment_ids)


@pytest.mark.slow
def test_the_segments_stay_when_their_customers_drift_and_a_divided_one_is_told(spark: SparkSession) -> None:
    first = train(customers(spark, *GROUPS, seed=3), settings("kmeans"), seed=5)
    drifted = customers(spark, *((x + 0.5, y + 0.5, z, size) for x, y, z, size in GROUPS), seed=3)
    divided = customers(spark, (0, 0, -4.5, 60), (0, 0, 4.5, 60), *GROUPS[1:], (0, 30, 20, 90), seed=3, new=1)

    second = train(drifted, settings("kmeans"), seed=5, incumbent=first.model)
    incumbent = replace(second.model, trained_as_of=date(2024, 7, 1))
    third = train(divided, settings("kmeans", k=5), seed=5, incumbent=incumbent)

    assert segments(second, drifted).equals(segments(first, drifted))
    assert "independent_cost" not in first.quality
    assert second.quality["cost"] <= 1.005 * second.quality["independent_cost"]
    assert third.overlap is not None
    rows = lineage(third.overlap)
    assert Counter(row["event"] for row in rows) == {"kept": 2, "split": 2, "born": 1}
    assert [row["customers"] for row in rows if row["event"] == "born"] == [90]
    parts = {row["segment_id"] for row in rows if row["event"] == "split"}
    assert set(third.model.segment_ids) == {row["segment_id"] for row in rows}
    assert parts - set(first.model.segment_ids) <= {4, 5, 6}
    assert third.model.highest_id == max(third.model.segment_ids)


DATES = [date(2024, 7, 1), date(2024, 8, 1), date(2024, 9, 1)]


def run_at(spark: SparkSession, folder: Path, day: date) -> Run:
    # By one algorithm and number of segments, so that nothing but the month is another.
    return quiet(spark, configured(folder, "months", f"as_of={day}", "clustering.k=5", "clustering.algorithm=kmeans"))


@pytest.fixture(scope="module")
def months(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of three monthly trainings, each published."""
    folder = tmp_path_factory.mktemp("months")
    first = run_at(spark, folder, DATES[0])
    generate_data(first)
    ingest_sources(first)
    for day in DATES:
        run = run_at(spark, folder, day)
        build_features(run)
        train_segments(run)
        assign_segments(run)
    return folder / "months"


@pytest.mark.long
@pytest.mark.slow
def test_customers_keep_their_segment_from_training_to_training(months: Path) -> None:
    history = read(months, "customer_segments_history").sort_values("as_of_date")
    by_month = history.pivot(index="customer_id", columns="as_of_date", values="segment_id").dropna()

    for before, now in zip(by_month, by_month.columns[1:], strict=False):
        assert (by_month[before] == by_month[now]).mean() >= 0.85
    latest = history[history.as_of_date == DATES[-1]].set_index("customer_id")
    earlier = history[history.as_of_date == DATES[-2]].set_index("customer_id").segment_id
    known = latest.previous_segment_id.dropna()
    assert known.astype(int).equals(earlier[known.index])


@pytest.mark.long
@pytest.mark.slow
def test_the_lineage_has_every_segment_of_every_training(months: Path) -> None:
    rows, models = read(months, "segment_lineage"), read(months, "model_runs").sort_values("trained_as_of")
    profiles, runs = read(months, "segment_profiles"), read(months, "pipeline_runs").set_index("run_id")
    before: set[int] = set()
    previous = None
    for version in models.model_version:
        own = rows[rows.model_version == version]
        ids = set(own.segment_id.dropna().astype(int))
        published = profiles[profiles.run_id.map(runs.model_version) == version].segment_id
        assert set(published) - {-1} == ids
        assert set(own.previous_segment_id.dropna().astype(int)) == before
        assert set(own.previous_model_version) == {previous}
        assert set(own.event) <= ({"kept", "split", "merged", "born", "ended"} if previous else {"born"})
        assert (own.customers >= 0).all()
        before, previous = ids, version


@pytest.mark.long
@pytest.mark.slow
def test_who_moved_by_the_model_and_who_by_behaviour_are_all_who_moved(months: Path) -> None:
    moves, runs = read(months, "segment_transitions"), read(months, "pipeline_runs").sort_values("as_of_date")
    first, *later = runs.run_id

    assert moves[moves.run_id == first][["from_segment_id", "moved_by_model"]].isna().all(axis=None)
    for run_id in later:
        own = moves[(moves.run_id == run_id) & moves.from_segment_id.notna()]
        moved = own[own.from_segment_id != own.to_segment_id]
        stayed = own[own.from_segment_id == own.to_segment_id]
        assert (moved.moved_by_model + moved.moved_by_behaviour == moved.customers).all()
        assert (stayed.moved_by_model + stayed.moved_by_behaviour == 0).all()


@pytest.mark.long
@pytest.mark.slow
def test_a_training_that_is_killed_or_repeated_writes_the_same(
    spark: SparkSession, months: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["segment_lineage", "model_runs", "customer_segments_history", "segment_transitions"]
    before = {name: contents(months, name) for name in names}
    replace_rows = Warehouse.replace_rows

    def until_the_model(self: Warehouse, table: t.Table, rows: list[dict[str, Any]], **more: str) -> None:
        if table is t.MODEL_RUNS:
            raise KeyboardInterrupt
        replace_rows(self, table, rows, **more)

    with monkeypatch.context() as killed:
        killed.setattr(Warehouse, "replace_rows", until_the_model)
        with pytest.raises(KeyboardInterrupt):
            train_segments(run_at(spark, months.parent, DATES[1]))
    for day in DATES[1:]:  # the second one although there is a later one by now
        run = run_at(spark, months.parent, day)
        train_segments(run)
        if day == DATES[-1]:
            assign_segments(run)

    for name, rows in before.items():
        assert contents(months, name) == rows, name


@pytest.mark.long
@pytest.mark.slow
def test_segments_of_other_settings_are_not_compared(spark: SparkSession, months: Path) -> None:
    run = quiet(spark, configured(months.parent, "months", f"as_of={DATES[-1]}", "clustering.k=3"))
    build_features(run)
    train_segments(run)

    assign_segments(run)

    assert sorted(read(months, "customer_segments").segment_id.unique()) == [1, 2, 3]
    assert read(months, "customer_segments").previous_segment_id.isna().all()
