"""Keeps rows in tables beside the others for as long as a command works, where Spark keeps none in memory or on disk.

Serverless compute and some Spark Connect servers refuse to persist a frame. What is read several times, and what is
built on while the tables that it was read from change, is written down instead. Only a command that has the claim on
the tables does so: what a killed one left behind is removed by the next, wherever that one runs.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from customer_segmentation.contract.errors import first_line
from customer_segmentation.log import log
from customer_segmentation.spark.persistence import kept_by
from customer_segmentation.storage import Warehouse

NAME = "customer_segmentation_scratch_"
"""What the names of the tables begin with, before a number."""


@contextmanager
def scratch_tables(warehouse: Warehouse) -> Iterator[None]:
    """What `spark.persistence` is asked to keep in the block, and Spark refuses to, is kept in tables; none stays."""
    scratch = ScratchTables(warehouse)
    scratch.remove_left_over()
    with kept_by(warehouse.spark, scratch):
        try:
            yield
        finally:
            scratch.remove_all()


class ScratchTables:
    """The tables that frames are kept in. Several threads may use it.

    Args:
        warehouse: whose place they are in.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._spark = warehouse.spark
        self._numbers = count()  # of which each is given once, to whatever thread
        self._places: set[str] = set()

    def keep(self, frame: DataFrame) -> DataFrame:
        """The rows of a frame, written down until the end.

        Its columns may have any names, also one name twice; their types have to be such that a table can have.
        """
        return self._written(frame, self._new_place())

    @contextmanager
    def kept(self, frame: DataFrame) -> Iterator[DataFrame]:
        """A scratch table of a frame for the length of a block, removed at its end."""
        place = self._new_place()
        try:
            yield self._written(frame, place)
        finally:
            self._remove(place)

    def remove_all(self) -> None:
        """Remove what is still kept."""
        for place in sorted(self._places):
            self._remove(place)

    def remove_left_over(self) -> None:
        """Remove what a command that was killed has left behind."""
        for place in self._left_over():
            self._remove(place)

    def _new_place(self) -> str:
        place = self._warehouse.place(f"{NAME}{next(self._numbers)}")
        self._places.add(place)
        return place

    def _written(self, frame: DataFrame, place: str) -> DataFrame:
        names = frame.columns
        writer = frame.toDF(*(f"c{number}" for number in range(len(names)))).write.mode("overwrite")
        if self._warehouse.is_named:
            self._warehouse.make_schema()
            # By name, fields of a struct may be called what a source calls its columns.
            by_name = writer.format("delta").option("delta.columnMapping.mode", "name")
            by_name.option("overwriteSchema", True).saveAsTable(place)
            return self._spark.table(place).toDF(*names)
        writer.parquet(place)
        return self._spark.read.parquet(place).toDF(*names)

    def _remove(self, place: str) -> None:
        """Remove a table; where that fails it is left to the next command, and the work goes on."""
        try:
            if self._warehouse.is_named:
                self._spark.sql(f"DROP TABLE IF EXISTS {place}")
            elif self._warehouse.folder is not None or Path(place).is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                # No file system is at hand: to overwrite them removes the rows, and leaves an empty file.
                self._spark.createDataFrame([], "c0 int").write.mode("overwrite").parquet(place)
        except Exception as error:
            log.warning("%s could not be removed: %s", place, first_line(error))
        self._places.discard(place)

    def _left_over(self) -> Iterator[str]:
        home = self._warehouse.home
        if self._warehouse.is_named:
            if self._spark.catalog.databaseExists(home):
                for row in self._spark.sql(f"SHOW TABLES IN {home} LIKE '{NAME}*'").collect():
                    yield self._warehouse.place(row["tableName"])
            return
        yield from map(str, Path(home).glob(f"{NAME}*"))
        if self._warehouse.folder is None:
            for number in count():
                place = self._warehouse.place(f"{NAME}{number}")
                try:
                    self._spark.read.text(place).isEmpty()
                except AnalysisException as error:
                    if error.getCondition() == "PATH_NOT_FOUND":
                        return
                yield place
