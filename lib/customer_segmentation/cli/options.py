"""What the command line asks for: commands and their options, checked before Spark starts."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from customer_segmentation import __version__
from customer_segmentation.config import Config, load_config
from customer_segmentation.config.as_of import as_of_dates, is_list_of_dates
from customer_segmentation.config.audience import Audience, FileFormat
from customer_segmentation.config.environment import require_environment
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.log import LogFormat

PROGRAM = "customer-segmentation"

COMMANDS = {
    "run": "all of it: ingest, features, train or reuse, assign, publish, report",
    "ingest": "sources to canonical tables; rejected rows to quarantine",
    "features": "canonical tables to one row per customer",
    "train": "choose, fit, evaluate and register a model",
    "assign": "score every customer with a registered model and publish",
    "backtest": "fit at dates of the past, evaluate by what the customers did after them",
    "report": "the HTML report of the published run",
    "export": "an audience, customers of the published run, as CSV or Parquet for a marketing tool",
    "rollback": "publish an earlier run again",
    "maintain": "old runs and models expire, files are compacted and vacuumed",
    "erase": "customers leave every table for good, with a receipt",
    "generate": "synthetic transactions at any size, with known segments, seeded",
    "explore": "a profile of the data before anything is modelled",
    "check": "validate configuration and sources, run nothing",
    "verify": "compare the published tables with the log of runs, a build from scratch and their files; change nothing",
}
_AS_OF_HELP = "the as-of date: only what happened before this day is used; by default the day after the last order"
_LIST_HELP = {
    "features": "; several dates as 2017-07-01,2017-08-01 or, monthly, as 2017-01-01..2017-12-01 are computed at once"
}
"""Commands that take several dates."""
_EXIT_CODES = (
    "Exit codes: 0 done; 2 usage or configuration; 3 the data was rejected, or an alert stopped the run before it was "
    "published; 4 another run is at work; 1 anything else."
)


@dataclass(frozen=True)
class Request:
    """What a command is asked to do.

    command: its name.
    config: the configuration.
    log: how the log is written.
    dates: of `features`, where several are given.
    run_id: of `rollback`, the run to publish; None for the one before.
    customers, receipt: of `erase`, who is to be erased, and the file that the receipt goes to.
    everyone: of `verify`, whether the state of all customers is built, not that of a sample.
    audience: of `export`, which customers go to which file.
    """

    command: str
    config: Config
    log: LogFormat
    dates: Sequence[date] = ()
    run_id: str | None = None
    customers: Sequence[str] = ()
    receipt: Path | None = None
    everyone: bool = False
    audience: Audience | None = None


def requested(options: argparse.Namespace) -> Request:
    """What the options ask for.

    Raises:
        ConfigurationError: options, configuration, environment or files are not as they have to be.
    """
    dates = _listed_dates(options.command, options.as_of)
    config = load_config(options.config, options.set, dates[-1].isoformat() if dates else options.as_of)
    _require_sources(config, options.command)
    _require_mlflow(config)
    customers, receipt = _erasure(options) if options.command == "erase" else ((), None)
    return Request(
        options.command,
        config,
        options.log,
        dates,
        run_id=getattr(options, "run", None),
        customers=customers,
        receipt=receipt,
        everyone=getattr(options, "all", False),
        audience=_audience(options) if options.command == "export" else None,
    )


def parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    whole = argparse.ArgumentParser(
        prog=PROGRAM, description="Customer segmentation on Spark.", epilog=_EXIT_CODES, allow_abbrev=False
    )
    whole.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does in COMMANDS.items():
        command = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False)
        command.add_argument(
            "--config", action="append", required=True, metavar="FILE", help="YAML file; given again, later ones win"
        )
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="one setting, such as clustering.k=6; repeat for several",
        )
        command.add_argument("--as-of", metavar="YYYY-MM-DD", help=_AS_OF_HELP + _LIST_HELP.get(name, ""))
        if name == "rollback":
            command.add_argument(
                "--run",
                metavar="RUN_ID",
                help="the run to publish; by default the one published before the current one",
            )
        command.add_argument(
            "--log",
            choices=["text", "json"],
            default="text",
            help="format of the log on standard error: text, or one JSON object a line",
        )
        command.add_argument(
            "--result", type=Path, metavar="FILE", help="write what the command did to FILE, as one JSON document"
        )
        if name == "verify":
            command.add_argument("--all", action="store_true", help="build the state of all customers, not of a sample")
        command.add_argument("--debug", action="store_true", help="show stack traces")
        if name == "erase":
            command.add_argument(
                "--customer",
                action="append",
                default=[],
                metavar="ID",
                help="id of a customer to erase; repeat for several",
            )
            command.add_argument(
                "--customers-file", type=Path, metavar="FILE", help="a file with one customer id a line"
            )
            command.add_argument("--receipt", type=Path, metavar="FILE", help="the receipt goes there too, as JSON")
        if name == "export":
            _add_audience(command)
    return whole


def _add_audience(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--output",
        type=Path,
        default=Path("audience.csv"),
        metavar="FILE",
        help="the file that is written; by default audience.csv",
    )
    command.add_argument("--format", choices=get_args(FileFormat), help="of the file; by default what its name ends in")
    command.add_argument(
        "--segment",
        action="append",
        default=[],
        metavar="NAME",
        help="name or number of a segment; repeat for several; by default all customers",
    )
    command.add_argument(
        "--where",
        metavar="CONDITION",
        help="Spark SQL over columns of customer_segments, customer_features, customers, such as 'recency_days > 30'",
    )
    command.add_argument(
        "--columns",
        default="",
        metavar="NAME,NAME",
        help="columns of customer_segments, customer_features or customers; by default those of customer_segments",
    )
    command.add_argument(
        "--limit", type=int, metavar="N", help="at most so many customers of each segment, the highest ranked"
    )


def _audience(options: argparse.Namespace) -> Audience:
    columns = [name.strip() for name in options.columns.split(",") if name.strip()]
    return Audience(options.output, options.format, options.segment, options.where, columns, options.limit)


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


def _erasure(options: argparse.Namespace) -> tuple[list[str], Path | None]:
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
    if receipt is not None:
        try:
            # Nothing appends on volumes of Databricks, and a pipe has no place to go to.
            receipt.open("rb+" if receipt.exists() else "wb", buffering=0).close()
        except OSError as error:
            raise ConfigurationError(f"--receipt {receipt} can't be written: {error.strerror or error}") from None
    customers = [customer for customer in customers if customer.strip()]
    if file is not None and not customers:
        raise ConfigurationError(f"--customers-file {file} names nobody")
    return customers, receipt


def _require_mlflow(config: Config) -> None:
    if config.mlflow.experiment is not None and find_spec("mlflow") is None:
        raise ConfigurationError(
            f"mlflow.experiment is {config.mlflow.experiment}, and the package mlflow is not installed here: "
            "pip install mlflow-skinny, or leave the setting out"
        )


def _require_sources(config: Config, command: str) -> None:
    """Find what is wrong with the sources, and which variables of the environment are missing, before Spark starts."""
    reads_sources = command in ("run", "ingest", "check", "explore")
    require_environment(config, sources=reads_sources)
    if command == "generate" and config.generate.path is None:
        raise ConfigurationError("generate.path: is missing; say where the data goes, such as warehouse/synthetic/data")
    if command in ("generate", "report", "export", "verify"):
        return
    from customer_segmentation.ingest.paths import problems
    from customer_segmentation.spark.session import runs_locally

    sources = config.configured_sources
    if reads_sources:
        missing = problems(sources, are_here=runs_locally())
        if missing:
            raise ConfigurationError("\n  - ".join(["the sources are not all there:", *missing]))
