"""Reports the progress of a long job: a live line per stage on a terminal, log lines elsewhere, as text or as JSON.

The live line tells how far a stage is by how long it took in the last run, where that is known.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveProgress
from rich.progress_bar import ProgressBar
from rich.text import Text

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
    expected: seconds that stages took in the last run, by name.
    """

    def __init__(self, console: Console | None = None, *, log: LogFormat = "text") -> None:
        self.console = console or Console(stderr=True)
        self.stages: list[Stage] = []
        self.run_id: Callable[[], str | None] = lambda: None
        self.expected: Mapping[str, float] = {}
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
                with _live_line(self.console) as line:
                    line.add_task(f"[bold]{name:<9}[/bold]  {doing}", total=self.expected.get(name))
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


def _live_line(console: Console) -> LiveProgress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), _Bar(bar_width=20), TimeElapsedColumn(), _Remaining())
    return LiveProgress(*columns, console=console, transient=True)


class _Bar(BarColumn):
    """The share of the expected time that has gone by; never all of it while the stage is at work."""

    def render(self, task: Task) -> ProgressBar:
        done = min(task.elapsed or 0.0, 0.99 * (task.total or 0.0))
        return ProgressBar(total=task.total, completed=done, width=self.bar_width, pulse=task.total is None)


class _Remaining(ProgressColumn):
    """How long a stage will still take."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        left = task.total - (task.elapsed or 0.0)
        return Text(f"about {left:.0f} s left" if left >= 0.5 else f"the last run took {task.total:.0f} s", style="dim")


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 3)
