"""What a line and a customer cost in each stage, fitted to measured runs, and what follows for larger ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
CORES = 2
"""Of the machine that the costs were measured on."""

STAGES = ("ingest", "returns", "customers", "engagement", "features", "train", "assign", "insight", "publish", "report")
EXTRAPOLATED = ((10**9, 64), (10**10, 256), (10**11, 1024))
"""Lines, and the cores of a cluster for them."""
LINES_OF_A_CUSTOMER = 100

HEAD = """# Scale

Made by `python -m benchmarks.document` from `benchmarks/results/costs/scale.json`, which `python -m benchmarks scale`
measures: whole runs over generated data of two years, each a process of its own on 2 cores with a driver of 4 GB.
"""

SETTINGS = """## Settings, and what gives way first

- `spark.sql.shuffle.partitions`: one for every million lines, with 2 GB of executor memory for each core: 1,000 for
  10^9 lines, 100,000 for 10^11. Adaptive execution puts small ones together. The runs here have 16; with six million
  lines each they went by way of the disk.
- The driver: 4 GB. It gets counts, quantiles, a sample of at most `clustering.sample_size` customers, and the distinct
  histories that the value model is fitted to.
- Local disk of the executors: 450 bytes a line, for shuffles and for what `ingest` and `features` read several times.
  At 10^8 lines 42 GB were in use at once.

What gives way first, reasoned from the plans and not measured: exact quantiles over all customers (RFM's cut points,
value ranks, a robust preparation) keep each distinct value in one task, some 100 bytes each: 1 GB at 10 million
customers, or 10^9 lines; at 10^10 a task has to get ten times as much memory. Ranks within segments sort all
customers of a segment in one task, which spills to disk and takes its time. Lines, orders and days of customers
spread over any number of tasks; a single customer's have to fit in one.
"""


def page(costs: Sequence[Mapping[str, Any]]) -> str:
    """The page.

    Args:
        costs: as `scale.Cost` has them.
    """
    first = [cost for cost in costs if cost["what"] == "first"]
    fits = {stage: _fitted(first, stage) for stage in (*STAGES, "all")}
    return "\n".join([HEAD, *_measured(costs), *_fits(fits), *_extrapolated(fits), SETTINGS])


def _fitted(costs: Sequence[Mapping[str, Any]], stage: str) -> np.ndarray:
    """Seconds of a stage: fixed, of a million lines, of a million customers; none below 0.

    Each run counts by its share of error, so that the largest doesn't decide alone.
    """
    seconds = np.array([cost["seconds"].get(stage, 0.0) for cost in costs])
    shapes = np.array([[1.0, cost["lines"] / 1e6, cost["customers"] / 1e6] for cost in costs])
    weights = 1 / np.maximum(seconds, 1.0)
    fitted, _ = nnls(shapes * weights[:, None], seconds * weights)
    return fitted


def _measured(costs: Sequence[Mapping[str, Any]]) -> list[str]:
    shops = sorted({(cost["lines"], cost["customers"]) for cost in costs})
    by_shop = {(cost["what"], cost["lines"], cost["customers"]): cost for cost in costs}
    rows = []
    for shop in shops:
        first, again, day = (by_shop[(what, *shop)] for what in ("first", "nothing_new", "day"))
        seconds = [cost["seconds"]["all"] for cost in (first, again, day)]
        cells = [f"{shop[0]:,}", f"{shop[1]:,}", *(f"{each:,.0f}" for each in seconds)]
        cells += [f"{seconds[0] / shop[0] * 1e6:.1f}", f"{day['new_lines']:,}", f"{seconds[0] / seconds[2]:.1f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return [
        "## Measured\n",
        "Seconds of whole commands: a first run, the same again with nothing new, and one more day.\n",
        "| lines | customers | first | nothing new | a day | µs a line | lines of the day | first / day |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _fits(fits: Mapping[str, np.ndarray]) -> list[str]:
    rows = [f"| {stage} | {' | '.join(f'{each:.1f}' for each in fit)} |" for stage, fit in fits.items()]
    return [
        "## What a line and a customer cost\n",
        "Seconds of a first run, least squares without negative parts, of relative errors. `all` is the whole command,",
        "fitted by itself.\n",
        "| stage | fixed | a million lines | a million customers |",
        "|---|---:|---:|---:|",
        *rows,
        "",
    ]


def _extrapolated(fits: Mapping[str, np.ndarray]) -> list[str]:
    rows = []
    for lines, cores in EXTRAPOLATED:
        shape = np.array([0.0, lines / 1e6, lines / LINES_OF_A_CUSTOMER / 1e6])
        hours = {stage: float(fit @ shape) * CORES / cores / 3600 for stage, fit in fits.items()}
        most = max(STAGES, key=lambda stage: hours[stage])
        whole = hours["all"] + fits["all"][0] / 3600
        rows.append(f"| {lines:,} | {cores:,} | {whole:.1f} | {most} ({hours[most]:.1f}) |")
    return [
        "## Beyond what was measured\n",
        f"Hours of a first run with {LINES_OF_A_CUSTOMER} lines a customer, if the work spreads over the cores:",
        "computed, not measured. There shuffles cross a network, and files are read from an object store.\n",
        "| lines | cores | hours | most of them in |",
        "|---:|---:|---:|---|",
        *rows,
        "",
    ]
