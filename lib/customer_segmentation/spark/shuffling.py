"""How many tasks a shuffle feeds, and how many branches of a plan."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructType, VariantType

from customer_segmentation.spark.settings import at_most, setting

_PARTITIONS = "spark.sql.shuffle.partitions"

_COLUMNAR = ("parquet", "orc")
_BYTES_OF_A_PART = 2 * 2**20
"""Of columnar files: some 200,000 rows."""
_MOST_PARTS = 200
"""Where the platform chooses the number of partitions."""


def at_most_partitions(spark: SparkSession, most: int) -> AbstractContextManager[None]:
    """Frames computed in the block are shuffled into at most so many partitions.

    For few rows that much is made of: each task costs as much as many of them.
    """
    return at_most(spark, _PARTITIONS, most)


def spread(frame: DataFrame, file_format: str, sizes: Sequence[int]) -> DataFrame:
    """The rows of a few columnar files in as many parts as they are worth, for what each row costs after it is read.

    A task reads such a file, or as a rule one of at most 128 MB, alone; rows of text come in parts by themselves.

    Args:
        frame: the rows of all the files.
        file_format: of the files.
        sizes: of each file, in bytes.
    """
    usual = setting(frame.sparkSession, _PARTITIONS)
    most = int(usual) if usual is not None and usual.isdecimal() else _MOST_PARTS  # on Databricks it may be auto
    parts = min(sum(sizes) // _BYTES_OF_A_PART, most)
    if file_format not in _COLUMNAR or len(sizes) >= parts:
        return frame
    names = [field.name.replace("`", "``") for field in frame.schema.fields if _has_hash(field.dataType)]
    return frame.repartition(parts, *([F.xxhash64(*(F.col(f"`{name}`") for name in names))] if names else []))


def _has_hash(type_: DataType) -> bool:
    """Whether Spark has a hash for values of a type: for no map and no variant, nor for what holds one."""
    if isinstance(type_, StructType):
        return all(_has_hash(field.dataType) for field in type_.fields)
    if isinstance(type_, ArrayType):
        return _has_hash(type_.elementType)
    return not isinstance(type_, (MapType, VariantType))


def shuffled_once(frame: DataFrame, by: str) -> DataFrame:
    """The frame partitioned by a column, in one shuffle for all branches of a plan that use it.

    Branches share a shuffle only where it is the same one. What is observed names every column, so that no branch's
    shuffle goes without the columns that only another one reads; where no value is empty, it costs a comparison.

    Args:
        by: a column of text.
    """
    odd = (F.col(by) == "") & (F.hash(*frame.columns) == 0)
    return frame.repartition(by).observe(Observation(), F.count_if(odd).alias("odd"))
