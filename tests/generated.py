"""A small generated data set with known segments, and runs over it."""

import io
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config import Config, load_config
from customer_segmentation.progress import Progress
from customer_segmentation.stages import Run

ROOT = Path(__file__).resolve().parent.parent
CUSTOMERS = 600
LINES = 15_000


def configured(folder: Path, root: str, *settings: str) -> Config:
    """The synthetic configuration as a user has it, with its data and its tables below a folder."""
    data = folder / "data"
    return load_config(
        [ROOT / "conf" / "base.yml", ROOT / "conf" / "synthetic.yml"],
        [
            f"generate.path={data}",
            f"generate.lines={LINES}",
            f"generate.customers={CUSTOMERS}",
            *(f"sources.{name}.path={data}/{name}" for name in ("transactions", "customers", "engagement")),
            f"tables.root={folder / root}",
            "checks.severity.duplicate=warn",
            "clustering.retrain_after_days=0",
            "clustering.k_min=2",
            "clustering.k_max=8",
            *settings,
        ],
    )


def quiet(spark: SparkSession, config: Config) -> Run:
    """A run that keeps its progress to itself."""
    return Run(spark, config, Progress(Console(file=io.StringIO())))
