"""The log on standard error: lines to read, or one JSON object a line for machines."""

import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]

log = logging.getLogger("customer_segmentation")


class JsonLines(logging.Formatter):
    """A log record as one JSON object on a line.

    ts, level, command, message; of a stage run_id, stage, event (start, end), seconds and rows; else logger.

    Args:
        command: that is run.
    """

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "command": self._command,
            **getattr(record, "fields", {}),
            "message": record.getMessage(),
        }
        if record.name != log.name:
            line["logger"] = record.name
        if record.exc_info:
            line["stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(command: str, form: LogFormat = "text") -> None:
    """Send the library's log lines to standard error.

    As JSON also all else that this process, or one that it starts, writes there: a line of text is a `message`.
    """
    if form == "json":
        logging.captureWarnings(True)
        handler = logging.StreamHandler(_own_stderr())
        handler.setFormatter(JsonLines(command))
        logging.getLogger().handlers = [handler]
        threading.Thread(target=_wrap_lines, args=(_diverted_stderr(),), daemon=True).start()
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def log_error(message: str, *, stack_trace: bool = False) -> None:
    """Write an error to the log, with the stack trace of the one that is handled if it is asked for."""
    log.error(message, exc_info=stack_trace)


def log_stage(level: int, fields: dict[str, Any], message: str, *parts: object) -> None:
    """Write a line on a stage, with the fields that only JSON lines show, and the parts that the message asks for."""
    log.log(level, message, *parts, extra={"fields": fields})


def _own_stderr() -> TextIO:
    return os.fdopen(os.dup(2), "w", encoding="utf-8", buffering=1)


def _diverted_stderr() -> TextIO:
    """What is written to standard error from now on, by Spark's virtual machine too, which inherits it."""
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    return os.fdopen(reading, encoding="utf-8", errors="replace")


def _wrap_lines(stream: TextIO) -> None:
    other = logging.getLogger("stderr")
    for line in stream:
        if line.strip():
            other.warning(line.rstrip())
