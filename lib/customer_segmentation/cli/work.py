"""What each command does in its run."""

import json

from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation import stages
from customer_segmentation.cli.options import Request
from customer_segmentation.contract.tables import TRANSACTIONS
from customer_segmentation.ingest.paths import size_here
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.progress import Progress
from customer_segmentation.result import CommandResult
from customer_segmentation.scratch import scratch_tables
from customer_segmentation.spark.code_generation import code_made_for
from customer_segmentation.stages import Run
from customer_segmentation.stages.check import check_sources
from customer_segmentation.stages.generate import generate_data
from customer_segmentation.stages.table_versions import TableVersions, made_by_run
from customer_segmentation.stages.unchanged import Made, state_found
from customer_segmentation.verification import TableFolder


def begin(request: Request, spark: SparkSession, progress: Progress, result: CommandResult) -> Run:
    """The run of a command, which its result then knows."""
    result.run = Run(spark, request.config, progress, command=request.command)
    return result.run


def write(request: Request, run: Run, result: CommandResult) -> None:
    """Do what a command does that has the claim on the tables."""
    with scratch_tables(run.warehouse):
        versions = TableVersions(run)
        folders = versions.require_whole()
        with code_made_for(run.spark, _bytes_to_read(run, folders)):
            if request.command == "run":
                _run_pipeline(run, versions, folders, result)
            else:
                if request.command != "erase":
                    stages.finish_removal(run)
                work(request, run, result)
                versions.record(request.command)


def _bytes_to_read(run: Run, folders: dict[str, TableFolder]) -> int | None:
    """Size of the sources and of the order lines that were read before; None where some are not on this machine."""
    are_here = run.warehouse.folder is not None and run.config.sources is not None
    of_sources = size_here(run.sources) if are_here else None
    lines = folders.get(TRANSACTIONS.name)
    return None if of_sources is None else of_sources + (lines.bytes if lines else 0)


def _run_pipeline(run: Run, versions: TableVersions, folders: dict[str, TableFolder], result: CommandResult) -> None:
    """All of the pipeline; nothing where everything is as the last run left it."""
    console, found, recorded = Console(), state_found(run), versions.recorded()
    before = made_by_run(recorded)
    run.progress.expected = before.stage_seconds if before else {}
    if before is not None and before.holds(run, found) and versions.are_at(recorded, folders):
        result.report = before.tell(run)
    else:
        result.report = run_pipeline(run, console)
        versions.record("run", Made.by(run, found, result.report))
        _name_tables(run, console)
    _name_report(result, console)


def work(request: Request, run: Run, result: CommandResult) -> None:
    """Do what a command does, but for `run`."""
    console = Console()
    match request.command:
        case "ingest":
            stages.ingest_sources(run)
        case "features":
            if request.dates:
                stages.build_features_of_dates(run, request.dates)
            else:
                stages.build_features(run)
        case "train":
            stages.train_segments(run, retrain=True)
        case "assign":
            stages.assign_segments(run)
            _name_tables(run, console)
        case "backtest":
            stages.backtest_segments(run, console)
        case "report":
            result.report = stages.write_report(run, console)
            _name_report(result, console)
        case "export":
            assert request.audience is not None, "the command line asks for one"
            console.print(stages.export_audience(run, request.audience), soft_wrap=True, highlight=False)
        case "rollback":
            stages.roll_back(run, request.run_id)
            result.report = stages.write_report_if_possible(run, console)
            _name_report(result, console)
        case "maintain":
            stages.maintain(run)
        case "erase":
            receipt = stages.erase_customers(run, request.customers)
            for line in receipt.describe():
                console.print(line, soft_wrap=True, highlight=False)
            if request.receipt is not None:
                request.receipt.write_text(json.dumps(receipt.to_dict(), indent=2) + "\n", encoding="utf-8")
        case "generate":
            generate_data(run)
        case "explore":
            result.report = stages.explore_data(run, console)
            console.print(f"Page: {result.report}", soft_wrap=True)
        case "check" | "verify":
            lines = (
                check_sources(run)
                if request.command == "check"
                else stages.verify_tables(run, everyone=request.everyone)
            )
            for line in lines:
                console.print(line, soft_wrap=True, highlight=False)


def _name_report(result: CommandResult, console: Console) -> None:
    if result.report is not None:
        console.print(f"Report: {result.report}", soft_wrap=True)


def _name_tables(run: Run, console: Console) -> None:
    console.print("Tables:")
    for table in run.warehouse.tables():
        console.print(f"  {run.warehouse.location(table)}", soft_wrap=True, highlight=False)
