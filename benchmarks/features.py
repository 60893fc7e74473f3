"""What the features of all customers cost in a pipeline: beside DuckDB, notebooks, a skewed customer, and a day."""

import io
import shutil
import tempfile
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import duckdb
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from rich.console import Console

from benchmarks.measuring import Comparison, compared, timed
from customer_segmentation.config.as_of import as_of_dates
from customer_segmentation.config.schema import Config, Spark
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.features.build import customer_features
from customer_segmentation.ingest.returns import matched_returns
from customer_segmentation.progress import Progress
from customer_segmentation.spark.session import get_session
from customer_segmentation.stages import Run, build_features
from customer_segmentation.stages.builds import record_build
from customer_segmentation.stages.customer_history import bring_up_to_date
from customer_segmentation.stages.ingest.batch_log import Batch, read_log

FIRST = date(2022, 1, 1)
DAYS = 730
AS_OF = FIRST + timedelta(DAYS)
LINES_PER_CUSTOMER = 10
LINES_PER_PARTITION = 500_000
PEER = Path(__file__).with_name("features.sql").read_text()


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """All families for a tenth as many customers as lines, built as a pipeline's first run does: tables included.

    The notebook plan takes so long that it is run once.
    """
    spark = get_session(Spark(driver_memory="4g"))
    with tempfile.TemporaryDirectory(prefix="bench-features-") as folder:
        even, skewed = Path(folder) / "even", Path(folder) / "skewed"
        _write_lines(spark, even, generated(spark, lines))
        _write_lines(spark, skewed, generated(spark, lines, skew=0.3))
        source = even / t.TRANSACTIONS.name
        what = f"features, {lines:,} lines"
        build = partial(built, spark, even)
        one_frame = partial(_done, customer_features(_read(spark, source), as_of=AS_OF))
        notebook = partial(_done, as_in_notebooks(_read(spark, source)))
        no_skew = ("no such customer", build)
        return [
            compared(what, build, peer=("DuckDB", partial(in_duckdb, source)), items=lines, limit=6.0, runs=runs),
            compared(what, build, peer=("notebook plan", notebook), items=lines, limit=1 / 2, runs=1),
            compared(f"{what}, in one plan", one_frame, peer=("with tables", build), items=lines, limit=1.0, runs=runs),
            compared(
                "features, one customer has 30% of the lines",
                partial(built, spark, skewed),
                peer=no_skew,
                items=lines,
                limit=1.5,
                runs=runs,
            ),
        ]


def measure_day(*, lines: int, runs: int) -> list[Comparison]:
    """One more day on two years against a full build of the same tables, for two kinds of trade.

    Of customers with 200 lines each, a day is seldom without a tenth of them, and all their lines are looked at.
    """
    return [_measure_day(lines, runs, per_customer=per_customer) for per_customer in (LINES_PER_CUSTOMER, 200)]


def _measure_day(lines: int, runs: int, *, per_customer: int) -> Comparison:
    spark = get_session(Spark(driver_memory="4g"))
    with tempfile.TemporaryDirectory(prefix="bench-day-") as folder:
        customers = max(1, lines // per_customer)
        # The day after the others becomes known when the as-of date moves on.
        day = generated(spark, max(1, lines // DAYS), customers=customers, first=AS_OF, days=1)
        _write_lines(spark, Path(folder), generated(spark, lines, customers=customers), day)

        def one_more() -> None:
            bring_up_to_date(_run(spark, Path(folder), AS_OF + timedelta(1)))

        def anew() -> None:
            _delete_tables(Path(folder))
            bring_up_to_date(_run(spark, Path(folder), AS_OF))

        what = f"one more day on {lines:,} lines, {per_customer} by customer"
        return compared(what, one_more, peer=("full build", anew), items=lines // DAYS, limit=1 / 20, runs=runs)


def measure_growth(*, lines: int, runs: int) -> list[Comparison]:
    """Ten times the lines, and a tenth of them, in the same 4 GB: what a line costs may grow by 1.3 at most over both.

    Partitions are as many as the large table needs, for the small one too.
    """
    small, large = max(1, lines // 10), lines * 10
    spark = get_session(Spark(driver_memory="4g", shuffle_partitions=max(16, large // LINES_PER_PARTITION)))
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as folder:

        def seconds(size: int) -> float:
            return timed(partial(built, spark, Path(folder) / str(size)))[0]

        for size in (small, large):
            _write_lines(spark, Path(folder) / str(size), generated(spark, size))
        seconds(small)
        turns = [(seconds(small), seconds(large)) for _ in range(runs)]
    times = large // small
    peer = f"{times} times {small:,} lines"
    of_small, of_large = [times * turn[0] for turn in turns], [turn[1] for turn in turns]
    return [Comparison(f"features, {large:,} lines", peer, large, 1.3, of_large, of_small)]


def measure_dates(*, lines: int, runs: int) -> list[Comparison]:
    """36 monthly dates in one pass against the last of them alone, for two kinds of trade over three years."""
    return [_measure_dates(lines, runs, per_customer=per_customer) for per_customer in (LINES_PER_CUSTOMER, 200)]


def _measure_dates(lines: int, runs: int, *, per_customer: int) -> Comparison:
    spark = get_session(Spark(driver_memory="4g"))
    dates = as_of_dates("2022-02-01..2025-01-01")
    days = (dates[-1] - FIRST).days
    with tempfile.TemporaryDirectory(prefix="bench-dates-") as folder:
        path = f"{folder}/lines"
        generated(spark, lines, customers=max(1, lines // per_customer), days=days).write.parquet(path)

        def features_of(as_of: date | list[date]) -> None:
            _done(customer_features(spark.read.parquet(path), as_of=as_of))

        what = f"features of {len(dates)} dates, {lines:,} lines, {per_customer} by customer"
        peer = ("one date", partial(features_of, dates[-1]))
        return compared(what, partial(features_of, dates), peer=peer, items=lines, limit=3.0, runs=runs)


def generated(
    spark: SparkSession, lines: int, *, customers: int = 0, skew: float = 0.0, first: date = FIRST, days: int = DAYS
) -> DataFrame:
    """Order lines in the columns of `transactions`: orders of three lines, all columns filled, 4% returns.

    Args:
        skew: share of the lines that one customer has.
    """
    customers = customers or max(1, lines // LINES_PER_CUSTOMER)
    order = F.floor(F.col("id") / 3)

    def drawn(of: Column, salt: int, values: int) -> Column:
        return F.pmod(F.xxhash64(of, F.lit(salt), F.lit(first)), F.lit(values))

    who = drawn(order, 1, customers)
    is_skewed = drawn(order, 2, 1000) < int(1000 * skew)
    seconds = drawn(order, 3, days * 86_400)
    is_return = drawn(F.col("id"), 4, 25) == 0
    sign = F.when(is_return, -1).otherwise(1)
    product = drawn(F.col("id"), 5, 5000)
    frame = spark.range(lines).select(
        F.concat(F.lit("C"), F.when(is_skewed, 0).otherwise(who)).alias(c.CUSTOMER_ID),
        F.concat(F.lit(f"O{first:%y%m%d}-"), order).alias(c.ORDER_ID),
        (F.lit(first).cast("timestamp") + F.make_dt_interval(secs=seconds)).alias(c.ORDERED_AT),
        F.concat(F.lit("P"), product).alias(c.PRODUCT_ID),
        F.concat(F.lit("K"), product % 40).alias(c.CATEGORY),
        (sign * (1 + drawn(F.col("id"), 6, 4))).alias(c.QUANTITY),
        (sign * (100 + drawn(F.col("id"), 7, 5000)) / 100).alias(c.AMOUNT),
        (drawn(F.col("id"), 8, 300) / 100).alias(c.DISCOUNT),
        F.when(drawn(order, 9, 3) == 0, "web").otherwise("store").alias(c.CHANNEL),
        F.concat(F.lit("B"), product % 300).alias(c.BRAND),
        F.concat(F.lit("S"), drawn(order, 10, 100)).alias(c.STORE_ID),
        F.when(drawn(F.col("id"), 11, 20) == 0, 1).otherwise(0).alias(c.COUPON),
        is_return.alias(c.IS_RETURN),
        F.array().cast("array<string>").alias(c.WARNINGS),
        F.lit(None).cast("string").alias(c.LINE_NUMBER),
        F.lit(None).cast("timestamp").alias(c.CHANGED_AT),
        F.xxhash64("id", F.lit(first)).alias(c.LINE_ID),
    )
    return t.TRANSACTIONS.conform(frame)


def built(spark: SparkSession, folder: Path) -> None:
    """What a pipeline makes of order lines that it has not seen: the tables of aggregates, and customer_features."""
    _delete_tables(folder)
    build_features(_run(spark, folder, AS_OF))


def in_duckdb(path: Path) -> None:
    """The same columns by `features.sql`, written to Parquet; with all cores and 4 GB, as we have."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '4GB'; SET temp_directory = '{folder}'; SET TimeZone = 'UTC'")
        connection.execute("SET preserve_insertion_order = false")
        statement = PEER.format(lines=f"read_parquet('{path}/*.parquet')", as_of=AS_OF.isoformat())
        connection.execute(f"COPY ({statement}) TO '{folder}/out.parquet'")


def as_in_notebooks(lines: DataFrame) -> DataFrame:
    """Our columns as tutorials compute them: distinct counts and conditional sums in one grouping, `lag` for the gaps,
    a grouping and a window for each kind of share, joins, and `ntile` over all customers for the scores.
    """
    known = lines.where(F.col(c.ORDERED_AT) < F.lit(AS_OF).cast("timestamp")).withColumn("day", F.to_date(c.ORDERED_AT))
    bought = known.where(~F.col(c.IS_RETURN))
    features = bought.groupBy(c.CUSTOMER_ID).agg(*_in_one_grouping())
    by_customer = Window.partitionBy(c.CUSTOMER_ID)
    gap = F.date_diff("day", F.lag("day").over(by_customer.orderBy("day"))).cast("double")
    gaps = bought.select(c.CUSTOMER_ID, "day").distinct().select(c.CUSTOMER_ID, gap.alias("gap")).groupBy(c.CUSTOMER_ID)
    returned = known.where(c.IS_RETURN).groupBy(c.CUSTOMER_ID)
    prices = bought.groupBy(c.CATEGORY).agg((F.sum(c.AMOUNT) / F.sum(c.QUANTITY)).alias("price"))
    priced = bought.join(F.broadcast(prices), c.CATEGORY).groupBy(c.CUSTOMER_ID)
    parts = [
        gaps.agg(F.avg("gap"), F.stddev("gap"), F.avg(F.log("gap")), F.sum(F.col("gap") * F.log("gap"))),
        returned.agg(F.sum(c.AMOUNT), F.count_distinct(c.ORDER_ID)),
        priced.agg(F.sum(F.col(c.QUANTITY) * F.col("price"))),
        *(_shares(bought, name) for name in (c.CATEGORY, c.BRAND, c.CHANNEL, c.STORE_ID)),
    ]
    for number, part in enumerate(parts):
        sums = [F.col(f"`{name}`").alias(f"of_{number}_{i}") for i, name in enumerate(part.columns[1:])]
        features = features.join(part.select(c.CUSTOMER_ID, *sums), on=c.CUSTOMER_ID, how="left")
    for name in ("recency", "frequency", "monetary"):
        features = features.withColumn(f"{name}_score", F.ntile(5).over(Window.orderBy(name)))
    return features


def _in_one_grouping() -> list[Column]:
    hour, month, weekday = F.hour(c.ORDERED_AT), F.month("day"), F.dayofweek("day")
    conditions = {
        **{f"part_{i}": F.floor(hour / 6) == i for i in range(4)},
        **{f"season_{i}": F.floor(month % 12 / 3) == i for i in range(4)},
        "weekend": weekday.isin(1, 7),
        "discounted": F.col(c.DISCOUNT) > 0,
    }
    columns = [
        F.date_diff(F.lit(AS_OF), F.max("day")).alias("recency"),
        F.date_diff(F.lit(AS_OF), F.min("day")).alias("tenure"),
        F.count_distinct(c.ORDER_ID).alias("frequency"),
        F.sum(c.AMOUNT).alias("monetary"),
        F.sum(c.QUANTITY).alias("items"),
        F.sum(c.DISCOUNT).alias("discounts"),
        F.sum(F.when(F.col(c.DISCOUNT) > 0, F.col(c.AMOUNT))).alias("discounted_spend"),
        F.count_distinct("day").alias("days"),
        F.count_distinct(F.when(F.col(c.COUPON) > 0, F.col(c.ORDER_ID))).alias("coupon_orders"),
        *(
            F.count_distinct(name).alias(f"distinct_{name}")
            for name in (c.PRODUCT_ID, c.CATEGORY, c.BRAND, c.CHANNEL, c.STORE_ID)
        ),
        *(F.avg(holds.cast("int")).alias(name) for name, holds in conditions.items()),
    ]
    for length in (30, 90, 365):
        is_in = F.col("day") >= F.lit(AS_OF - timedelta(length))
        is_before = ~is_in & (F.col("day") >= F.lit(AS_OF - timedelta(2 * length)))
        columns += [
            F.sum(F.when(is_in, F.col(c.AMOUNT))).alias(f"spend_{length}"),
            F.sum(F.when(is_before, F.col(c.AMOUNT))).alias(f"before_{length}"),
            F.count_distinct(F.when(is_in, F.col(c.ORDER_ID))).alias(f"orders_{length}"),
        ]
    return columns


def _shares(bought: DataFrame, name: str) -> DataFrame:
    """The largest share, the three largest, the entropy and the Herfindahl index of the spend over a column."""
    by_customer = Window.partitionBy(c.CUSTOMER_ID)
    spend = bought.groupBy(c.CUSTOMER_ID, name).agg(F.sum(c.AMOUNT).cast("double").alias("spend"))
    share = F.col("spend") / F.sum("spend").over(by_customer)
    place = F.row_number().over(by_customer.orderBy(F.desc("spend")))
    shares = spend.withColumns({"share": share, "place": place}).groupBy(c.CUSTOMER_ID)
    share = F.col("share")
    return shares.agg(
        F.max(share), F.sum(F.when(F.col("place") <= 3, share)), -F.sum(share * F.log(share)), F.sum(share * share)
    )


def _done(frame: DataFrame) -> None:
    """Compute every column and keep none, in the format that costs least."""
    with tempfile.TemporaryDirectory() as folder:
        frame.write.mode("overwrite").parquet(f"{folder}/out")


def _run(spark: SparkSession, folder: Path, as_of: date) -> Run:
    columns = dict.fromkeys(("customer_id", "order_id", "ordered_at", "amount"), "x")
    settings = {
        "as_of": as_of.isoformat(),
        "sources": {"transactions": {"path": "-", "columns": columns}},
        "tables": {"root": str(folder)},
    }
    return Run(spark, Config.model_validate(settings), Progress(Console(file=io.StringIO())))


def _write_lines(spark: SparkSession, folder: Path, *parts: DataFrame) -> None:
    """The tables as an ingest of these order lines leaves them; there are no returned orders."""
    run = _run(spark, folder, AS_OF)
    for part in parts:
        run.warehouse.append(t.TRANSACTIONS, part)
    run.warehouse.overwrite(t.RETURNS, matched_returns(parts[0].limit(0)))
    batch = read_log(run).record(Batch(1, "generated", "committed", "full", [], 1, AS_OF, [], "generated"))
    record_build(run, t.RETURNS, "committed", {"batch": batch.number})


def _delete_tables(folder: Path) -> None:
    for table in (t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY, t.CUSTOMER_FEATURES):
        shutil.rmtree(folder / table.name, ignore_errors=True)


def _read(spark: SparkSession, path: Path) -> DataFrame:
    return spark.read.format("delta").load(str(path))
