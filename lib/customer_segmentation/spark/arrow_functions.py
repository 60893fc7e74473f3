"""Functions of Arrow arrays as column expressions, on any Spark that the library runs on.

Spark 4.1 hands Arrow arrays to a function as they are. Spark 4.0 (Databricks runtime 17) hands over pandas objects:
they are turned into the same arrays, so the results are the same, for more work on each batch.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql.pandas import functions

_SPARK: Any = functions  # the stubs of its functions ask for a kind that is optional


def arrow_function(function: Callable[..., Any], returns: str) -> Callable[..., Column]:
    """A function of Arrow arrays that columns can be given to.

    Args:
        function: of an array for each column, to an array as long; or a generator function, of an iterator of the
            batches of one column to an iterator of arrays. It is sent to the workers by its value.
        returns: the type of what it gives, as DDL: one of numbers or texts, or the fields of a struct of these.
    """
    if not hasattr(_SPARK, "arrow_udf"):
        return by_pandas(function, returns)
    made: Callable[..., Column] = _SPARK.arrow_udf(function, returns)
    return made


def by_pandas(function: Callable[..., Any], returns: str) -> Callable[..., Column]:
    """What `arrow_function` gives, by pandas objects. NaN is null, as it is to the functions of the library."""
    integers = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}

    def to_arrow(values: Any) -> Any:
        if isinstance(values, pd.DataFrame):
            arrays = [pa.array(values[name], from_pandas=True) for name in values.columns]
            return pa.StructArray.from_arrays(arrays, names=list(values.columns))
        return pa.array(values, from_pandas=True)

    def to_pandas(array: Any) -> Any:
        if pa.types.is_struct(array.type):
            fields = [array.type.field(place).name for place in range(array.type.num_fields)]
            return pd.DataFrame({name: to_pandas(array.field(name)) for name in fields})
        return array.to_pandas(types_mapper=integers.get)

    def on_arrays(*columns: Any) -> Any:
        return to_pandas(function(*map(to_arrow, columns)))

    def on_batches(batches: Iterator[Any]) -> Iterator[Any]:
        yield from map(to_pandas, function(map(to_arrow, batches)))

    of_batches = inspect.isgeneratorfunction(function)
    kind = _SPARK.PandasUDFType.SCALAR_ITER if of_batches else _SPARK.PandasUDFType.SCALAR
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="In Python 3.6")  # "... it is preferred to specify type hints"
        made: Callable[..., Column] = _SPARK.pandas_udf(on_batches if of_batches else on_arrays, returns, kind)
    return made
