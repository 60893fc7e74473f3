"""What checking every line costs: reading order lines into their tables against a bare copy of the files to Delta."""

import io
import shutil
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.measuring import Comparison, compared
from customer_segmentation.config import Config, load_config
from customer_segmentation.progress import Progress
from customer_segmentation.spark.session import get_session
from customer_segmentation.stages import Run
from customer_segmentation.stages.generate import generate_data
from customer_segmentation.stages.reading import read_order_lines

SYNTHETIC = Path(__file__).parents[1] / "conf" / "synthetic.yml"
LIMIT = 1.5


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """Ingest of CSV and Parquet files with the dirt of `conf/synthetic.yml`."""
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        return [_measured(Path(folder) / name, name, lines, runs) for name in ("csv", "parquet")]


def _measured(folder: Path, format_: str, lines: int, runs: int) -> Comparison:
    config = _config(folder, format_, lines)
    spark = get_session(config.spark)
    generate_data(_run(spark, config))

    def ours() -> None:
        shutil.rmtree(folder / "tables", ignore_errors=True)
        read_order_lines(_run(spark, config))

    def bare() -> None:
        shutil.rmtree(folder / "copy", ignore_errors=True)
        source = spark.read.format(format_).option("header", "true").load(str(folder / "data" / "transactions"))
        source.write.format("delta").save(str(folder / "copy"))

    what = f"ingest {lines:,} lines of {format_}"
    compared_ = compared(what, ours, peer=("read, write", bare), items=lines, limit=LIMIT, runs=runs)
    shutil.rmtree(folder)
    return compared_


def _config(folder: Path, format_: str, lines: int) -> Config:
    data = folder / "data"
    config = load_config(
        [SYNTHETIC],
        [
            f"generate.path={data}",
            f"generate.format={format_}",
            f"generate.lines={lines}",
            f"generate.customers={max(6, lines // 10)}",
            f"sources.transactions.path={data}/transactions",
            f"sources.transactions.format={format_}",
            f"tables.root={folder / 'tables'}",
        ],
    )
    assert config.sources is not None
    only_lines = config.sources.model_copy(update={"customers": None, "engagement": None})
    return config.model_copy(update={"sources": only_lines})


def _run(spark: SparkSession, config: Config) -> Run:
    return Run(spark, config, Progress(Console(file=io.StringIO())))
