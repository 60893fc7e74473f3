"""`python -m benchmarks.peers.table_read TABLE`: the least that Spark can do: start a session, count a Delta table."""

import sys

from pyspark.sql import SparkSession

from customer_segmentation.spark.jars import delta_jars

if __name__ == "__main__":
    spark = (
        SparkSession.builder.config("spark.jars", ",".join(map(str, delta_jars())))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .getOrCreate()
    )
    print(spark.read.format("delta").load(sys.argv[1]).where("customer_id is not null").count())
