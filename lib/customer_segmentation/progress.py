"""Reports the progress of a long job: a live line per stage on a terminal, log lines elsewhere, as text or as JSON."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from customer_segmentation.log import LogFormat, log_stage


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
                self._write(logging.INFO, stage, "start", "%s: %s", name, doing)
                yield stage
        except BaseException:
            stage.seconds, stage.status = _seconds_since(started), "failed"
            self._write(logging.ERROR, stage, "end", "%s: failed after %.1f s", name, stage.seconds)
            raise
        stage.seconds, stage.status = _seconds_since(started), "done"
        if self._is_live:
            self.console.print(f"[green]✓[/green] [bold]{name:<9}[/bold] {stage.seconds:6.1f} s  {stage.result}")
        else:
            self._write(logging.INFO, stage, "end", "%s: done in %.1f s: %s", name, stage.seconds, stage.result)

    def _write(self, level: int, stage: Stage, event: str, message: str, *parts: object) -> None:
        if not self._is_live:
            known = {"run_id": self.run_id(), "stage": stage.name, "event": event}
            log_stage(level, {**known, "seconds": stage.seconds, "rows": stage.rows}, message, *parts)


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 3)
