"""The command line: one command per job, the same for `spark-submit`, a scheduler and a person.

Exit codes: 0 done; 2 usage or configuration; 3 the data was rejected, or an alert stopped the run before it was
published; 4 another run is at work; 1 anything else.
"""

import sys
import traceback
from collections.abc import Sequence

from customer_segmentation.cli.options import COMMANDS, PROGRAM, parser, requested
from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.log import LogFormat, log_error, log_to_stderr
from customer_segmentation.result import CommandResult
from customer_segmentation.storage_errors import explaining_storage_errors

__all__ = ["COMMANDS", "PROGRAM", "entry_point", "main"]


def entry_point(arguments: Sequence[str] | None = None) -> None:
    """Run a command as a program; returns where it is done, since Databricks takes every exit for a failure.

    Args:
        arguments: None: those of the program.
    """
    exit_code = main(arguments)
    if exit_code:
        sys.exit(exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    options = parser().parse_args(arguments)
    if options.log == "json":
        log_to_stderr(options.command, "json")
    result = CommandResult(options.command, options.result)
    try:
        result.begin()
        request = requested(options)
        with explaining_storage_errors(request.config.tables.root or "the tables"):
            from customer_segmentation.cli.commands import execute  # Spark is not loaded to reject a configuration

            execute(request, result)
    except (Exception, KeyboardInterrupt) as error:
        exit_code, message, hint = _explained(error)
        _end(result, exit_code, options.log, error, message)
        is_debugged = options.debug and not isinstance(error, KeyboardInterrupt)
        if is_debugged and options.log == "text":
            traceback.print_exception(error)
            return exit_code
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
        "\nRun the command again with --debug to see the stack trace.",
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
