"""The command line: one command per job, the same for `spark-submit`, a scheduler and a person.

Exit codes: 0 done; 2 usage or configuration; 3 the data was rejected; 4 another run is at work; 1 anything else.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from customer_segmentation import __version__
from customer_segmentation.config import Config, load_config
from customer_segmentation.contract.errors import ConfigurationError, CustomerSegmentationError

if TYPE_CHECKING:
    from rich.console import Console

    from customer_segmentation.stages import Run

PROGRAM = "customer-segmentation"


def entry_point() -> None:
    """The console script."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config, options.set, options.as_of)
        _require_sources(config, options.command)
        COMMANDS[options.command][1](config)
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
    for name, (does, _) in COMMANDS.items():
        command = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False)
        command.add_argument(
            "--config", action="append", required=True, metavar="FILE", help="YAML file; given again, later ones win"
        )
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, such as clustering.k=6"
        )
        command.add_argument("--as-of", metavar="YYYY-MM-DD", help="only what happened before this date enters")
        command.add_argument("--debug", action="store_true", help="show stack traces")
    return parser


def _require_sources(config: Config, command: str) -> None:
    """Find what is wrong with the sources before Spark starts."""
    if command in ("generate", "report"):
        return
    from customer_segmentation.ingest.paths import problems
    from customer_segmentation.spark.session import runs_locally

    sources = config.configured_sources
    if command in ("run", "ingest", "check", "explore") and runs_locally():
        missing = problems(sources)
        if missing:
            raise ConfigurationError("\n  - ".join(["the sources are not all there:", *missing]))


def _with_run(work: Callable[["Run", "Console"], object], *, claims: str | None = None) -> Callable[[Config], None]:
    """The command that does some work in a run.

    Args:
        work: what it does.
        claims: its name, where it writes tables and so has to be the only one that does.
    """

    def command(config: Config) -> None:
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

        console = Console()
        if not console.is_terminal:
            log_to_stderr()
        if claims is None:
            work(Run(get_session(config.spark), config), console)
            return
        folder, is_alone = local_root(config.tables), is_on_this_machine(config.spark)
        if folder is not None and not (is_alone or folder.is_dir()):
            folder = None  # of another machine
        with claimed_folder(folder, claims):
            run = Run(get_session(config.spark), config)
            note_spark_of(folder, claims)
            with nullcontext() if is_alone and folder else claimed_tables(run.warehouse, run.claim, claims):
                work(run, console)

    return command


def _run(run: "Run", console: "Console") -> None:
    from customer_segmentation.pipeline import run_pipeline

    path = run_pipeline(run, console)
    _name_tables(run, console)
    console.print(f"Report: {path}", soft_wrap=True)


def _ingest(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages import ingest_sources

    ingest_sources(run)


def _features(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages import build_features

    build_features(run)


def _train(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages import train_segments

    train_segments(run, retrain=True)


def _assign(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages import assign_segments

    assign_segments(run)
    _name_tables(run, console)


def _report(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages import write_report

    console.print(f"Report: {write_report(run, console)}", soft_wrap=True)


def _explore(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages import explore_data

    console.print(f"Page: {explore_data(run, console)}", soft_wrap=True)


def _generate(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages.generate import generate_data

    generate_data(run)


def _check(run: "Run", console: "Console") -> None:
    from customer_segmentation.stages.check import check_sources

    for line in check_sources(run):
        console.print(line, soft_wrap=True, highlight=False)


def _name_tables(run: "Run", console: "Console") -> None:
    from customer_segmentation.contract.tables import ALL_TABLES, OPTIONAL_TABLES

    console.print("Tables:")
    for table in (*ALL_TABLES, *OPTIONAL_TABLES):
        if run.warehouse.exists(table):
            console.print(f"  {run.warehouse.location(table)}", soft_wrap=True, highlight=False)


COMMANDS: dict[str, tuple[str, Callable[[Config], None]]] = {
    "run": ("all of it: ingest, features, train or reuse, assign, publish, report", _with_run(_run, claims="run")),
    "ingest": ("sources to canonical tables; rejected rows to quarantine", _with_run(_ingest, claims="ingest")),
    "features": ("canonical tables to one row per customer", _with_run(_features, claims="features")),
    "train": ("choose, fit, evaluate and register a model", _with_run(_train, claims="train")),
    "assign": ("score every customer with a registered model and publish", _with_run(_assign, claims="assign")),
    "report": ("the HTML report of the published run", _with_run(_report)),
    "generate": ("synthetic transactions at any size, with known segments, seeded", _with_run(_generate)),
    "explore": ("a profile of the data before anything is modelled", _with_run(_explore, claims="explore")),
    "check": ("validate configuration and sources, run nothing", _with_run(_check)),
}
