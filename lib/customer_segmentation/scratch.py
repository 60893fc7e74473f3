"""Keeps rows in tables beside the others for as long as a command works, where Spark keeps none in memory or on disk.

Serverless compute and some Spark Connect servers refuse to persist a frame. What is read several times, and what is
built on while the tables that it was read from change, is written down instead. Only a command that has the claim on
the tables does so: what a killed one left behind is removed by the next.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from customer_segmentation.spark.persistence import kept_by
from customer_segmentation.storage import Warehouse

_NAME = "customer_segmentation_scratch_"
_NUMBERS = count()


@contextmanager
def scratch_tables(warehouse: Warehouse) -> Iterator[None]:
    """What `spark.persistence` is asked to keep in the block, and Spark refuses to, is kept in tables; none stays."""
    scratch = ScratchTables(warehouse)
    with kept_by(warehouse.spark, scratch):
        try:
            yield
        finally:
            scratch.remove_all()


class ScratchTables:
    """The tables that frames are kept in.

    Args:
        warehouse: whose place they are in.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._spark = warehouse.spark
        self._places: list[str] | None = None

    def keep(self, frame: DataFrame) -> DataFrame:
        """The rows of a frame, written down until the end; its columns may have any names, also one name twice."""
        return self._written(frame, self._new_place())

    @contextmanager
    def kept(self, frame: DataFrame) -> Iterator[DataFrame]:
        """The same for a block."""
        place = self._new_place()
        try:
            yield self._written(frame, place)
        finally:
            self._remove(place)

    def remove_all(self) -> None:
        """Remove what is still kept."""
        for place in self._places or []:
            self._remove(place)
        self._places = None

    def _new_place(self) -> str:
        if self._places is None:
            self._remove_left_over()
            self._places = []
        place = self._warehouse.place(f"{_NAME}{next(_NUMBERS)}")
        self._places.append(place)
        return place

    def _written(self, frame: DataFrame, place: str) -> DataFrame:
        names = frame.columns
        writer = frame.toDF(*(f"c{number}" for number in range(len(names)))).write.mode("overwrite")
        if self._warehouse.is_named:
            self._warehouse.make_schema()
            writer.format("delta").option("overwriteSchema", True).saveAsTable(place)
            return self._spark.table(place).toDF(*names)
        writer.parquet(place)
        return self._spark.read.parquet(place).toDF(*names)

    def _remove(self, place: str) -> None:
        if self._warehouse.is_named:
            self._spark.sql(f"DROP TABLE IF EXISTS {place}")
        elif Path(place).is_dir():
            shutil.rmtree(place)
        elif ":" in place:
            # No file system is at hand: to overwrite them removes the rows, and leaves an empty file.
            self._spark.range(0).write.mode("overwrite").parquet(place)

    def _remove_left_over(self) -> None:
        """Remove what a command that was killed has left behind."""
        if self._warehouse.is_named:
            schema = self._warehouse.place("").rstrip(".")
            if self._spark.catalog.databaseExists(schema):
                found = self._spark.sql(f"SHOW TABLES IN {schema} LIKE '{_NAME}*'").collect()
                for row in found:
                    self._remove(self._warehouse.place(row["tableName"]))
            return
        root = self._warehouse.place("")
        if ":" not in root:
            for folder in Path(root).glob(f"{_NAME}*"):
                shutil.rmtree(folder)
            return
        for number in count():
            place = f"{root}{_NAME}{number}"
            try:
                is_empty = self._spark.read.parquet(place).isEmpty()
            except AnalysisException:
                return
            if not is_empty:
                self._remove(place)
