"""The command line: one command per job, the same for `spark-submit`, a scheduler and a person.

Exit codes: 0 done; 2 usage or configuration; 3 the data was rejected, or an alert stopped the run before it was
published; 4 another run is at work; 1 anything else.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from customer_segmentation import __version__
from customer_segmentation.config import Config, load_config
from customer_segmentation.config.as_of import as_of_dates, is_list_of_dates
from customer_segmentation.config.environment import require_environment
from customer_segmentation.contract.errors import ConfigurationError, CustomerSegmentationError
from customer_segmentation.log import LogFormat, log_error, log_to_stderr
from customer_segmentation.progress import Progress
from customer_segmentation.result import CommandResult
from customer_segmentation.storage_errors import explaining_storage_errors

if TYPE_CHECKING:
    from rich.console import Console

    from customer_segmentation.stages import Run

PROGRAM = "customer-segmentation"

COMMANDS = {
    "run": "all of it: ingest, features, train or reuse, assign, publish, report",
    "ingest": "sources to canonical tables; rejected rows to quarantine",
    "features": "canonical tables to one row per customer",
    "train": "choose, fit, evaluate and register a model",
    "assign": "score every customer with a registered model and publish",
    "backtest": "fit at dates of the past, judge on what the customers did after them",
    "report": "the HTML report of the published run",
    "rollback": "publish an earlier run again",
    "maintain": "old runs and models expire, files are compacted and vacuumed",
    "erase": "customers leave every table for good, with a receipt",
    "generate": "synthetic transactions at any size, with known segments, seeded",
    "explore": "a profile of the data before anything is modelled",
    "check": "validate configuration and sources, run nothing",
    "verify": "compare the published tables with the log of runs, a build from scratch and their files; change nothing",
}
_AS_OF_HELP = "only what happened before this date enters"
_LIST_HELP = {
    "features": "; several dates as 2017-07-01,2017-08-01 or, monthly, as 2017-01-01..2017-12-01 are computed at once"
}
"""Commands that take several dates."""

_WRITING = {"run", "ingest", "features", "train", "assign", "backtest", "rollback", "erase", "maintain", "explore"}
"""Commands that write tables, so that one at a time is at work."""


@dataclass(frozen=True)
class Erasure:
    """What `erase` is told: who is to be erased, and the file that the receipt goes to."""

    customers: Sequence[str]
    receipt: Path | None


def entry_point() -> None:
    """The console script."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    options = _parser().parse_args(arguments)
    if options.log == "json":
        log_to_stderr(options.command, "json")
    result = CommandResult(options.command, options.result)
    try:
        result.begin()
        dates = _listed_dates(options.command, options.as_of)
        config = load_config(options.config, options.set, dates[-1].isoformat() if dates else options.as_of)
        _require_sources(config, options.command)
        erasure = _erasure(options) if options.command == "erase" else None
        with explaining_storage_errors(config.tables.root or "the tables"):
            _execute(options, config, dates, result, erasure)
    except (Exception, KeyboardInterrupt) as error:
        exit_code, message, hint = _explained(error)
        _end(result, exit_code, options.log, error, message)
        is_debugged = options.debug and not isinstance(error, KeyboardInterrupt)
        if is_debugged and options.log == "text":
            raise
        _tell(message if is_debugged else message + hint, options.log, stack_trace=is_debugged)
        return exit_code
    return _end(result, 0, options.log)


def _explained(error: BaseException) -> tuple[int, str, str]:
    """The exit code of an error, what people are told of it, and what they can do to know more."""
    if isinstance(error, CustomerSegmentationError):
        return error.exit_code, str(error), ""
    if isinstance(error, KeyboardInterrupt):
        return 1, "stopped; run the same command again to finish", ""
    first_line, *others = str(error).strip().splitlines() or [""]
    cause = others[0] if others and others[0].startswith(": ") else ""  # of an error in Spark's virtual machine
    return (
        1,
        f"{type(error).__name__}: {first_line}{cause}",
        "\nRun the command again with --debug for the whole story.",
    )


def _end(
    result: CommandResult, exit_code: int, log: LogFormat, error: BaseException | None = None, message: str = ""
) -> int:
    """Write how the command ended; the exit code, which is an error's where that can't be written."""
    try:
        result.end(exit_code, error, message)
    except CustomerSegmentationError as problem:
        _tell(str(problem), log)
        return exit_code or problem.exit_code
    return exit_code


def _tell(message: str, log: LogFormat, *, stack_trace: bool = False) -> None:
    if log == "json":
        log_error(message, stack_trace=stack_trace)
    else:
        print(f"{PROGRAM}: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Customer segmentation on Spark.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does in COMMANDS.items():
        command = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False)
        command.add_argument(
            "--config", action="append", required=True, metavar="FILE", help="YAML file; given again, later ones win"
        )
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, such as clustering.k=6"
        )
        command.add_argument("--as-of", metavar="YYYY-MM-DD", help=_AS_OF_HELP + _LIST_HELP.get(name, ""))
        if name == "rollback":
            command.add_argument(
                "--run",
                metavar="RUN_ID",
                help="the run to publish; by default the one published before the current one",
            )
        command.add_argument(
            "--log", choices=["text", "json"], default="text", help="what standard error has: lines to read, or of JSON"
        )
        command.add_argument(
            "--result", type=Path, metavar="FILE", help="write what the command did to FILE, as one JSON document"
        )
        if name == "verify":
            command.add_argument("--all", action="store_true", help="build the state of all customers, not of a sample")
        command.add_argument("--debug", action="store_true", help="show stack traces")
        if name == "erase":
            command.add_argument("--customer", action="append", default=[], metavar="ID", help="once for each of them")
            command.add_argument("--customers-file", type=Path, metavar="FILE", help="one customer a line")
            command.add_argument("--receipt", type=Path, metavar="FILE", help="the receipt goes there too, as JSON")
    return parser


def _listed_dates(command: str, text: str | None) -> list[date]:
    """The dates where several are given; none where a single one is, or the configuration's counts.

    Raises:
        ConfigurationError: the command takes a single one, or one of them is none.
    """
    if text is None or not is_list_of_dates(text):
        return []
    if command not in _LIST_HELP:
        raise ConfigurationError(
            f"--as-of {text:.60}: `{command}` takes a single date such as 2017-07-01; several are for "
            f"{', '.join(f'`{name}`' for name in _LIST_HELP)}"
        )
    return as_of_dates(text)


def _erasure(options: argparse.Namespace) -> Erasure:
    """Who is to be erased, and where the receipt goes; no message names anybody.

    Raises:
        ConfigurationError: a file can't be read or written.
    """
    customers, file, receipt = list(options.customer), options.customers_file, options.receipt
    if file is not None:
        try:
            customers += file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigurationError(f"--customers-file {file} can't be read: {reason}") from None
    if receipt is not None and not receipt.absolute().parent.is_dir():
        raise ConfigurationError(f"--receipt {receipt}: there is no such folder")
    customers = [customer for customer in customers if customer.strip()]
    if file is not None and not customers:
        raise ConfigurationError(f"--customers-file {file} names nobody")
    return Erasure(customers, receipt)


def _require_sources(config: Config, command: str) -> None:
    """Find what is wrong with the sources, and which variables of the environment are missing, before Spark starts."""
    reads_sources = command in ("run", "ingest", "check", "explore")
    require_environment(config, sources=reads_sources)
    if command in ("generate", "report", "verify"):
        return
    from customer_segmentation.ingest.paths import problems
    from customer_segmentation.spark.session import runs_locally

    sources = config.configured_sources
    if reads_sources and runs_locally():
        missing = problems(sources)
        if missing:
            raise ConfigurationError("\n  - ".join(["the sources are not all there:", *missing]))


def _execute(
    options: argparse.Namespace, config: Config, dates: Sequence[date], result: CommandResult, erasure: Erasure | None
) -> None:
    """Start a session and do the work of a command in a run, alone on the tables if it writes some."""
    import pyspark
    from rich.console import Console

    from customer_segmentation.claims import claimed_folder, claimed_tables, note_spark_of
    from customer_segmentation.spark.prerequisites import spark_problem
    from customer_segmentation.spark.session import get_session, is_on_this_machine
    from customer_segmentation.storage import local_root

    problem = spark_problem(pyspark.__version__)
    if problem:
        raise CustomerSegmentationError(problem)
    from customer_segmentation.stages import Run
    from customer_segmentation.stages.table_versions import TableVersions

    command, progress = options.command, Progress(log=options.log)
    if options.log == "text" and not progress.console.is_terminal:
        log_to_stderr(command)

    def run_of_command() -> Run:
        result.run = Run(get_session(config.spark), config, progress, command=command)
        return result.run

    if command not in _WRITING:
        _work(options, run_of_command(), Console(), dates, result, erasure)
        return
    folder, is_alone = local_root(config.tables), is_on_this_machine(config.spark)
    if folder is not None and not (is_alone or folder.is_dir()):
        folder = None  # of another machine
    with claimed_folder(folder, command):
        run = run_of_command()
        note_spark_of(folder, command)
        with nullcontext() if is_alone and folder else claimed_tables(run.warehouse, run.claim, command):
            versions = TableVersions(run)
            versions.require_whole()
            _work(options, run, Console(), dates, result, erasure)
            versions.record(command)


def _work(
    options: argparse.Namespace,
    run: "Run",
    console: "Console",
    dates: Sequence[date],
    result: CommandResult,
    erasure: Erasure | None,
) -> None:
    from customer_segmentation import stages
    from customer_segmentation.pipeline import run_pipeline
    from customer_segmentation.stages.check import check_sources
    from customer_segmentation.stages.generate import generate_data

    match options.command:
        case "run":
            result.report = run_pipeline(run, console)
            _name_tables(run, console)
            console.print(f"Report: {result.report}", soft_wrap=True)
        case "ingest":
            stages.ingest_sources(run)
        case "features":
            if dates:
                stages.build_features_of_dates(run, dates)
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
            stages.roll_back(run, options.run)
            result.report = stages.write_report(run, console)
            console.print(f"Report: {result.report}", soft_wrap=True)
        case "maintain":
            stages.maintain(run)
        case "erase":
            assert erasure is not None, "made of the command's own options"
            receipt = stages.erase_customers(run, erasure.customers)
            if erasure.receipt is not None:
                erasure.receipt.write_text(json.dumps(receipt.to_dict(), indent=2) + "\n", encoding="utf-8")
            for line in receipt.describe():
                console.print(line, soft_wrap=True, highlight=False)
        case "generate":
            generate_data(run)
        case "explore":
            result.report = stages.explore_data(run, console)
            console.print(f"Page: {result.report}", soft_wrap=True)
        case "check" | "verify":
            lines = (
                check_sources(run) if options.command == "check" else stages.verify_tables(run, everyone=options.all)
            )
            for line in lines:
                console.print(line, soft_wrap=True, highlight=False)


def _name_tables(run: "Run", console: "Console") -> None:
    from customer_segmentation.contract.tables import ALL_TABLES, OPTIONAL_TABLES

    console.print("Tables:")
    for table in (*ALL_TABLES, *OPTIONAL_TABLES):
        if run.warehouse.exists(table):
            console.print(f"  {run.warehouse.location(table)}", soft_wrap=True, highlight=False)
