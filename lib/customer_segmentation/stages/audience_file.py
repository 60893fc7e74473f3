"""Writes the rows of a frame, in their order, to one file of this machine: CSV or Parquet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pyspark.sql import DataFrame

from customer_segmentation.config.audience import FileFormat
from customer_segmentation.contract.errors import StorageError
from customer_segmentation.whole_file import whole_file

_BATCH = "_batch"


def write_file(rows: DataFrame, path: Path, file_format: FileFormat) -> int:
    """Write all rows to a file that only its owner may read; it is there as a whole or not at all.

    Batches of rows come one after another, so that the memory of this machine need not hold them all. CSV is UTF-8 with
    a header and text in quotes; a missing value is empty without quotes.

    Args:
        rows: in the order of the file; for CSV without nested columns.
        path: an existing file is replaced; a missing folder is made.

    Returns:
        How many rows were written.

    Raises:
        StorageError: the file can't be written.
    """
    schema = rows.limit(0).toArrow().schema
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with whole_file(path, permissions=0o600) as file, _writer(file, schema, file_format) as writer:
            for batch in _batches(rows):
                writer.write_batch(batch.cast(schema))
                written += batch.num_rows
    except OSError as error:
        raise StorageError(f"--output {path} can't be written: {error.strerror or error}") from None
    return written


def _writer(file: Any, schema: pa.Schema, file_format: FileFormat) -> Any:
    if file_format == "parquet":
        return pa.parquet.ParquetWriter(file, schema)
    return pa.csv.CSVWriter(file, schema)


def _batches(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """The rows as they come from Spark, each batch as bytes, since that keeps their types as they are."""

    def packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            yield pa.RecordBatch.from_arrays([pa.array([sink.getvalue().to_pybytes()], pa.binary())], [_BATCH])

    for row in rows.mapInArrow(packed, f"{_BATCH} binary").toLocalIterator():
        yield from pa.ipc.open_stream(bytes(row[_BATCH]))
