"""Whole runs at several sizes: what a line and a customer cost in each stage, and what one more day costs beside it.

Each run is a process of its own over generated data of two years, with a driver of 4 GB. The largest size takes an
hour and 60 GB of disk: `python -m benchmarks scale --lines 100000000`.
"""

import itertools
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.measuring import RESULTS, Comparison, compared_with_each, timed
from benchmarks.pipeline import DUCKDB, NOTEBOOK, run_module

COSTS = RESULTS / "costs" / "scale.json"
"""What `docs/scale.md` is made from."""

SMALLEST = 1_000_000
LINES_OF_A_CUSTOMER = (10, 100)
"""Of two shops of each size, so that a line's cost can be told from a customer's; beyond `PEERS_AT` of the latter."""

FIRST_DAY, DAYS = date(2023, 1, 1), 730
LAST = FIRST_DAY + timedelta(DAYS - 1)
"""The day that comes when all others have been read."""

PEERS_AT = 10_000_000
COLUMNS = {
    "customer_id": "customer_id",
    "order_id": "order_id",
    "ordered_at": "try_cast(ordered_at as timestamp)",
    "product_id": "product_id",
    "quantity": "try_cast(quantity as double)",
    "amount": "try_cast(quantity as double) * try_cast(unit_price as double)",
}


@dataclass(frozen=True)
class Cost:
    """Seconds of a run of a shop by stage, with the whole command as `all`.

    what: first, day or nothing_new.
    new_lines: that the run reads.
    """

    what: str
    lines: int
    customers: int
    new_lines: int
    seconds: dict[str, float]


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """From a million lines up to so many, each ten times the one before; writes `COSTS`."""
    costs: list[Cost] = []
    comparisons: list[Comparison] = []
    size = SMALLEST
    while size <= lines:
        for each in LINES_OF_A_CUSTOMER if size <= PEERS_AT else LINES_OF_A_CUSTOMER[-1:]:
            with tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
                shop = _Shop(Path(name), size, size // each)
                costs += shop.costs()
                rows = [asdict(cost) for cost in costs]
                COSTS.parent.mkdir(parents=True, exist_ok=True)
                COSTS.write_text(json.dumps(rows, indent=2) + "\n")
                if size == PEERS_AT and each == LINES_OF_A_CUSTOMER[0]:
                    comparisons += shop.beside_peers(runs)
        size *= 10
    return [*_days_beside_first_runs(costs), *_beside_smaller(costs), *comparisons]


class _Shop:
    """Generated data of a size, the last day apart, and the runs over them."""

    def __init__(self, folder: Path, lines: int, customers: int) -> None:
        self.folder, self.lines, self.customers = folder, lines, customers
        data = folder / "data"
        settings = {"path": data, "lines": lines, "customers": customers, "start": FIRST_DAY, "days": DAYS}
        given = [f"generate.{name}={value}" for name, value in settings.items()]
        run_module("customer_segmentation", "generate", *self._settings(given))
        self.last_day = folder / "last_day.parquet"
        kept = folder / "in"
        kept.mkdir()
        source = f"read_parquet('{data}/transactions/*.parquet')"
        is_last = f"starts_with(cast(ordered_at as varchar), '{LAST}')"
        duckdb.sql(f"copy (from {source} where not coalesce({is_last}, false)) to '{kept}/until.parquet'")
        duckdb.sql(f"copy (from {source} where {is_last}) to '{self.last_day}'")
        shutil.rmtree(data / "transactions")

    def costs(self) -> list[Cost]:
        """A first run, one with nothing new, and one of the last day."""
        first = self._cost("first", LAST, self.lines)
        again = self._cost("nothing_new", LAST, 0)
        shutil.move(self.last_day, self.folder / "in" / "last_day.parquet")
        [(new,)] = duckdb.sql(f"select count(*) from '{self.folder}/in/last_day.parquet'").fetchall()
        return [first, again, self._cost("day", LAST + timedelta(1), new)]

    def beside_peers(self, runs: int) -> list[Comparison]:
        """First runs in turns with what users would write instead."""
        lines, day = str(self.folder / "in"), str(LAST + timedelta(1))
        peers = [
            (name, partial(self._anew, name, partial(run_module, module, lines, json.dumps(COLUMNS), day)), limit)
            for name, module, limit in (("PySpark notebook", NOTEBOOK, 0.2), ("DuckDB, scikit-learn", DUCKDB, 3.0))
        ]
        ours = partial(self._anew, "tables", lambda _: self._run(LAST + timedelta(1)))
        what = f"a first run on {self.lines:,} lines of {self.customers:,} customers"
        return compared_with_each(what, ours, peers=peers, items=self.lines, runs=runs)

    def _anew(self, name: str, work: "partial[None]") -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        work(str(self.folder / name))

    def _cost(self, what: str, as_of: date, new_lines: int) -> Cost:
        seconds, stages = timed(lambda: self._run(as_of))
        return Cost(what, self.lines, self.customers, new_lines, {**stages, "all": round(seconds, 1)})

    def _run(self, as_of: date) -> dict[str, float]:
        result = self.folder / "result.json"
        places = [f"tables.root={self.folder}/tables", f"report.path={self.folder}/report.html"]
        options = [*self._settings(places), "--as-of", str(as_of), "--result", str(result)]
        run_module("customer_segmentation", "run", *options)
        stages = json.loads(result.read_text())["stages"]
        return {stage["name"]: round(stage["seconds"], 1) for stage in stages}

    def _settings(self, more: list[str]) -> list[str]:
        sources = [f"sources.transactions.path={self.folder}/in"]
        sources += [f"sources.{name}.path={self.folder}/data/{name}" for name in ("customers", "engagement")]
        given = [*sources, "spark.driver_memory=4g", *more]
        return ["--config", "conf/synthetic.yml", *(text for each in given for text in ("--set", each))]


def _days_beside_first_runs(costs: list[Cost]) -> list[Comparison]:
    """One more day, and a run with nothing new, beside the first run of the same shop."""
    by_shop = {(cost.what, cost.lines, cost.customers): cost for cost in costs}
    return [
        Comparison(
            f"{what.replace('_', ' ')}, {cost.new_lines:,} lines on {cost.lines:,} of {cost.customers:,} customers",
            "the first run",
            max(cost.new_lines, 1),
            0.1 if what == "nothing_new" or cost.lines > PEERS_AT else 0.2,
            [cost.seconds["all"]],
            [by_shop["first", cost.lines, cost.customers].seconds["all"]],
        )
        for (what, _, _), cost in by_shop.items()
        if what != "first"
    ]


def _beside_smaller(costs: list[Cost]) -> list[Comparison]:
    """What lines cost as they become more: a line of a first run, and a day of as many customers with more history."""
    pairs = [
        (cost, other)
        for cost, other in itertools.permutations(costs, 2)
        if cost.what == other.what and cost.lines > other.lines
    ]
    lines = [
        Comparison(
            f"a million of {cost.lines:,} lines of {cost.customers:,} customers",
            f"of {other.lines:,} lines",
            1,
            1.3,
            *([shop.seconds["all"] * 1e6 / shop.lines] for shop in (cost, other)),
        )
        for cost, other in pairs
        if cost.what == "first"
        and other.lines == SMALLEST
        and cost.lines * other.customers == other.lines * cost.customers
    ]
    days = [
        Comparison(
            f"day, {cost.new_lines:,} lines on {cost.lines:,} of {cost.customers:,} customers",
            f"{other.new_lines:,} lines on {other.lines:,}",
            cost.new_lines,
            1.5,
            *([shop.seconds["all"]] for shop in (cost, other)),
        )
        for cost, other in pairs
        if cost.what == "day" and cost.customers == other.customers
    ]
    return lines + days
