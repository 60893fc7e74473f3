"""Reports the progress of a long job: a live line per stage on a terminal, log lines elsewhere, as text or as JSON."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from rich.console import Console

_log = logging.getLogger("customer_segmentation")

LogFormat = Literal["text", "json"]


class Stage:
    """A stage of a job: what it is called, and how it went.

    name: such as ingest.
    result: its outcome in words, for the block to give.
    rows: the rows that it is about, for the block to give: order lines read, customers written; None where not known.
    seconds: its duration; None while it runs.
    status: running, done or failed.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.result = ""
        self.rows: int | None = None
        self.seconds: float | None = None
        self.status = "running"

    def to_dict(self) -> dict[str, Any]:
        """The stage as JSON-able data."""
        return dict(vars(self))


class Progress:
    """Announces stages and keeps how each went.

    stages: in the order they began.
    run_id: gives the run's id for the log, None as long as it is not known.
    """

    def __init__(self, console: Console | None = None, *, log: LogFormat = "text") -> None:
        self.console = console or Console(stderr=True)
        self.stages: list[Stage] = []
        self.run_id: Callable[[], str | None] = lambda: None
        self._is_live = self.console.is_terminal and log == "text"

    @property
    def seconds(self) -> dict[str, float]:
        """Duration of each stage that is done, by name."""
        done = [stage for stage in self.stages if stage.status == "done"]
        return {stage.name: stage.seconds for stage in done if stage.seconds is not None}

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Stage]:
        """Run the block as a named stage. `doing` says in a few words what happens."""
        stage = Stage(name)
        self.stages.append(stage)
        started = time.monotonic()
        try:
            if self._is_live:
                with self.console.status(f"[bold]{name}[/bold]  {doing}"):
                    yield stage
            else:
                self._write(logging.INFO, stage, "start", f"{name}: {doing}")
                yield stage
        except BaseException:
            stage.seconds, stage.status = _seconds_since(started), "failed"
            self._write(logging.ERROR, stage, "end", f"{name}: failed after {stage.seconds:.1f} s")
            raise
        stage.seconds, stage.status = _seconds_since(started), "done"
        if self._is_live:
            self.console.print(f"[green]✓[/green] [bold]{name:<9}[/bold] {stage.seconds:6.1f} s  {stage.result}")
        else:
            self._write(logging.INFO, stage, "end", f"{name}: done in {stage.seconds:.1f} s: {stage.result}")

    def _write(self, level: int, stage: Stage, event: str, message: str) -> None:
        if not self._is_live:
            known = {"run_id": self.run_id(), "stage": stage.name, "event": event}
            _log.log(level, message, extra={"fields": {**known, "seconds": stage.seconds, "rows": stage.rows}})


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 3)


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
        if record.name != _log.name:
            line["logger"] = record.name
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(command: str, log: LogFormat = "text") -> None:
    """Send the library's log lines to standard error; as JSON also the warnings of Python and what others log."""
    handler = logging.StreamHandler(sys.stderr)
    if log == "json":
        handler.setFormatter(JsonLines(command))
        logging.captureWarnings(True)
        logging.getLogger().handlers = [handler]
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    _log.handlers = [handler]
    _log.setLevel(logging.INFO)
    _log.propagate = False


def log_error(message: str) -> None:
    """Write an error to the log."""
    _log.error(message)
