"""The command line: one command per job, the same for `spark-submit`, a scheduler and a person.

Exit codes: 0 done; 2 usage or configuration; 3 the data was rejected; 4 another run is at work; 1 anything else.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from typing import TYPE_CHECKING

from customer_segmentation import __version__
from customer_segmentation.config import Config, load_config
from customer_segmentation.config.as_of import as_of_dates, is_list_of_dates
from customer_segmentation.contract.errors import ConfigurationError, CustomerSegmentationError
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

_WRITING = {"run", "ingest", "features", "train", "assign", "backtest", "explore"}
"""Commands that write tables, so that one at a time is at work."""


def entry_point() -> None:
    """The console script."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        dates = _listed_dates(options.command, options.as_of)
        config = load_config(options.config, options.set, dates[-1].isoformat() if dates else options.as_of)
        _require_sources(config, options.command)
        with explaining_storage_errors(config.tables.root or "the tables"):
            _execute(options.command, config, dates, everyone=getattr(options, "all", False))
    except CustomerSegmentationError as error:
        if options.debug:
            raise
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; run the same command again to finish", file=sys.stderr)
        return 1
    except Exception as error:
        if options.debug:
            raise
        first_line = (str(error).strip().splitlines() or [""])[0]
        print(
            f"{PROGRAM}: {type(error).__name__}: {first_line}\nRun the command again with --debug for the whole story.",
            file=sys.stderr,
        )
        return 1
    return 0


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
        if name == "verify":
            command.add_argument("--all", action="store_true", help="build the state of all customers, not of a sample")
        command.add_argument("--debug", action="store_true", help="show stack traces")
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


def _require_sources(config: Config, command: str) -> None:
    """Find what is wrong with the sources before Spark starts."""
    if command in ("generate", "report", "verify"):
        return
    from customer_segmentation.ingest.paths import problems
    from customer_segmentation.spark.session import runs_locally

    sources = config.configured_sources
    if command in ("run", "ingest", "check", "explore") and runs_locally():
        missing = problems(sources)
        if missing:
            raise ConfigurationError("\n  - ".join(["the sources are not all there:", *missing]))


def _execute(command: str, config: Config, dates: Sequence[date], *, everyone: bool = False) -> None:
    """Start a session and do the work of a command in a run, alone on the tables if it writes some."""
    import pyspark
    from rich.console import Console

    from customer_segmentation.claims import claimed_folder, claimed_tables, note_spark_of
    from customer_segmentation.progress import log_to_stderr
    from customer_segmentation.spark.prerequisites import spark_problem
    from customer_segmentation.spark.session import get_session, is_on_this_machine
    from customer_segmentation.storage import local_root

    problem = spark_problem(pyspark.__version__)
    if problem:
        raise CustomerSegmentationError(problem)
    from customer_segmentation.stages import Run
    from customer_segmentation.stages.table_versions import TableVersions

    console = Console()
    if not console.is_terminal:
        log_to_stderr()
    if command not in _WRITING:
        _work(command, Run(get_session(config.spark), config, command=command), console, dates, everyone=everyone)
        return
    folder, is_alone = local_root(config.tables), is_on_this_machine(config.spark)
    if folder is not None and not (is_alone or folder.is_dir()):
        folder = None  # of another machine
    with claimed_folder(folder, command):
        run = Run(get_session(config.spark), config, command=command)
        note_spark_of(folder, command)
        with nullcontext() if is_alone and folder else claimed_tables(run.warehouse, run.claim, command):
            versions = TableVersions(run)
            versions.require_whole()
            _work(command, run, console, dates)
            versions.record(command)


def _work(command: str, run: "Run", console: "Console", dates: Sequence[date], *, everyone: bool = False) -> None:
    from customer_segmentation import stages
    from customer_segmentation.pipeline import run_pipeline
    from customer_segmentation.stages.check import check_sources
    from customer_segmentation.stages.generate import generate_data

    match command:
        case "run":
            path = run_pipeline(run, console)
            _name_tables(run, console)
            console.print(f"Report: {path}", soft_wrap=True)
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
            console.print(f"Report: {stages.write_report(run, console)}", soft_wrap=True)
        case "generate":
            generate_data(run)
        case "explore":
            console.print(f"Page: {stages.explore_data(run, console)}", soft_wrap=True)
        case "check" | "verify":
            lines = check_sources(run) if command == "check" else stages.verify_tables(run, everyone=everyone)
            for line in lines:
                console.print(line, soft_wrap=True, highlight=False)


def _name_tables(run: "Run", console: "Console") -> None:
    from customer_segmentation.contract.tables import ALL_TABLES, OPTIONAL_TABLES

    console.print("Tables:")
    for table in (*ALL_TABLES, *OPTIONAL_TABLES):
        if run.warehouse.exists(table):
            console.print(f"  {run.warehouse.location(table)}", soft_wrap=True, highlight=False)
