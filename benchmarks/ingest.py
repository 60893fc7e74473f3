"""What it costs that every line is accounted for: ingest of order lines against the usual notebook, and a bare copy."""

import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from benchmarks.measuring import Comparison, compared, compared_with_each
from customer_segmentation.config import Config, load_config
from customer_segmentation.progress import Progress
from customer_segmentation.spark.session import get_session
from customer_segmentation.stages import Run
from customer_segmentation.stages.generate import generate_data
from customer_segmentation.stages.ingest import load_order_lines

SYNTHETIC = Path(__file__).parents[1] / "conf" / "synthetic.yml"
NOTEBOOK_LIMIT = 1.0
COPY_LIMIT = 2.0
BATCH_LIMIT = 1.5
DAYS = 730
TIMES = 10


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """Ingest of CSV and Parquet files with the dirt of `conf/synthetic.yml`."""
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        return [one for name in ("csv", "parquet") for one in _measured(Path(folder) / name, name, lines, runs)]


def measure_batch(*, lines: int, runs: int) -> list[Comparison]:
    """A day's share of two years of lines, with as many lines in the tables and with a tenth of them."""
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as folder:
        new = max(1, lines // DAYS)
        few, many = (
            _batches(Path(folder) / str(before), before=before, new=new, batches=runs + 1)
            for before in (lines // 10, lines)
        )
        what = f"ingest {new:,} new lines beside {lines:,}"
        peer = (f"beside {lines // 10:,}", few)
        return [compared(what, many, peer=peer, items=new, limit=BATCH_LIMIT, runs=runs)]


def _batches(folder: Path, *, before: int, new: int, batches: int) -> Callable[[], None]:
    """Tables with so many lines; each call ingests another batch of new ones.

    A tenth of the lines are ingested, the others are put beside them as more orders of the same customers, as somebody
    would by hand.
    """
    config = _config(folder, "parquet", before // TIMES)
    spark = get_session(config.spark)
    generate_data(_run(spark, config))
    for number in range(batches):
        update = {"path": str(folder / f"new{number}"), "lines": new, "customers": max(6, new // 10)}
        of_batch = {"generate": config.generate.model_copy(update=update), "seed": 1000 + number}
        generate_data(_run(spark, config.model_copy(update=of_batch)))
        lines = spark.read.parquet(f"{folder}/new{number}/transactions")
        new_orders = lines.withColumn("order_id", F.concat(F.lit(f"N{number}-"), "order_id"))
        new_orders.write.parquet(f"{folder}/batch{number}")
    load_order_lines(_run(spark, config))
    table = f"{folder}/tables/transactions"
    copies = spark.read.format("delta").load(table).withColumn("copy", F.explode(F.sequence(F.lit(2), F.lit(TIMES))))
    others = {"order_id": F.concat("order_id", F.lit("-"), "copy"), "line_id": F.xxhash64("line_id", "copy")}
    copies.withColumns(others).drop("copy").write.format("delta").mode("append").save(table)
    load_order_lines(_run(spark, config))
    numbers = iter(range(batches))

    def ingest() -> None:
        number = next(numbers)
        for file in sorted((folder / f"batch{number}").glob("*.parquet")):
            file.rename(folder / "data" / "transactions" / f"batch{number}-{file.name}")
        load_order_lines(_run(spark, config))

    return ingest


def _measured(folder: Path, format_: str, lines: int, runs: int) -> list[Comparison]:
    for way in _ways(folder / "few", format_, max(1_000, lines // 10)).values():
        way()  # unmeasured, so that everything is compiled
    ways = _ways(folder / "all", format_, lines)
    peers = [(name, ways[name], limit) for name, limit in (("notebook", NOTEBOOK_LIMIT), ("bare copy", COPY_LIMIT))]
    what = f"ingest {lines:,} lines of {format_}"
    comparisons = compared_with_each(what, ways["ours"], peers=peers, items=lines, runs=runs)
    shutil.rmtree(folder)
    return comparisons


def _ways(folder: Path, format_: str, lines: int) -> dict[str, Callable[[], None]]:
    """Three ways to bring so many lines from files to tables."""
    config = _config(folder, format_, lines)
    spark = get_session(config.spark)
    generate_data(_run(spark, config))
    data = str(folder / "data" / "transactions")

    def ours() -> None:
        shutil.rmtree(folder / "tables", ignore_errors=True)
        load_order_lines(_run(spark, config))

    def notebook() -> None:
        shutil.rmtree(folder / "notebook", ignore_errors=True)
        checked = _as_in_a_notebook(spark.read.format(format_).option("header", "true").load(data))
        checked.where("size(reasons) = 0").drop("reasons").write.format("delta").save(f"{folder}/notebook/good")
        checked.where("size(reasons) > 0").write.format("delta").save(f"{folder}/notebook/bad")

    def copy() -> None:
        shutil.rmtree(folder / "copy", ignore_errors=True)
        source = spark.read.format(format_).option("header", "true").load(data)
        source.write.format("delta").save(str(folder / "copy"))

    return {"notebook": notebook, "bare copy": copy, "ours": ours}


def _as_in_a_notebook(source: DataFrame) -> DataFrame:
    """The lines typed, with a rule column for each check of a line by itself, copies dropped."""
    quantity, price = F.col("quantity").try_cast("decimal(18,3)"), F.col("unit_price").try_cast("decimal(18,6)")
    typed = source.select(
        F.nullif(F.trim("customer_id"), F.lit("")).alias("customer_id"),
        F.nullif(F.trim("order_id"), F.lit("")).alias("order_id"),
        F.col("ordered_at").try_cast("timestamp").alias("ordered_at"),
        *(F.trim(name).alias(name) for name in ("product_id", "category", "channel")),
        quantity.alias("quantity"),
        (quantity * price).try_cast("decimal(18,2)").alias("amount"),
        F.abs(F.col("discount").try_cast("decimal(18,2)")).alias("discount"),
        F.coalesce(quantity < 0, F.lit(False)).alias("is_return"),
    )
    rules = {
        "missing_customer": F.col("customer_id").isNull(),
        "missing_order": F.col("order_id").isNull(),
        "unreadable_date": F.col("ordered_at").isNull(),
        "date_in_future": F.col("ordered_at") >= F.lit("2100-01-01").cast("timestamp"),
        "unreadable_number": F.col("amount").isNull(),
        "zero_quantity": F.col("quantity") == 0,
        "absurd_quantity": F.abs("quantity") > 100_000,
        "zero_price": (F.col("amount") == 0) & (F.col("discount") == 0),
        "negative_price": (F.col("amount") < 0) & ~F.col("is_return"),
    }
    reasons = F.array_compact(F.array(*(F.when(holds, F.lit(code)) for code, holds in rules.items())))
    return typed.dropDuplicates().withColumn("reasons", reasons)


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
