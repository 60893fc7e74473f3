"""A run stays as it is: what is read, set or trained anew makes another one; what belongs apart is not published."""

import io
import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, PublishingError, StoppedByAlertsError
from customer_segmentation.features.build import customer_features
from customer_segmentation.insight.activity import purchase_rates
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.stages import (
    Run,
    assign_segments,
    build_features,
    ingest_sources,
    maintain,
    train_segments,
)
from customer_segmentation.stages.publication import Publication
from customer_segmentation.stages.unchanged import Made
from customer_segmentation.value import ValueModel, fit_value, with_value
from tests.csv_lines import COLUMNS, SHEET, Line
from tests.generated import quiet
from tests.warehouse import contents, read

AS_OF = date(2024, 3, 10)
OF_A_RUN = [
    t.CUSTOMER_FEATURES,
    t.CUSTOMER_SEGMENTS_HISTORY,
    t.SEGMENT_PROFILES,
    t.SEGMENT_TRANSITIONS,
    t.PIPELINE_RUNS,
]
RunOf = Callable[..., Run]


def orders(first: int, customers: range, draw: random.Random) -> list[Line]:
    """Orders of customers of three kinds: many small ones, few large ones, one long ago."""
    lines = []
    for customer in customers:
        number, price, days = [(8, 2, 9), (3, 90, 25), (1, 20, 60)][customer % 3]
        for place in range(number):
            day = datetime(2024, 3, 9) - timedelta(days=days * (place + 1) / number + draw.random() * 2)
            who = {"who": f"C{customer}", "no": f"O{first + len(lines)}", "at": f"{day:%Y-%m-%d %H:%M:%S}"}
            lines.append(SHEET.line(**who, price=f"{price * (1 + draw.random() / 5):.2f}"))
    return lines


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> RunOf:
    """A run over the files in `in`, of a shop with one file."""
    print("seed 5")
    SHEET.written(tmp_path / "in" / "1.csv", orders(0, range(60), random.Random(5)))

    def make(as_of: date | None = AS_OF, **sections: object) -> Run:
        settings = {
            "as_of": as_of,
            "sources": {"transactions": {"format": "csv", "path": str(tmp_path / "in"), "columns": COLUMNS}},
            "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
            "tables": {"root": str(tmp_path / "tables")},
        }
        return quiet(spark, Config.model_validate({**settings, **sections}))

    return make


def of_run(root: Path, run_id: str) -> dict[str, list[str]]:
    """The rows that the tables have of a run."""
    tables = {table.name: DeltaTable(str(root / table.name)).to_pyarrow_table() for table in OF_A_RUN}
    rows = {name: [row for row in table.to_pylist() if row["run_id"] == run_id] for name, table in tables.items()}
    return {name: sorted(json.dumps(row, default=str) for row in of_table) for name, of_table in rows.items()}


def versions(root: Path) -> dict[str, int]:
    return {path.name: DeltaTable(str(path)).version() for path in root.iterdir() if (path / "_delta_log").is_dir()}


def whole(run: Run) -> str:
    """Runs all of it; the run's id."""
    run_pipeline(run, Console(file=io.StringIO()))
    return run.run_id


@pytest.mark.slow
def test_late_lines_on_the_same_date_are_another_run_and_nothing_new_is_the_same_one(
    tmp_path: Path, run_of: RunOf
) -> None:
    root = tmp_path / "tables"
    first = whole(run_of())
    before, models = of_run(root, first), contents(root, "model_runs")

    SHEET.written(tmp_path / "in" / "2.csv", orders(1000, range(60, 75), random.Random(6)))
    second = whole(run_of())
    after = versions(root)

    assert second != first
    assert of_run(root, first) == before
    assert contents(root, "model_runs") == models, "the model serves on"
    assert set(read(root, "customer_segments").run_id) == {second}
    published = read(root, "publications").sort_values("published_at")
    assert published[["run_id", "previous_run_id", "command"]].values.tolist() == [
        [first, None, "run"],
        [second, first, "run"],
    ]
    assert whole(run_of()) == second
    assert versions(root) == after, "nothing was written"

    renamed = whole(run_of(segments={"names": {"1": "Our best"}}))
    assert renamed not in (first, second)
    assert of_run(root, first) == before
    assert whole(run_of()) == second
    assert set(read(root, "customer_segments").run_id) == {second}, "complete before, and published again"
    assert of_run(root, first) == before


@pytest.mark.long
@pytest.mark.slow
def test_what_does_not_belong_together_is_not_published(tmp_path: Path, run_of: RunOf) -> None:
    root = tmp_path / "tables"
    first = whole(run_of())
    before, models = of_run(root, first), contents(root, "model_runs")
    SHEET.written(tmp_path / "in" / "2.csv", orders(1000, range(60, 90), random.Random(7)))

    ingest_sources(run_of())
    with pytest.raises(
        ConfigurationError, match=r"no features as of 2024-03-10 .* run `customer-segmentation features`"
    ):
        assign_segments(run_of())
    assert set(read(root, "customer_segments").run_id) == {first}

    build_features(run_of())
    trained = run_of()
    train_segments(trained, retrain=True)
    assigned = run_of()
    assign_segments(assigned)

    assert assigned.run_id == trained.run_id != first
    assert [row for row in contents(root, "model_runs") if row in models] == models
    features = read(root, "customer_features").set_index("run_id")
    own = features.loc[assigned.run_id]
    model = assigned.models.newest
    assert model is not None
    assert set(read(root, "customer_segments").model_version) == {model.version}
    below = [(own.monetary.astype(float) > cut).astype(int) for cut in model.cut_points["monetary"]]
    assert (own.m_score == 1 + sum(below)).all()
    assert of_run(root, first) == before


@pytest.mark.long
@pytest.mark.slow
def test_what_customers_are_worth_is_learnt_of_those_too_who_stopped(tmp_path: Path, run_of: RunOf) -> None:
    run = run_of(features={"active_within": 30})
    ingest_sources(run)
    build_features(run)

    rows = read(tmp_path / "tables", "customer_features")
    everybody = customer_features(run.inputs.transactions(), as_of=AS_OF)
    assert 0 < len(rows) < everybody.count()
    (kept,) = read(tmp_path / "tables", "value_models").itertuples()
    assert kept.made_from == run.features_id
    assert json.loads(kept.model) == json.loads(json.dumps(fit_value(everybody, run.config.value).to_dict()))
    valued = with_value(everybody, ValueModel.from_dict(json.loads(kept.model))).toPandas().set_index("customer_id")
    own = rows.set_index("customer_id").expected_spend_90d
    assert own.to_numpy() == pytest.approx(valued.expected_spend_90d[own.index].to_numpy())

    train_segments(run, retrain=True)
    later = run_of(AS_OF + timedelta(days=1), features={"active_within": 30})
    build_features(later)  # scored by the model that serves, so with no value model of their own
    retrained = run_of(AS_OF + timedelta(days=1), features={"active_within": 30})
    train_segments(retrained, retrain=True)
    everybody = customer_features(run.inputs.transactions(), as_of=later.as_of)
    model = retrained.models.newest
    assert model is not None
    assert model.value["purchases"] == json.loads(
        json.dumps(fit_value(everybody, run.config.value).to_dict()["purchases"])
    )


@pytest.mark.slow
def test_segments_keep_their_ids_in_a_second_training_of_the_first_date_and_when_trainings_come_more_often(
    tmp_path: Path, run_of: RunOf
) -> None:
    first = run_of()
    whole(first)
    SHEET.written(tmp_path / "in" / "2.csv", orders(1000, range(60, 63), random.Random(6)))
    again = run_of()
    ingest_sources(again)
    build_features(again)
    train_segments(again, retrain=True)

    assert again.model_version != first.model_version
    events = read(tmp_path / "tables", "segment_lineage").set_index("model_version").event
    assert set(events[first.model_version]) == {"born"}
    assert set(events[again.model_version]) == {"kept"}
    earlier = run_of(AS_OF - timedelta(days=5))
    build_features(earlier)
    train_segments(earlier, retrain=True)
    assert set(earlier.models.newest.segment_ids) == {4, 5, 6}, "of a date before all others, so other segments"

    often = {"k": 3, "features": ["recency_days", "frequency", "monetary"], "retrain_after_days": 1}
    assert run_of(clustering=often).models.reusable_version == again.model_version
    assert run_of(AS_OF + timedelta(days=1), clustering=often).models.incumbent_version == again.model_version


@pytest.mark.long
@pytest.mark.slow
def test_the_training_that_was_asked_for_last_serves_in_every_process(tmp_path: Path, run_of: RunOf) -> None:
    ingest_sources(run_of())
    build_features(run_of())
    own, other = {"segments": {"horizon_days": 30}}, {"segments": {"horizon_days": 60}}
    versions_asked_for = []
    for settings in (own, other, own):
        run = run_of(**settings)
        train_segments(run, retrain=True)
        versions_asked_for.append(run.model_version)
        if settings is other:
            registered = read(tmp_path / "tables", "model_runs")

    assert len(set(versions_asked_for)) == 2
    assert versions_asked_for[0] == versions_asked_for[2]
    for settings in (own, other):
        assert run_of(**settings).models.reusable_version == versions_asked_for[0]
    assert run_of(AS_OF + timedelta(days=1)).models.incumbent_version == versions_asked_for[0]
    pd.testing.assert_frame_equal(read(tmp_path / "tables", "model_runs"), registered)
    train_segments(run_of(**own), retrain=True)
    assert len(read(tmp_path / "tables", "model_requests")) == 1, "it serves already"

    maintain(run_of(maintenance={"keep_models": 1}))

    assert read(tmp_path / "tables", "model_runs").model_version.tolist() == [versions_asked_for[0]]


@pytest.mark.long
@pytest.mark.slow
def test_an_earlier_date_does_not_take_the_place_of_a_later_one_unless_it_is_told_to(
    tmp_path: Path, run_of: RunOf
) -> None:
    root = tmp_path / "tables"
    later = whole(run_of())

    earlier = whole(run_of(AS_OF - timedelta(days=5)))

    assert earlier != later
    assert set(read(root, "customer_segments").run_id) == {later}
    assert earlier in set(read(root, "customer_segments_history").run_id)
    assert whole(run_of(AS_OF - timedelta(days=5), publishing={"replace_later": True})) == earlier
    assert set(read(root, "customer_segments").run_id) == {earlier}


@pytest.mark.long
@pytest.mark.slow
def test_a_run_beyond_a_limit_is_complete_but_not_published_however_often_it_is_asked_for(
    tmp_path: Path, run_of: RunOf
) -> None:
    root = tmp_path / "tables"
    limits = {"alerts": {"customers_change": {"stop": 0.5}}}
    first = whole(run_of(**limits))
    SHEET.written(tmp_path / "in" / "2.csv", orders(1000, range(60, 200), random.Random(8)))

    run = run_of(**limits)
    with pytest.raises(StoppedByAlertsError, match=r"not published: 200 customers, 60 in run .* Consumers read on run"):
        whole(run)
    after = versions(root)
    with pytest.raises(StoppedByAlertsError, match="despite_alerts"):
        whole(run_of())  # with other limits too

    assert versions(root) == after, "nothing was written by the second one"
    assert set(read(root, "customer_segments").run_id) == {first}
    assert read(root, "publications").run_id.tolist() == [first]
    runs = read(root, "pipeline_runs").set_index("run_id")
    assert runs.outcome.to_dict() == {first: "ok", run.run_id: "stop"}
    assert len(runs.alerts[first]) == 0
    stopping = {alert["name"]: alert for alert in runs.alerts[run.run_id] if alert["level"] == "stop"}
    assert stopping["customers_change"]["value"] == pytest.approx(0.7)
    assert stopping["customers_change"]["limit"] == 0.5
    assert (read(root, "customer_segments_history").run_id == run.run_id).sum() == 200
    with pytest.raises(StoppedByAlertsError, match="not published"):
        assign_segments(run_of())  # nor by the stage alone
    assert versions(root) == after

    despite = {"publishing": {"despite_alerts": True}}
    assert whole(run_of(**despite)) == run.run_id
    assert set(read(root, "customer_segments").run_id) == {run.run_id}


@pytest.mark.slow
def test_a_model_of_a_run_that_was_killed_serves_no_other_run(
    tmp_path: Path, run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("customer_segmentation.pipeline.assign_segments", killed)
        with pytest.raises(KeyboardInterrupt):
            whole(run_of())
    before = read(tmp_path / "tables", "model_runs")
    assert run_of().version_to_train == run_of().model_version == before.model_version[0]
    SHEET.written(tmp_path / "in" / "2.csv", orders(1000, range(60, 90), random.Random(8)))

    run = run_of()
    whole(run)

    models = read(tmp_path / "tables", "model_runs")
    assert len(models) == 2
    assert run.model_version not in set(before.model_version)
    profiles = read(tmp_path / "tables", "segment_profiles").query(f"run_id == '{run.run_id}'")
    assert sorted(profiles.segment_id) == [1, 2, 3], "no id is lost to it"
    later = run_of(AS_OF + timedelta(days=1))
    assert later.models.reusable_version == later.model_version == run.model_version


@pytest.mark.long
@pytest.mark.slow
def test_a_training_learns_of_all_purchases_also_after_a_run_as_of_an_earlier_date(run_of: RunOf) -> None:
    horizon_days = 10  # in which some of those bought who had bought before
    run = run_of()
    ingest_sources(run)
    build_features(run)
    warehouse, version = run.warehouse, run.warehouse.version(t.CUSTOMER_DAYS)
    build_features(run_of(AS_OF - timedelta(days=40)))

    trained = run_of(segments={"horizon_days": horizon_days})
    train_segments(trained)

    days = warehouse.read(t.CUSTOMER_DAYS, version=version).where("lines > 0")
    features = warehouse.rows(t.CUSTOMER_FEATURES, column="run_id", value=run.run_id)
    expected = purchase_rates(days, features, as_of=AS_OF, horizon_days=horizon_days)
    assert any(bought for *_, bought in expected.counts)
    model = trained.models.newest
    assert model is not None
    assert model.purchase_rates == json.loads(json.dumps(expected.to_dict()))


@pytest.mark.long
@pytest.mark.slow
def test_a_delivery_that_does_not_come_is_found_although_the_run_stays_the_same(tmp_path: Path, run_of: RunOf) -> None:
    def run_on(day: date, **sections: object) -> Run:
        run = run_of(None, alerts={"freshness_days": {"warn": 2, "stop": 7}}, **sections)
        run.started_at = datetime.combine(day, time_of_day(12), UTC)
        return run

    first = run_on(AS_OF)
    run_id, last_day = whole(first), first.as_of - timedelta(days=1)
    page = tmp_path / "tables" / "report.html"
    made = Made.by(first, "state", page)
    after = versions(tmp_path / "tables")
    assert made is not None
    assert made.holds(run_on(AS_OF), "state")
    assert not made.holds(run_on(AS_OF + timedelta(days=1)), "state")

    for days, level in ((2, None), (7, "warn")):
        run = run_on(last_day + timedelta(days=days))
        assert whole(run) == run_id
        assert [alert.level for alert in run.alerts or ()] == ([level] if level else [])
    for command in (whole, assign_segments):
        late = run_on(last_day + timedelta(days=8))
        with pytest.raises(
            StoppedByAlertsError, match=f"of {last_day}, 8 days before .* Consumers read on run {run_id}"
        ):
            command(late)
    assert whole(run_on(late.start_day, publishing={"despite_alerts": True})) == run_id
    assert versions(tmp_path / "tables") == after, "the run is the same, whatever the day"


@pytest.mark.slow
def test_who_was_overtaken_is_told_and_a_publication_is_recorded_once(
    spark: SparkSession, tmp_path: Path, run_of: RunOf
) -> None:
    warehouse, root = run_of().warehouse, tmp_path / "tables"
    runs = {"customer_id": ["a", "a"], "segment_id": [1, 1], "run_id": ["one", "two"], "as_of_date": [AS_OF, AS_OF]}
    rows = pd.DataFrame(runs)
    warehouse.overwrite(t.CUSTOMER_SEGMENTS_HISTORY, filled(spark, t.CUSTOMER_SEGMENTS_HISTORY, rows))
    publication = Publication(warehouse, "assign")

    publication.publish("one", instead_of=None)
    publication.publish("one", instead_of=None)  # after an end between the two commits
    with pytest.raises(PublishingError, match="two is not published: one was published while it was made"):
        publication.publish("two", instead_of="another")

    assert read(root, "customer_segments").run_id.tolist() == ["one"]
    assert read(root, "publications").run_id.tolist() == ["one"]
    publication.publish("two", instead_of="one")
    assert in_order(root) == [("one", "assign", None), ("two", "assign", "one")]


def in_order(root: Path) -> list[tuple[str, str, str | None]]:
    """The publications on record, the earliest first."""
    rows = read(root, "publications").sort_values("published_at")
    return list(zip(rows.run_id, rows.command, rows.previous_run_id, strict=True))


def filled(spark: SparkSession, table: t.Table, rows: pd.DataFrame) -> DataFrame:
    """The rows with nulls for all other columns of the table."""
    values = [tuple(row.get(name) for name in table.column_names) for row in rows.to_dict("records")]
    return spark.createDataFrame(values, table.ddl)
