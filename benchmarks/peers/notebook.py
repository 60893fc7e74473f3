"""`python -m benchmarks.peers.notebook LINES COLUMNS AS_OF OUT`: customer segmentation as PySpark notebooks have it.

RFM by a group-by, gaps between orders by `lag`, scores by `ntile` over all customers, k-means for several k judged by
the silhouette, and Delta tables; with Spark's own settings, but for Delta's jars and as few shuffle partitions as those
who write such notebooks set for data of this size: with Spark's 200 it takes five times as long.

LINES: Parquet or CSV files of order lines. COLUMNS: as JSON, the expressions for customer_id, order_id, ordered_at,
product_id, quantity and amount. AS_OF: a date. OUT: a folder.
"""

import json
import sys

from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

from customer_segmentation.spark.jars import delta_jars

KS = range(2, 11)


def main(path: str, columns: dict[str, str], as_of: str, out: str) -> None:
    """Read, compute, cluster, write."""
    spark = (
        SparkSession.builder.config("spark.jars", ",".join(map(str, delta_jars())))
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .getOrCreate()
    )
    read = spark.read.option("header", True).csv if path.endswith("csv") else spark.read.parquet
    lines = read(path).dropDuplicates()
    lines = lines.selectExpr(*(f"{expression} as {name}" for name, expression in columns.items()))
    lines = lines.withColumn("amount", F.col("amount").cast("decimal(18,2)"))
    lines = lines.withColumn("ordered_at", F.col("ordered_at").cast("timestamp"))
    lines = lines.dropna(subset=["customer_id"]).where("quantity > 0 and amount > 0")
    lines.write.format("delta").save(f"{out}/lines")
    lines = spark.read.format("delta").load(f"{out}/lines").where(F.col("ordered_at") < F.lit(as_of).cast("timestamp"))

    rfm = lines.groupBy("customer_id").agg(
        F.datediff(F.lit(as_of).cast("date"), F.max("ordered_at")).alias("recency"),
        F.countDistinct("order_id").alias("frequency"),
        F.sum("amount").alias("monetary"),
        F.countDistinct("product_id").alias("products"),
        F.datediff(F.lit(as_of).cast("date"), F.min("ordered_at")).alias("tenure"),
    )
    days = lines.select("customer_id", F.to_date("ordered_at").alias("day")).distinct()
    by_day = Window.partitionBy("customer_id").orderBy("day")
    gaps = days.withColumn("gap", F.datediff("day", F.lag("day").over(by_day))).groupBy("customer_id")
    features = rfm.join(gaps.agg(F.avg("gap").alias("gap")), "customer_id", "left").fillna({"gap": 0})
    features = features.withColumn("basket", F.col("monetary") / F.col("frequency")).cache()
    scored = (
        features.withColumn("r", F.ntile(5).over(Window.orderBy(F.desc("recency"))))
        .withColumn("f", F.ntile(5).over(Window.orderBy("frequency")))
        .withColumn("m", F.ntile(5).over(Window.orderBy("monetary")))
    )
    scored = scored.withColumn(
        "rfm_segment",
        F.when((F.col("r") >= 4) & (F.col("f") >= 4), "Champions")
        .when(F.col("f") >= 4, "Loyal")
        .when(F.col("r") >= 4, "Recent")
        .when(F.col("r") <= 2, "At risk")
        .otherwise("Others"),
    )
    scored.write.format("delta").save(f"{out}/rfm")

    columns_used = ["recency", "frequency", "monetary", "products", "tenure", "gap", "basket"]
    assembled = VectorAssembler(inputCols=columns_used, outputCol="raw").transform(
        features.select("customer_id", *(F.col(name).cast("double").alias(name) for name in columns_used))
    )
    scaled = StandardScaler(inputCol="raw", outputCol="features", withMean=True).fit(assembled).transform(assembled)
    scaled = scaled.cache()
    evaluator = ClusteringEvaluator()
    models = {k: KMeans(k=k, seed=1).fit(scaled) for k in KS}
    scores = {k: evaluator.evaluate(model.transform(scaled)) for k, model in models.items()}
    best = max(scores, key=lambda k: scores[k])
    segments = models[best].transform(scaled).select("customer_id", F.col("prediction").alias("segment_id"))
    segments.write.format("delta").save(f"{out}/segments")
    profiles = segments.join(features, "customer_id").groupBy("segment_id")
    averages = (F.avg(name).alias(name) for name in columns_used)
    profiles.agg(F.count("*").alias("customers"), *averages).write.format("delta").save(f"{out}/profiles")
    spark.read.format("delta").load(f"{out}/profiles").orderBy("segment_id").show()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4])
