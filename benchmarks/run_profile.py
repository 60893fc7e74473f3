"""`python -m benchmarks.run_profile --config FILE ...`: where the time of one `run` goes, stage by stage.

It runs the pipeline with Spark's event log on and prints, for each stage of ours:

wall: seconds.
in jobs: seconds in which at least one Spark job ran.
commits: seconds of writing, but in no job and no query: Delta's log.
planning: seconds in which another SQL execution was open, but no job ran: optimisation, generating code.
driver: the rest: Python, analysis outside of executions, the model's own arithmetic.
jobs, tasks, SQL, writes: how many.
CPU: seconds of the virtual machine's threads and of Python's own.
classes, JIT: seconds that the virtual machine loaded classes and compiled, beside the rest (asks a JDK's jstat).

With `--top N` also the N longest SQL executions of all.
"""

import argparse
import json
import os
import subprocess
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
    writes: set[int] = field(default_factory=set)
    tasks: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Spent:
    """What the processes have used so far, in seconds."""

    machine: float
    python: float
    classes: float
    compiling: float

    def since(self, before: "Spent") -> tuple[float, float, float, float]:
        """What was used after another time."""
        return (
            self.machine - before.machine,
            self.python - before.python,
            self.classes - before.classes,
            self.compiling - before.compiling,
        )


def spent() -> Spent:
    """What this process and the virtual machine that it has started have used."""
    own = os.times()
    listed = subprocess.run(["pgrep", "--parent", str(os.getpid()), "java"], capture_output=True, text=True)
    pid = listed.stdout.split()[:1]
    if not pid:
        return Spent(0.0, own.user + own.system, 0.0, 0.0)
    ticks = Path(f"/proc/{pid[0]}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    machine = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return Spent(machine, own.user + own.system, _jstat("-class", "Time", pid[0]), _jstat("-compiler", "Time", pid[0]))


def _jstat(option: str, column: str, pid: str) -> float:
    """A figure of the virtual machine; nan where there is no JDK."""
    try:
        told = subprocess.run(["jstat", option, pid], capture_output=True, text=True).stdout.split("\n")
        return float(told[1].split()[told[0].split().index(column)])
    except (OSError, ValueError, IndexError):
        return float("nan")


class StageTimes(Progress):
    """Keeps when each stage began and ended, and what was used until then."""

    def __init__(self) -> None:
        super().__init__(Console(stderr=True))
        self.intervals: dict[str, Interval] = {}
        self.used: dict[str, tuple[float, float, float, float]] = {}

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Stage]:
        """Run the block as a named stage."""
        with self.timed(name), super().stage(name, doing) as stage:
            yield stage

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Keep the times of the block."""
        before, started = spent(), time.time()
        yield
        self.intervals[name] = (started, time.time())
        self.used[name] = spent().since(before)


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
                if name[0].startswith("Execute "):
                    timed.writes.add(event["executionId"])
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
        with progress.timed("all"):
            with progress.timed("session"):
                spark = get_session(config.spark)
            run_pipeline(Run(spark, config, progress), Console(quiet=True))
        spark.stop()
        files = [path for path in Path(logs).rglob("*") if path.is_file() and not path.name.startswith("appstatus")]
        timed = read_events(line for path in files for line in path.read_text().split("\n") if line)
    print_profile(progress, timed, options.top)


def print_profile(progress: StageTimes, timed: Timed, top: int) -> None:
    """Print the table."""
    table = Table(
        *("stage", "wall", "in jobs", "commits", "planning", "driver", "jobs", "tasks", "SQL", "writes"),
        *("CPU", "Python", "classes", "JIT"),
    )
    writes = [timed.executions[key][1:] for key in timed.writes]
    queries = [timed.executions[key][1:] for key in timed.executions if key not in timed.writes]
    started = [[start for start, _ in timed.jobs], timed.tasks, [start for start, _ in queries]]
    for name, within in progress.intervals.items():
        in_jobs, in_queries, in_all = (
            covered(intervals, within)
            for intervals in (timed.jobs, [*timed.jobs, *queries], [*timed.jobs, *queries, *writes])
        )
        wall = within[1] - within[0]
        seconds = (wall, in_jobs, in_all - in_queries, in_queries - in_jobs, wall - in_all)
        counts = [sum(within[0] <= start < within[1] for start in each) for each in started]
        counts.append(sum(within[0] <= start < within[1] for start, _ in writes))
        texts = (
            [f"{value:.1f}" for value in seconds],
            map(str, counts),
            [f"{value:.1f}" for value in progress.used[name]],
        )
        table.add_row(name, *(text for each in texts for text in each))
    console = Console(width=160)
    console.print(table)
    for described, start, end in sorted(timed.executions.values(), key=lambda each: each[1] - each[2])[:top]:
        stage = next((name for name, (a, b) in progress.intervals.items() if a <= start < b), "")
        console.print(f"{end - start:6.1f} s  {stage:<10} {described}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
