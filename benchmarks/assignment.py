"""What assigning customers to segments costs: a table of features read, assigned and written, against a bare copy."""

import tempfile

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.measuring import Comparison, compared
from customer_segmentation.clustering import CentroidModel
from customer_segmentation.config.schema import Spark
from customer_segmentation.contract.columns import DRIVERS
from customer_segmentation.preparation import PreparationModel, PreparedFeature
from customer_segmentation.spark.session import get_session

LIMIT = 2.0
FEATURES = 8
SEGMENTS = 8


def measure(*, lines: int, runs: int) -> list[Comparison]:
    """Assigning with k = 8 and 8 features, half of them skewed; a customer for every order line.

    The peer reads and writes the same rows: once with all that an assignment tells, once without the drivers, which
    are nine values in an array of structs and take longer to write than the features.
    """
    with tempfile.TemporaryDirectory(prefix="bench-assignment-") as folder:
        spark = get_session(Spark())
        features_of(spark, lines).write.parquet(f"{folder}/features")
        model = _model()

        def assigned(*left_out: str) -> DataFrame:
            return model.assign(spark.read.parquet(f"{folder}/features")).drop(*left_out)

        def written(frame: DataFrame) -> None:
            frame.write.mode("overwrite").parquet(f"{folder}/written")

        def comparison(what: str, *left_out: str) -> Comparison:
            assigned(*left_out).write.mode("overwrite").parquet(f"{folder}/assigned")
            return compared(
                f"assign {lines:,} customers{what}",
                lambda: written(assigned(*left_out)),
                peer=("read, write them", lambda: written(spark.read.parquet(f"{folder}/assigned"))),
                items=lines,
                limit=LIMIT,
                runs=runs,
            )

        return [comparison(""), comparison(" without drivers", DRIVERS)]


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
    return CentroidModel("kmeans", PreparationModel(prepared, {}), ids, centers, (2.0,) * SEGMENTS, 3.0, 0.0)
