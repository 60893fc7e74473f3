"""A run that finds everything as the last one left it says so and ends; whatever is changed is noticed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from customer_segmentation.cli import main
from customer_segmentation.config.schema import Config
from customer_segmentation.stages.unchanged import Made, state_found
from tests.csv_lines import COLUMNS, SHEET, orders_of_two_kinds
from tests.generated import quiet
from tests.readers import assert_all_read_what_spark_reads
from tests.verification.damage import commits


class Shop:
    """A shop in a folder, whose runs tell what they did."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "tables"

    def settings(self) -> dict[str, object]:
        return {
            "sources": {"transactions": {"format": "csv", "path": str(self.folder / "in"), "columns": COLUMNS}},
            "clustering": {"k": 2, "features": ["recency_days", "frequency", "monetary"]},
            "tables": {"root": str(self.root)},
        }

    def command(self, command: str = "run", *settings: str) -> list[str]:
        """The stages of a command, which ends well."""
        path, result = self.folder / "conf.yml", self.folder / "result.json"
        path.write_text(yaml.safe_dump(self.settings()))
        given = [part for setting in settings for part in ("--set", setting)]
        assert main([command, "--config", str(path), "--result", str(result), *given]) == 0
        self.result = json.loads(result.read_text())
        return [stage["name"] for stage in self.result["stages"]]

    def versions(self) -> dict[str, int]:
        """The commits of each table."""
        return {log.parent.name: len(commits(log.parent)) for log in self.root.glob("*/_delta_log")}


NOTHING_NEW = ["publish"]


@pytest.mark.long
@pytest.mark.slow
def test_a_run_ends_at_once_where_nothing_is_new_and_not_where_something_is(
    spark: SparkSession, tmp_path: Path
) -> None:
    shop = Shop(tmp_path)
    SHEET.written(tmp_path / "in" / "1.csv", orders_of_two_kinds(range(40)))
    assert "train" in shop.command()
    first, versions = shop.result, shop.versions()

    assert shop.command() == NOTHING_NEW
    assert shop.versions() == versions, "not even a record is written"
    same = ("run_id", "as_of_date", "model_version", "outcome", "alerts", "published_run_id", "counts", "report")
    assert {name: shop.result[name] for name in same} == {name: first[name] for name in same}
    assert_all_read_what_spark_reads(spark, shop.root)

    page = Path(first["report"])
    page.unlink()
    assert "report" in shop.command()
    assert page.is_file()
    assert shop.command() == NOTHING_NEW
    assert "report" in shop.command("run", "report.title=Another")

    SHEET.written(tmp_path / "in" / "2.csv", orders_of_two_kinds(range(100, 103)))
    assert "features" in shop.command()
    assert shop.result["run_id"] != first["run_id"]
    shop.command("rollback")
    for why in ("the tables are others than those that the run left", "consumers don't read what this run made"):
        assert "ingest" in shop.command(), why
        assert shop.result["published_run_id"] == first["run_id"], "what was taken back stays so"


def test_what_a_source_does_not_show_is_no_state(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    SHEET.written(tmp_path / "in" / "1.csv", orders_of_two_kinds(range(4)))
    config = Config.model_validate(shop.settings())
    found = state_found(quiet(spark, config))
    assert found is not None
    assert found == state_found(quiet(spark, config))
    assert found != state_found(quiet(spark, config.model_copy(update={"seed": 7})))
    SHEET.written(tmp_path / "in" / "1.csv", orders_of_two_kinds(range(5)))
    assert found != state_found(quiet(spark, config))

    database = shop.settings()
    options = {"url": "jdbc:postgresql://nowhere/shop"}
    database["sources"] = {"transactions": {"format": "jdbc", "table": "lines", "options": options, "columns": COLUMNS}}
    assert state_found(quiet(spark, Config.model_validate(database))) is None
    reload = Config.model_validate(shop.settings() | {"ingest": {"reload": True}})
    assert state_found(quiet(spark, reload)) is None


def test_what_was_made_holds_for_its_state_its_day_and_while_its_report_is_there(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = quiet(spark, Config.model_validate(Shop(tmp_path).settings()))
    page = tmp_path / "report.html"
    page.touch()
    made = Made("abc", None, "20240310-1", "2024-03-10", "kmeans-1", str(page), [], {"train": 2.5})
    assert Made.from_json(made.to_json()) == made
    assert made.holds(run, "abc")
    assert not made.holds(run, "abd")
    assert not made.holds(run, None)
    assert replace(made, day=run.start_day.isoformat()).holds(run, "abc")
    assert not replace(made, day="2024-03-11").holds(run, "abc"), "lines that wait for their day may have come of age"
    page.unlink()
    assert not made.holds(run, "abc")
