"""What is on record of publications where a command is killed between its commit and its record."""

import time
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract import tables as t
from customer_segmentation.stages.publication import Publication
from customer_segmentation.storage import Warehouse
from tests.generated import quiet
from tests.pipeline.test_runs import filled
from tests.warehouse import read

RUNS = ["R0", "R1", "R2"]


class Shop:
    """Runs of one customer each, which are complete."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self._root = root
        self._run = quiet(spark, Config.model_validate({"tables": {"root": str(root)}}))
        rows = pd.DataFrame({"customer_id": "a", "segment_id": 1, "run_id": RUNS, "as_of_date": date(2024, 3, 10)})
        self.warehouse.overwrite(t.CUSTOMER_SEGMENTS_HISTORY, filled(spark, t.CUSTOMER_SEGMENTS_HISTORY, rows))

    @property
    def warehouse(self) -> Warehouse:
        """The tables as a new process has them."""
        return Warehouse(self._run.spark, self._run.config.tables)

    def by(self, command: str) -> Publication:
        return Publication(self.warehouse, command, f"settings of {command}")

    def publish(self, run_id: str, command: str = "run") -> None:
        publication = self.by(command)
        publication.publish(run_id, instead_of=publication.current_run_id())

    def publish_and_be_killed(self, run_id: str) -> None:
        """Publish a run without its record."""
        rows = self.warehouse.rows(t.CUSTOMER_SEGMENTS_HISTORY, column="run_id", value=run_id)
        self.warehouse.overwrite(t.CUSTOMER_SEGMENTS, rows)

    def recorded(self) -> list[tuple[str, str | None, str | None]]:
        """Run, command and run before of each publication, the oldest first."""
        rows = read(self._root, "publications").sort_values("published_at").astype(object)
        columns = rows[["run_id", "command", "previous_run_id"]]
        return [tuple(row) for row in columns.where(columns.notna(), None).itertuples(index=False)]


class SetBack(datetime):
    """A clock that was hours ahead when the tables were last written."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "SetBack":
        return cls.fromtimestamp(time.time() - 36_000, tz)


@pytest.fixture
def shop(spark: SparkSession, tmp_path: Path) -> Shop:
    shop = Shop(spark, tmp_path)
    shop.publish("R0")
    return shop


def test_a_run_that_was_killed_before_its_record_is_recorded_by_the_next_one(shop: Shop) -> None:
    shop.publish_and_be_killed("R1")
    assert shop.by("rollback").before_current() == "R0"
    assert not shop.by("run").was_taken_back("R0")

    shop.publish("R2")

    assert shop.recorded() == [("R0", "run", None), ("R1", None, "R0"), ("R2", "run", "R1")]
    assert shop.by("rollback").before_current() == "R1"


@pytest.mark.slow
def test_a_run_that_is_repeated_after_it_was_killed_is_recorded_as_its_own(shop: Shop) -> None:
    shop.publish_and_be_killed("R1")

    shop.publish("R1")
    shop.publish("R1")

    assert shop.recorded() == [("R0", "run", None), ("R1", "run", "R0")]


@pytest.mark.slow
def test_a_first_publication_that_was_killed_before_its_record_is_recorded(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path)
    shop.publish_and_be_killed("R0")

    shop.publish("R1")

    assert shop.recorded() == [("R0", None, None), ("R1", "run", "R0")]
    assert shop.by("rollback").before_current() == "R0"


@pytest.mark.slow
def test_the_model_of_the_run_that_consumers_read_serves_though_it_was_killed_before_its_record(
    spark: SparkSession, tmp_path: Path
) -> None:
    as_of, run_id = date(2024, 3, 10), "R0"
    run = quiet(spark, Config.model_validate({"as_of": as_of, "tables": {"root": str(tmp_path)}}))
    model = {"model_version": "M", "trained_as_of": as_of - timedelta(days=1), "command": "run"}
    run.warehouse.append_rows(t.MODEL_RUNS, [{**model, "configuration": run.models.settings}])
    made = {"run_id": run_id, "as_of_date": as_of, "model_version": "M", "status": "complete"}
    run.warehouse.append_rows(t.PIPELINE_RUNS, [made])
    assert run.models.incumbent_version is None

    Shop(spark, tmp_path).publish_and_be_killed(run_id)

    assert quiet(spark, run.config).models.incumbent_version == "M"


@pytest.mark.slow
def test_publications_are_in_order_also_where_a_clock_that_ran_ahead_was_put_right(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("customer_segmentation.clock.datetime", SetBack)

    shop.publish("R1")
    shop.publish("R2")

    assert [run_id for run_id, _, _ in shop.recorded()] == RUNS


@pytest.mark.slow
def test_a_rollback_that_is_repeated_stays_where_it_went_and_never_goes_to_what_was_taken_back(shop: Shop) -> None:
    shop.publish("R1")
    shop.publish("R2")
    shop.publish("R1", "rollback")

    assert shop.by("rollback").before_current() == "R1"
    shop.publish("R1", "rollback")
    assert shop.by("run").was_taken_back("R2")
    assert shop.recorded()[-1] == ("R1", "rollback", "R2")


@pytest.mark.slow
def test_a_rollback_that_was_killed_before_its_record_lasts(shop: Shop) -> None:
    shop.publish("R1")
    shop.publish("R2")
    shop.publish_and_be_killed("R0")

    assert shop.by("run").was_taken_back("R2"), "the next schedule does not publish it again"
    assert shop.by("rollback").before_current() == "R0", "the same command again goes no further back"
    shop.publish("R0", "rollback")

    assert shop.recorded()[-1] == ("R0", "rollback", "R2")
    assert shop.by("run").was_taken_back("R2")
    shop.publish_and_be_killed("R1")
    shop.publish("R2", "rollback")
    assert shop.recorded()[-2:] == [("R1", "rollback", "R0"), ("R2", "rollback", "R1")]
    assert not shop.by("run").was_taken_back("R2")
