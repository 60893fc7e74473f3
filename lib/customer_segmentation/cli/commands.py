"""Each command starts a session and works in it, alone on the tables where it writes some."""

from contextlib import nullcontext
from importlib import import_module

import pyspark
from pyspark.sql import SparkSession

from customer_segmentation.claims import claimed_folder, claimed_tables, note_spark_of
from customer_segmentation.cli.options import Request
from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.log import log_to_stderr
from customer_segmentation.progress import Progress
from customer_segmentation.result import CommandResult
from customer_segmentation.spark.concurrently import started
from customer_segmentation.spark.prerequisites import spark_problem
from customer_segmentation.spark.session import get_session, is_on_this_machine
from customer_segmentation.storage import local_root

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
    if command not in _WRITING:
        spark = _session(request)
        from customer_segmentation.cli import work

        work.work(request, work.begin(request, spark, progress, result), result)
        return
    folder, is_alone = local_root(config.tables), is_on_this_machine()
    with claimed_folder(folder, command) as is_claimed:
        spark = _session(request)
        from customer_segmentation.cli import work

        run = work.begin(request, spark, progress, result)
        note_spark_of(folder, command)
        with nullcontext() if is_alone and is_claimed else claimed_tables(run.warehouse, run.claim, command):
            work.write(request, run, result)


def _session(request: Request) -> SparkSession:
    """The session; while it starts, the modules of the work are loaded, which takes about as long."""
    with started(lambda: import_module("customer_segmentation.cli.work")):
        return get_session(request.config.spark, record_classes=request.command == "run")
