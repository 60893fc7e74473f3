"""What a run asks of Spark, stage by stage and table by table: a plan that got slower has more of something here.

The numbers are upper bounds, each as low as it is now. Whoever lowers one lowers it here too.
"""

import io
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from rich.console import Console

from customer_segmentation.config.schema import Config
from customer_segmentation.contract.tables import Table
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.progress import Progress, Stage
from customer_segmentation.stages import Run
from customer_segmentation.storage import Warehouse
from tests.csv_lines import COLUMNS, SHEET
from tests.pipeline.test_runs import AS_OF, orders
from tests.verification.damage import commits


@dataclass
class Costs(Progress):
    """Counts the SQL executions and the commits of each stage."""

    spark: SparkSession
    root: Path
    executions: Counter[str] = field(default_factory=Counter)
    commits: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(Console(file=io.StringIO()))

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Stage]:
        before = self._executions(), self._commits()
        with super().stage(name, doing) as stage:
            yield stage
        # To ask for the number takes one.
        self.executions[name] += self._executions() - before[0] - 1
        self.commits[name] += self._commits() - before[1]

    def _executions(self) -> int:
        name = "org.apache.spark.sql.execution.SQLExecution$"
        executions = self.spark._jvm.java.lang.Class.forName(name).getField("MODULE$").get(None)
        return int(executions.nextExecutionId())

    def _commits(self) -> int:
        return sum(len(commits(log.parent)) for log in self.root.glob("*/_delta_log"))


PLAN_NODES = {
    "exchanges": r"Exchange (?:hash|range)partitioning",
    "sorts in one partition": r"Sort [^\n]*\n[^\w\n]*Exchange SinglePartition",
    "joins of all with all": r"CartesianProduct|BroadcastNestedLoopJoin",
    "Python": r"ArrowEvalPython|BatchEvalPython|MapInArrow|MapInPandas|FlatMapGroups",
}


def nodes_of(frame: DataFrame) -> dict[str, int]:
    """How often each kind of node is in the plan of a frame, those of what it reads from memory left out."""
    plan = "\n".join(lines_of(frame._jdf.queryExecution().executedPlan()))
    return {name: len(re.findall(pattern, plan)) for name, pattern in PLAN_NODES.items()}


def lines_of(node: Any) -> Iterator[str]:
    """A line for each node of a plan, from the top; its text would show how rows in memory were made, too."""
    yield str(node.simpleString(100))
    if node.nodeName() == "AdaptiveSparkPlan":  # what it is before anything of it has run
        yield from lines_of(node.initialPlan())
    children = node.children()
    for place in range(children.length()):
        yield from lines_of(children.apply(place))


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, int]]:
    """The nodes of the plans of the newest frames that were written to tables."""
    seen: dict[str, dict[str, int]] = {}
    writer = Warehouse._writer

    def spying(self: Warehouse, table: Table, frame: DataFrame) -> Any:
        seen[table.name] = nodes_of(frame)
        return writer(self, table, frame)

    monkeypatch.setattr(Warehouse, "_writer", spying)
    return seen


FIRST_DAY = {
    "ingest": (50, 5),
    "returns": (18, 2),
    "features": (62, 5),
    "train": (46, 2),
    "assign": (8, 1),
    "insight": (9, 2),
    "publish": (33, 3),
    "report": (29, 0),
}
"""By stage, the most SQL executions, a tenth more than there are since Delta now and then needs another; commits."""

NEXT_DAY = {
    "ingest": (88, 6),
    "returns": (17, 1),
    "features": (82, 5),
    "train": (0, 0),
    "assign": (17, 1),
    "insight": (20, 2),
    "publish": (46, 3),
    "report": (26, 0),
}
"""The same for a day with a few new lines of new customers."""

EXCHANGES = {
    "returns": 1,
    # Lines are by customer already; orders and days of a customer are put together where they are.
    "customer_days": 2,
    "customer_history": 1,
    "customer_features": 3,
    "customer_segments_history": 1,
    "segment_transitions": 1,
}
"""Shuffles in the plan that writes a table; none in those of the others."""

IN_PYTHON = {"returns": 1, "customer_features": 1}
"""Python workers in the plan that writes a table: matches of returns, forecasts of value. Segments are scored once."""


def costs_of(spark: SparkSession, folder: Path, day: int) -> Costs:
    """What a run costs, of a shop in a folder, as of a day."""
    settings = {
        "as_of": AS_OF + timedelta(days=day),
        "sources": {"transactions": {"format": "csv", "path": str(folder / "in"), "columns": COLUMNS}},
        "clustering": {"k": 3, "features": ["recency_days", "frequency", "monetary"]},
        "tables": {"root": str(folder / "tables")},
    }
    costs = Costs(spark, folder / "tables")
    run_pipeline(Run(spark, Config.model_validate(settings), costs), Console(file=io.StringIO()))
    return costs


def over(costs: Costs, budget: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The stages that asked for more than they may, with what they asked for."""
    asked = {name: (costs.executions[name], costs.commits[name]) for name in budget}
    print(asked)
    return {
        name: spent for name, spent in asked.items() if any(a > b for a, b in zip(spent, budget[name], strict=True))
    }


def plans_over(plans: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """The tables whose plans have more than they may of what is slow."""
    return {
        name: nodes
        for name, nodes in plans.items()
        if nodes["exchanges"] > EXCHANGES.get(name, 0)
        or nodes["Python"] > IN_PYTHON.get(name, 0)
        or nodes["sorts in one partition"]
        or nodes["joins of all with all"] > (name == "customer_features")  # with the shop's averages, one row
    }


@pytest.mark.long
@pytest.mark.slow
def test_no_stage_asks_for_more_than_it_did(
    spark: SparkSession, tmp_path: Path, plans: dict[str, dict[str, int]]
) -> None:
    draw = random.Random(5)
    SHEET.written(tmp_path / "in" / "1.csv", orders(0, range(60), draw))
    first = costs_of(spark, tmp_path, 0)
    assert not over(first, FIRST_DAY)
    assert not plans_over(plans)
    assert {"transactions", "customer_features", "customer_segments"} <= plans.keys()

    plans.clear()
    SHEET.written(tmp_path / "in" / "2.csv", orders(1000, range(100, 103), draw))
    second = costs_of(spark, tmp_path, 1)
    assert not over(second, NEXT_DAY)
    assert not plans_over(plans)
    assert {"ingest_changes", "customer_features", "customer_segments"} <= plans.keys()


@pytest.mark.classic("it looks at the physical plan")
def test_a_slow_plan_is_seen(spark: SparkSession) -> None:
    rows = spark.range(10).withColumn("group", F.col("id") % 3)
    by_id = Window.orderBy("id")

    ranked = nodes_of(rows.withColumn("place", F.row_number().over(by_id)))
    paired = nodes_of(rows.crossJoin(rows.withColumnsRenamed({"id": "other", "group": "its"})))
    grouped = nodes_of(rows.groupBy("group").count())

    assert ranked["sorts in one partition"] == 1
    assert paired["joins of all with all"] == 1
    assert grouped == {**dict.fromkeys(PLAN_NODES, 0), "exchanges": 1}
