"""Times two ways of doing a thing in turn, so that a machine that slows down slows both, and tells their ratio."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import pyspark
from rich.console import Console
from rich.table import Table

from customer_segmentation.spark.machine import memory

T = TypeVar("T")

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Comparison:
    """Seconds of each run of ours and of the peer, in the order in which they took turns.

    what: what was done.
    peer: what it is compared with.
    items: how many items a run works through, such as order lines.
    limit: the most that ours may take, as a multiple of the peer.
    """

    what: str
    peer: str
    items: int
    limit: float
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float:
        """Ours by the peer's, the median over the turns."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))


def compared(
    what: str,
    ours: Callable[[], object],
    *,
    peer: tuple[str, Callable[[], object]],
    items: int,
    limit: float,
    runs: int,
) -> Comparison:
    """Run both once unmeasured, then in turns."""
    name, theirs = peer
    theirs(), ours()
    return compared_with_each(what, ours, peers=[(name, theirs, limit)], items=items, runs=runs)[0]


def compared_with_each(
    what: str,
    ours: Callable[[], object],
    *,
    peers: Sequence[tuple[str, Callable[[], object], float]],
    items: int,
    runs: int,
) -> list[Comparison]:
    """Run ours and several peers in turns, each measured from its first run on.

    Args:
        peers: each with its name and the most that ours may take, as a multiple of it.
    """
    seconds: list[float] = []
    of_peers: list[list[float]] = [[] for _ in peers]
    for _ in range(runs):
        for times, (_, theirs, _) in zip(of_peers, peers, strict=True):
            times.append(timed(theirs)[0])
        seconds.append(timed(ours)[0])
    return [
        Comparison(what, name, items, limit, seconds, times)
        for (name, _, limit), times in zip(peers, of_peers, strict=True)
    ]


def finish(name: str, comparisons: list[Comparison]) -> None:
    """Print the comparisons as a table and write them to `benchmarks/results/NAME.json`."""
    table = Table("what", "ours", "items/s", "peer", "its", "ratio", "at most", title=name)
    for one in comparisons:
        ours, theirs = statistics.median(one.ours), statistics.median(one.theirs)
        table.add_row(
            one.what,
            f"{ours:.1f} s",
            f"{one.items / ours:,.0f}",
            one.peer,
            f"{theirs:.1f} s",
            f"{one.ratio:.2f}",
            f"{one.limit:g}",
        )
    Console().print(table)
    machine = {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "memory in GB": round(memory() / 2**30),
        "Python": platform.python_version(),
        "Spark": pyspark.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    figures = [{**asdict(one), "ratio": round(one.ratio, 3)} for one in comparisons]
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine, "comparisons": figures}, indent=2) + "\n")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds that the work took, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
