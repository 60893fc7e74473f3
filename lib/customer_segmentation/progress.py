"""Reports the progress of a long job: a live line per stage on a terminal, log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_log = logging.getLogger("customer_segmentation")


class Stage:
    """A stage under way; its outcome in words goes into `result`."""

    def __init__(self) -> None:
        self.result = ""


class Progress:
    """Announces stages and keeps how long each took.

    seconds: duration of each finished stage by name, in the order they ran.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Stage]:
        """Run the block as a named stage. `doing` says in a few words what happens."""
        stage = Stage()
        started = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"[bold]{name}[/bold]  {doing}"):
                yield stage
        else:
            _log.info("%s: %s", name, doing)
            yield stage
        self.seconds[name] = round(time.monotonic() - started, 3)
        if self.console.is_terminal:
            self.console.print(f"[green]✓[/green] [bold]{name:<9}[/bold] {self.seconds[name]:6.1f} s  {stage.result}")
        else:
            _log.info("%s: done in %.1f s: %s", name, self.seconds[name], stage.result)


def log_to_stderr() -> None:
    """Send the library's log lines to standard error, with time and level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
