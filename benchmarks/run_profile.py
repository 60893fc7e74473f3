"""`python -m benchmarks.run_profile --config FILE ...`: where the time of one `run` goes, stage by stage.

It runs the pipeline with Spark's event log on and prints, for each stage of ours:

wall: seconds.
in jobs: seconds in which at least one Spark job ran.
planning: seconds in which a SQL execution was open, but no job ran: analysis, optimisation, compiling, commits.
driver: the rest: Python, class loading, lazy analysis outside of executions.
jobs, tasks, SQL: how many.

With `--top N` also the N longest SQL executions of all.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from customer_segmentation.config import load_config
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.progress import Progress, Stage
from customer_segmentation.spark.session import get_session
from customer_segmentation.stages import Run

Interval = tuple[float, float]


@dataclass
class Timed:
    """What happened in Spark, in seconds of the epoch."""

    jobs: list[Interval] = field(default_factory=list)
    executions: dict[int, tuple[str, float, float]] = field(default_factory=dict)
    tasks: list[float] = field(default_factory=list)


class StageTimes(Progress):
    """Keeps when each stage began and ended."""

    def __init__(self) -> None:
        super().__init__(Console(stderr=True))
        self.intervals: dict[str, Interval] = {}

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Stage]:
        """Run the block as a named stage."""
        started = time.time()
        with super().stage(name, doing) as stage:
            yield stage
        self.intervals[name] = (started, time.time())


def read_events(lines: Iterable[str]) -> Timed:
    """The jobs, SQL executions and tasks of an event log."""
    timed = Timed()
    started: dict[int, float] = {}
    for line in lines:
        event: dict[str, Any] = json.loads(line)
        match event["Event"].rsplit(".", 1)[-1]:
            case "SparkListenerJobStart":
                started[event["Job ID"]] = event["Submission Time"] / 1000
            case "SparkListenerJobEnd":
                timed.jobs.append((started.pop(event["Job ID"]), event["Completion Time"] / 1000))
            case "SparkListenerTaskEnd":
                timed.tasks.append(event["Task Info"]["Finish Time"] / 1000)
            case "SparkListenerSQLExecutionStart":
                name = event["physicalPlanDescription"].split("\n", 2)[1:2] or [""]
                described = f"{event['description'][:60]} | {name[0][:60]}"
                timed.executions[event["executionId"]] = (described, event["time"] / 1000, event["time"] / 1000)
            case "SparkListenerSQLExecutionEnd":
                described, start, _ = timed.executions.get(event["executionId"], ("", event["time"] / 1000, 0.0))
                timed.executions[event["executionId"]] = (described, start, event["time"] / 1000)
    return timed


def covered(intervals: Iterable[Interval], within: Interval) -> float:
    """Seconds of a time that at least one interval covers."""
    total, end = 0.0, within[0]
    for start, stop in sorted(intervals):
        start, stop = max(start, end), min(stop, within[1])
        if stop > start:
            total += stop - start
            end = stop
    return total


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run_profile", description=__doc__)
    parser.add_argument("--config", action="append", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--as-of")
    parser.add_argument("--top", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as logs:
        config = load_config(options.config, options.set, options.as_of)
        own = {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": f"file://{logs}",
            "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "false",
        }
        config = config.model_copy(
            update={"spark": config.spark.model_copy(update={"conf": {**config.spark.conf, **own}})}
        )
        progress = StageTimes()
        began = time.time()
        run = Run(get_session(config.spark), config, progress)
        progress.intervals["session"] = (began, time.time())
        run_pipeline(run, Console(quiet=True))
        whole = (began, time.time())
        run.spark.stop()
        files = [path for path in Path(logs).rglob("*") if path.is_file() and not path.name.startswith("appstatus")]
        timed = read_events(line for path in files for line in path.read_text().splitlines())
    print_profile(progress.intervals | {"all": whole}, timed, options.top)


def print_profile(stages: dict[str, Interval], timed: Timed, top: int) -> None:
    """Print the table."""
    table = Table("stage", *("wall", "in jobs", "planning", "driver", "jobs", "tasks", "SQL"))
    executions = [(start, end) for _, start, end in timed.executions.values()]
    for name, within in stages.items():
        in_jobs = covered(timed.jobs, within)
        in_both = covered([*timed.jobs, *executions], within)
        counts = [
            sum(within[0] <= start < within[1] for start in starts)
            for starts in ([start for start, _ in timed.jobs], timed.tasks, [start for start, _ in executions])
        ]
        seconds = (within[1] - within[0], in_jobs, in_both - in_jobs, within[1] - within[0] - in_both)
        table.add_row(name, *(f"{value:.1f}" for value in seconds), *map(str, counts))
    console = Console(width=160)
    console.print(table)
    for described, start, end in sorted(timed.executions.values(), key=lambda each: each[1] - each[2])[:top]:
        stage = next((name for name, (a, b) in stages.items() if a <= start < b), "")
        console.print(f"{end - start:6.1f} s  {stage:<10} {described}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
