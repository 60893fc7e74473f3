"""Functions of Arrow arrays give the same rows where Spark hands over pandas objects."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.spark.arrow_functions import arrow_function, by_pandas

ROWS = [(1, 1.5, True), (2, None, False), (3, float("nan"), None), (None, float("inf"), True), (5, -0.0, False)]


@pytest.fixture
def rows(spark: SparkSession) -> DataFrame:
    given = spark.createDataFrame(ROWS, "n int, x double, flag boolean")
    return given.withColumn("both", F.struct("n", "x")).repartition(2, "n")


def described(*columns: pa.Array) -> pa.Array:
    """A struct of each type, with nulls where the first column is more than 2."""
    numbers, values = (column.to_numpy(zero_copy_only=False).astype(float) for column in columns[:2])
    is_large = np.nan_to_num(numbers) > 2
    is_missing = np.isnan(values)
    fields = {
        "place": pa.array(np.arange(len(numbers)) * 0 + 7, pa.int32(), mask=is_large),
        "total": pa.array(np.nan_to_num(numbers) + np.where(is_missing, 0, values), mask=is_large),
        "is_missing": pa.array(is_missing),
    }
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields))


def doubled(column: pa.Array) -> pa.Array:
    return pa.array(np.nan_to_num(column.to_numpy(zero_copy_only=False).astype(float)).astype(np.int32) * 2)


def by_batch(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
    for batch in batches:
        yield described(*batch.flatten())


@pytest.mark.parametrize(
    ("function", "returns", "columns", "first"),
    [
        (
            described,
            "place int, total double, is_missing boolean",
            ["n", "x"],
            Row(place=7, total=2.5, is_missing=False),
        ),
        (doubled, "int", ["n"], 2),
        (by_batch, "place int, total double, is_missing boolean", ["both"], Row(place=7, total=2.5, is_missing=False)),
    ],
    ids=["a struct of columns", "a number of a column", "batches of a struct"],
)
def test_arrays_and_pandas_objects_give_the_same(
    rows: DataFrame, function: Callable[..., pa.Array], returns: str, columns: list[str], first: Any
) -> None:
    by_arrow, other = arrow_function(function, returns), by_pandas(function, returns)

    both = rows.select("n", by_arrow(*columns).alias("by_arrow"), other(*columns).alias("by_pandas"))

    found = both.collect()
    assert len(found) == len(ROWS)
    by_number = sorted(((row.n or 0, row.by_arrow, row.by_pandas) for row in found), key=str)
    assert [own for _, own, _ in by_number] == [other for _, _, other in by_number]
    assert by_number[1][1] == first
    assert both.schema["by_pandas"].dataType == both.schema["by_arrow"].dataType
