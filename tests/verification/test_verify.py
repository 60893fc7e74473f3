"""Tables that differ from the log of runs, each other or a build from scratch are named; whole ones are not."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract.errors import ConfigurationError, StorageError, VerificationError
from customer_segmentation.contract.tables import (
    CUSTOMER_SEGMENTS,
    CUSTOMER_SEGMENTS_HISTORY,
    ERASURES,
    PIPELINE_RUNS,
    TRANSACTIONS,
)
from customer_segmentation.stages import Run, roll_back, verify_tables
from customer_segmentation.stages.ingest.batch_log import STAGED, read_log
from customer_segmentation.stages.table_versions import TableVersions
from customer_segmentation.verification import TableFolder
from tests.generated import configured, quiet
from tests.pipeline.test_runs import filled
from tests.readers import assert_all_read_what_spark_reads
from tests.verification.damage import commits, remove, side_file
from tests.warehouse import read


@pytest.fixture
def run(spark: SparkSession, generated: Path, tmp_path: Path) -> Run:
    """A run of the generated shop, over a copy of its tables."""
    config = configured(generated, "tables")
    root = shutil.copytree(generated / "tables", tmp_path / "tables")
    return quiet(spark, config.model_copy(update={"tables": config.tables.model_copy(update={"root": str(root)})}))


def root_of(run: Run) -> Path:
    return Path(str(run.config.tables.root))


def findings_of(run: Run) -> list[str]:
    with pytest.raises(VerificationError) as raised:
        verify_tables(run)
    return str(raised.value).splitlines()[1:]


def test_every_reader_gives_the_published_segments_as_spark_does(spark: SparkSession, generated: Path) -> None:
    assert len(assert_all_read_what_spark_reads(spark, generated / "tables")) > 100


@pytest.mark.slow
def test_whole_tables_have_no_findings_and_stay_as_they_are(run: Run) -> None:
    root = root_of(run)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}

    done = verify_tables(run, everyone=True)

    assert [line.partition(":")[0] for line in done] == ["files", "rows", "publication", "state"]
    customers = len(set(read(root, "transactions").customer_id))
    assert f"state: {customers} customers compared with a build from scratch" in done
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


TAMPERED: dict[str, tuple[Callable[[DeltaTable], object], str]] = {
    "customer_segments": (
        lambda table: table.update({"segment_name": "'Somebody'"}, predicate="rank_in_segment = 1"),
        "customer_segments: rows of run",
    ),
    "segment_profiles": (
        lambda table: table.update({"revenue": "revenue + 1"}, predicate="segment_id = 1"),
        "segment_profiles: run",
    ),
    "segment_transitions": (
        lambda table: table.update({"customers": "customers + 1"}, predicate="to_segment_id = 1"),
        "segment_transitions: run",
    ),
    "pipeline_runs": (lambda table: table.update({"revenue": "revenue - 1"}), "pipeline_runs: run"),
    "model_runs": (lambda table: table.delete(), "model_runs: model"),
    "transactions": (lambda table: table.delete("channel = 'web'"), "transactions: rows: expected"),
    "customer_days": (
        lambda table: table.update({"net": "net + 1"}, predicate="orders = 2"),
        "customer_days: rows of the sample",
    ),
    "customer_history": (
        lambda table: table.update({"gap_logs": "gap_logs + 0.001"}, predicate="days = 3"),
        "customer_history: rows of the sample",
    ),
    "returns": (lambda table: table.update({"amount": "amount + 1"}), "returns: rows of the sample"),
}


@pytest.mark.slow
def test_what_was_tampered_with_is_named_table_by_table(run: Run) -> None:
    root = root_of(run)
    for name, (tamper, _) in TAMPERED.items():
        if name != "transactions":  # else all that is made of them would be other as well
            tamper(DeltaTable(root / name))

    findings = findings_of(run)

    for name, (_, expected) in TAMPERED.items():
        if name != "transactions":
            assert any(f"- {expected}" in finding for finding in findings), (name, findings)
    assert not any(str(customer) in finding for finding in findings for customer in read(root, "customers").customer_id)


@pytest.mark.long
@pytest.mark.slow
def test_customers_who_came_back_with_a_backup_and_were_erased_again_are_no_finding(run: Run) -> None:
    root = root_of(run)
    published = read(root, "customer_segments")
    first, second = published.customer_id.iloc[:2]
    receipts = [{"receipt_id": name, "status": "committed", "rows_by_run": {published.run_id[0]: 2}} for name in "ab"]
    run.warehouse.append_rows(ERASURES, receipts)
    for name in ("customer_segments", "customer_segments_history", "customer_features"):
        DeltaTable(root / name).delete(f"customer_id IN ('{first}', '{second}')")

    assert len(verify_tables(run)) == 4

    DeltaTable(root / "customer_segments_history").delete("rank_in_segment = 1")
    assert any("- customer_segments_history: run" in finding for finding in findings_of(run))


@pytest.mark.long
@pytest.mark.slow
def test_a_row_twice_and_a_line_less_are_named(run: Run) -> None:
    root = root_of(run)
    table = DeltaTable(root / "value_models")
    write_deltalake(table, table.to_pyarrow_table(), mode="append")
    tamper, expected = TAMPERED["transactions"]
    tamper(DeltaTable(root / "transactions"))

    findings = findings_of(run)
    assert any(f"- {expected}" in finding for finding in findings), findings
    assert any("value_models: key made_from: expected 2 different ones" in finding for finding in findings), findings


@pytest.mark.slow
def test_tables_older_than_on_record_are_refused_unless_they_are_others(run: Run) -> None:
    root, versions = root_of(run), TableVersions(run)
    versions.record("run")
    versions.require_whole()
    recorded = read(root, "table_versions").set_index("table_name")
    assert recorded.version["transactions"] == DeltaTable(root / "transactions").version()
    assert recorded.table_id["transactions"] == DeltaTable(root / "transactions").metadata().id
    newest = commits(root / "ingest_batches")[-1]
    for path in (newest, side_file(newest), newest.with_suffix(".crc"), side_file(newest.with_suffix(".crc"))):
        path.unlink(missing_ok=True)

    with pytest.raises(StorageError) as refused:
        versions.require_whole()

    assert f"ingest_batches: {newest}: expected version {recorded.version['ingest_batches']}" in str(refused.value)
    assert str(refused.value).count("expected") == 1
    remove(root / "table_versions")
    versions.require_whole()
    versions.record("run")
    remove(root / "returns")
    versions.require_whole()  # the next run makes it anew
    remove(root / "model_runs")
    with pytest.raises(StorageError, match=r"model_runs: .*expected a table of version 0, found none"):
        versions.require_whole()


@pytest.mark.long
@pytest.mark.slow
def test_a_command_that_ends_meanwhile_is_no_finding(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    examined = TableVersions.folders

    def ending(self: TableVersions, *, every_byte: bool = False) -> dict[str, TableFolder]:
        folders = examined(self, every_byte=every_byte)
        if every_byte:
            for table in (CUSTOMER_SEGMENTS, TRANSACTIONS):
                run.warehouse.set_properties(table, {"delta.logRetentionDuration": "interval 60 days"})
            TableVersions(run).record("maintain")
        return folders

    monkeypatch.setattr(TableVersions, "folders", ending)

    assert len(verify_tables(run)) == 4

    DeltaTable(root_of(run) / "model_runs").delete()
    first, *_, last = findings_of(run)
    assert "model_runs: model" in first
    assert "at work meanwhile and wrote customer_segments, table_versions, transactions: what is named" in last


@pytest.mark.long
@pytest.mark.slow
def test_an_ingest_and_an_erasure_that_are_at_work_or_were_killed_are_no_finding(run: Run) -> None:
    log = read_log(run)
    assert log.committed is not None
    log.record(replace(log.committed, number=log.next_number, status=STAGED))
    DeltaTable(root_of(run) / "transactions").delete("channel = 'web'")
    run_id = read(root_of(run), "customer_segments").run_id[0]
    run.warehouse.append_rows(
        ERASURES, [{"receipt_id": "a", "status": "planned", "rows_by_run": {run_id: 99}, "recorded_at": run.started_at}]
    )
    DeltaTable(root_of(run) / "customer_segments").delete("rank_in_segment = 1")  # others have them still

    done = verify_tables(run)

    assert done[-1] == (
        "state: not compared with a build from scratch: an ingest is at work, or ended midway; the next one goes on"
    )


@pytest.mark.long
@pytest.mark.slow
def test_maintenance_and_clones_are_no_finding(run: Run) -> None:
    root, versions = root_of(run), TableVersions(run)
    versions.record("run")
    table = root / "transactions"
    run.spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ('x' = 'y')")
    run.spark.sql(f"OPTIMIZE delta.`{table}`")
    run.spark.sql(f"VACUUM delta.`{table}`")
    versions.require_whole()
    versions.record("maintain")
    shutil.move(table, root / "moved")
    run.spark.sql(f"CREATE TABLE delta.`{table}` SHALLOW CLONE delta.`{root / 'moved'}`")
    assert DeltaTable(table).version() < read(root, "table_versions").set_index("table_name").version["transactions"]

    versions.require_whole()


@pytest.mark.slow
def test_a_rollback_that_was_killed_is_named_with_what_takes_it_back_and_what_ends_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    run = quiet(spark, Config.model_validate({"tables": {"root": str(tmp_path)}}))
    made = pd.DataFrame({"run_id": ["first", "second"], "as_of_date": date(2024, 3, 10), "segment_id": 1})
    history = filled(spark, CUSTOMER_SEGMENTS_HISTORY, made.assign(customer_id="a"))
    run.warehouse.overwrite(CUSTOMER_SEGMENTS_HISTORY, history)
    complete = {"status": "complete", "customers": 1, "customers_segmented": 1, "segments": 1}
    run.warehouse.append_rows(PIPELINE_RUNS, [row | complete for row in made.to_dict("records")])
    for run_id, before in (("first", None), ("second", "first")):
        run.publication.publish(run_id, instead_of=before)

    for remedy in ("second", "first"):
        run.warehouse.overwrite(CUSTOMER_SEGMENTS, history.where("run_id = 'first'"))
        (finding,) = findings_of(run)
        assert "customer_segments: run_id: expected run second, the newest of publications, found run first" in finding
        assert re.findall(r"`rollback --run (\w+)`", finding) == ["second", "first"]

        assert roll_back(Run(spark, run.config, run.progress, command="rollback"), remedy) == remedy

        assert any(line.startswith(f"publication: customer_segments is run {remedy}, ") for line in verify_tables(run))


def test_where_there_are_no_tables_the_command_to_run_is_named(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there are no tables yet; run `customer-segmentation run` first"):
        verify_tables(quiet(spark, configured(tmp_path, "nothing")))
