"""What assigning customers to segments costs: a table of features read, assigned and written, against a bare copy."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.measuring import Comparison, compared
from customer_segmentation.clustering import CentroidModel, Preparation
from customer_segmentation.clustering.preparation import PreparedFeature
from customer_segmentation.config.schema import Spark
from customer_segmentation.spark.session import get_session

LIMIT = 2.0
FEATURES = 8
SEGMENTS = 8


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """Assigning with k = 8 and 8 features, half of them skewed; a customer for every order line."""
    with tempfile.TemporaryDirectory(prefix="bench-assignment-") as folder:
        spark = get_session(Spark())
        source, target = str(Path(folder) / "features"), str(Path(folder) / "assigned")
        features_of(spark, lines).write.parquet(source)
        model = _model()

        def written(frame: DataFrame) -> None:
            shutil.rmtree(target, ignore_errors=True)
            frame.write.parquet(target)

        return [
            compared(
                f"assign {lines:,} customers",
                lambda: written(model.assign(spark.read.parquet(source))),
                peer=("read, write", lambda: written(spark.read.parquet(source))),
                items=lines,
                limit=LIMIT,
                runs=runs,
            )
        ]


def features_of(spark: SparkSession, customers: int) -> DataFrame:
    """Customers with positive, skewed features x0 to x7, the same at each call."""
    uniform = [F.expr(f"pmod(xxhash64(id, {j}), 1000003) / 1000003D") for j in range(3 * FEATURES)]
    features = [
        F.exp(3 * one + 2 * two * three).alias(f"x{j}")
        for j, (one, two, three) in enumerate(zip(*(iter(uniform),) * 3, strict=True))
    ]
    return spark.range(customers).select(F.format_string("C%09d", "id").alias("customer_id"), *features)


def _model() -> CentroidModel:
    prepared = tuple(PreparedFeature(f"x{j}", j % 2 == 0, 2.0, 2.0, 1.0) for j in range(FEATURES))
    centers = np.random.default_rng(1).normal(size=(SEGMENTS, FEATURES))
    ids = tuple(range(1, SEGMENTS + 1))
    return CentroidModel("kmeans", Preparation(prepared, {}), ids, centers, (2.0,) * SEGMENTS, 3.0, 0.0)
