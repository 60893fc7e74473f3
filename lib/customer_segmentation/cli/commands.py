"""What each command does, alone on the tables where it writes some."""

import json
from contextlib import nullcontext

import pyspark
from rich.console import Console

from customer_segmentation import stages
from customer_segmentation.claims import claimed_folder, claimed_tables, note_spark_of
from customer_segmentation.cli.options import Request
from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.log import log_to_stderr
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.progress import Progress
from customer_segmentation.result import CommandResult
from customer_segmentation.scratch import scratch_tables
from customer_segmentation.spark.prerequisites import spark_problem
from customer_segmentation.spark.session import get_session, is_on_this_machine
from customer_segmentation.stages import Run
from customer_segmentation.stages.check import check_sources
from customer_segmentation.stages.generate import generate_data
from customer_segmentation.stages.table_versions import TableVersions, made_by_run
from customer_segmentation.stages.unchanged import Made, state_found
from customer_segmentation.storage import local_root
from customer_segmentation.verification import TableFolder

_WRITING = {"run", "ingest", "features", "train", "assign", "backtest", "rollback", "erase", "maintain", "explore"}
"""Commands that write tables, so that one at a time is at work."""


def execute(request: Request, result: CommandResult) -> None:
    """Start a session and do the work of a command in a run.

    Args:
        request: what is asked for.
        result: gets the run and what it wrote.

    Raises:
        CustomerSegmentationError: whatever can be mended, see `contract.errors`.
    """
    problem = spark_problem(pyspark.__version__)
    if problem:
        raise CustomerSegmentationError(problem)
    command, config, progress = request.command, request.config, Progress(log=request.log)
    if request.log == "text" and not progress.console.is_terminal:
        log_to_stderr(command)

    def run_of_command() -> Run:
        spark = get_session(config.spark, record_classes=command == "run")
        result.run = Run(spark, config, progress, command=command)
        return result.run

    if command not in _WRITING:
        _work(request, run_of_command(), result)
        return
    folder, is_alone = local_root(config.tables), is_on_this_machine(config.spark)
    if folder is not None and not (is_alone or folder.is_dir()):
        folder = None  # of another machine
    with claimed_folder(folder, command):
        run = run_of_command()
        note_spark_of(folder, command)
        claimed = nullcontext() if is_alone and folder else claimed_tables(run.warehouse, run.claim, command)
        with claimed, scratch_tables(run.warehouse):
            versions = TableVersions(run)
            folders = versions.require_whole()
            if command == "run":
                _run_pipeline(run, versions, folders, result)
            else:
                _work(request, run, result)
                versions.record(command)


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
    console.print(f"Report: {result.report}", soft_wrap=True)


def _work(request: Request, run: Run, result: CommandResult) -> None:
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
            console.print(f"Report: {result.report}", soft_wrap=True)
        case "rollback":
            stages.roll_back(run, request.run_id)
            result.report = stages.write_report(run, console)
            console.print(f"Report: {result.report}", soft_wrap=True)
        case "maintain":
            stages.maintain(run)
        case "erase":
            receipt = stages.erase_customers(run, request.customers)
            if request.receipt is not None:
                request.receipt.write_text(json.dumps(receipt.to_dict(), indent=2) + "\n", encoding="utf-8")
            for line in receipt.describe():
                console.print(line, soft_wrap=True, highlight=False)
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


def _name_tables(run: Run, console: Console) -> None:
    console.print("Tables:")
    for table in run.warehouse.tables():
        console.print(f"  {run.warehouse.location(table)}", soft_wrap=True, highlight=False)
