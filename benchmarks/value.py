"""What it costs to fit purchase models and to score customers by them."""

import tempfile
from collections.abc import Iterator

import numpy as np
import pandas as pd
from lifetimes import BetaGeoFitter
from pyspark.sql import functions as F

from benchmarks.measuring import Comparison, compared, timed
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session
from customer_segmentation.value import fit_value, with_value
from customer_segmentation.value.histories import distinct_histories
from customer_segmentation.value.purchases import PurchaseModel, fit_purchases

FASTER = 20
"""How many times faster a fit is to be than the peer's."""
SECONDS = 600.0
"""In which so many customers as there are lines are to be fitted and scored, with a driver of 4 GB on two cores."""
_CHUNK = 500_000
_TENURE = 730
_PARAMETERS = (0.6, 30.0, 0.8, 3.0)


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """BG/NBD fitted to a tenth as many simulated customers as lines, against the lifetimes package; rows in both."""
    rows = pd.concat(list(_simulated(lines // 10, seed=1)), ignore_index=True)
    histories = rows.rename(columns={"repeats": "x", "last": "t_x", "tenure": "T"})[["x", "t_x", "T"]]
    fitted: list[PurchaseModel] = []
    peers: list[np.ndarray] = []

    def ours() -> None:
        fitted.append(fit_purchases(distinct_histories(histories), "bg_nbd"))

    def theirs() -> None:
        peer = BetaGeoFitter()
        peer.fit(histories["x"], histories["t_x"], histories["T"])
        peers.append(peer.params_[["r", "alpha", "a", "b"]].to_numpy())

    what = f"BG/NBD of {len(rows):,} customers"
    found = compared(what, ours, peer=("lifetimes", theirs), items=len(rows), limit=1 / FASTER, runs=runs)
    counted = distinct_histories(histories)
    theirs_likelihood, _ = fitted[-1].member("log_likelihood")(peers[-1], counted)
    print(fitted[-1], f"log-likelihood of lifetimes {theirs_likelihood}, at {peers[-1]}", sep="\n")
    assert fitted[-1].log_likelihood >= theirs_likelihood - 1e-6 * abs(theirs_likelihood)
    return [found]


def measure_scale(*, lines: int, runs: int) -> list[Comparison]:
    """As many customers as lines fitted and scored in Spark, from Parquet to Parquet, against the time there is."""
    with tempfile.TemporaryDirectory(prefix="bench-value-") as folder:
        spark = get_session(Spark(master="local[2]", driver_memory="4g"))
        parts = -(-lines // _CHUNK)
        sizes = [min(_CHUNK, lines - part * _CHUNK) for part in range(parts)]

        def simulate(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            for batch in batches:
                for part in batch["id"]:
                    yield from _simulated(sizes[part], seed=part)

        types = "customer bigint, repeats int, last int, tenure int, net double"
        customers = spark.range(0, parts, 1, parts).mapInPandas(simulate, types)
        customers.select(
            F.format_string("C%03d-%06d", F.spark_partition_id(), "customer").alias("customer_id"),
            (F.col("repeats") + 1).cast("bigint").alias("active_days"),
            (F.col("tenure") - F.col("last")).alias("recency_days"),
            F.col("tenure").alias("tenure_days"),
            F.col("net").cast("decimal(18,2)").alias("monetary"),
        ).write.parquet(f"{folder}/features")

        def scored() -> None:
            features = spark.read.parquet(f"{folder}/features")
            model = fit_value(features)
            print(model.purchases, model.spend, sep="\n")
            with_value(features, model).write.mode("overwrite").parquet(f"{folder}/scored")

        seconds = [timed(scored)[0] for _ in range(runs)]
    what = f"fit and score {lines:,} customers"
    return [Comparison(what, "10 minutes", lines, 1.0, seconds, [SECONDS] * runs)]


def _simulated(customers: int, *, seed: int) -> Iterator[pd.DataFrame]:
    """BG/NBD customers with whole days and Gamma-Gamma values."""
    rng = np.random.default_rng(seed)
    r, alpha, a, b = _PARAMETERS
    for start in range(0, customers, _CHUNK):
        n = min(_CHUNK, customers - start)
        rate, p = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n)
        tenure = rng.integers(1, _TENURE + 1, n)
        now, last, repeats = np.zeros(n), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        buying = np.arange(n)
        while len(buying):
            now[buying] += rng.exponential(1 / np.maximum(rate[buying], 1e-12))
            buying = buying[now[buying] < tenure[buying]]
            day = np.floor(now[buying]).astype(np.int64)
            is_new = day > last[buying]
            repeats[buying] += is_new
            last[buying] = np.maximum(last[buying], day)
            buying = buying[rng.random(len(buying)) >= p[buying]]
        net = rng.gamma(3.0 * (repeats + 1), 1 / rng.gamma(3.5, 1 / 40.0, n))
        table = {"customer": start + np.arange(n), "repeats": repeats, "last": last, "tenure": tenure, "net": net}
        yield pd.DataFrame(table)
