"""Errors of storage, in the texts of Spark, Delta, Hadoop and Python, name the file and what to do."""

import errno
from pathlib import Path

import pytest

from customer_segmentation.contract.errors import ConfigurationError, StorageError
from customer_segmentation.storage_errors import explaining_storage_errors, storage_error

DATA = "/lake/my tables/transactions/part-00000-c77.c000.snappy.parquet".replace(" ", "_")
COMMIT = "/lake/returns/_delta_log/00000000000000000008.json"

TEXTS = {
    f"An error occurred while calling o1.count.\n: org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] "
    f"Encountered error while reading file file://{COMMIT}.  SQLSTATE: KD001\n\tat org.apache.spark.sql.Errors$."
    f"x(Errors.scala:861)\nCaused by: org.apache.hadoop.fs.ChecksumException: Checksum error: file:{COMMIT} at 0 exp: "
    "-7 got: -1": (COMMIT, "has other bytes than were written"),
    f"[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file file:{DATA}. File does not exist. It is "
    f"possible\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: java.io.FileNotFoundException: File "
    f"file:{DATA} does not exist": (DATA, "is gone"),
    f"SparkException: [FAILED_READ_FILE.NO_HINT] Encountered error while reading file s3a://bucket{DATA}.  SQLSTATE: 1"
    f"\nCaused by: java.lang.RuntimeException: s3a://bucket{DATA} is not a Parquet file (length is too low: 0)": (
        f"s3a://bucket{DATA}",
        "can't be read, since it is damaged",
    ),
    f"org.apache.spark.sql.delta.DeltaFileNotFoundException: [DELTA_TRUNCATED_TRANSACTION_LOG] file:{COMMIT}: Unable "
    "to reconstruct state at version 8": (COMMIT, "has a damaged log"),
    f"java.io.FileNotFoundException: {DATA} (Permission denied)": (DATA, "may not be read or written"),
    f"java.io.IOException: Mkdirs failed to create file:{DATA}": (DATA, "a file is where a folder should be"),
    "org.apache.hadoop.fs.FSError: java.io.IOException: No space left on device": ("/lake", "the disk is full"),
}


@pytest.mark.parametrize("text", TEXTS, ids=[said for _, said in TEXTS.values()])
def test_the_file_and_the_cause_are_named(text: str) -> None:
    file, said = TEXTS[text]

    explained = str(storage_error(RuntimeError(text), "/lake"))

    assert explained.startswith(f"{file} "), explained
    assert said in explained
    assert "; " in explained, "what to do"


def test_errors_of_this_process_are_named_and_others_left_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"{tmp_path}/none is gone"), explaining_storage_errors("/lake"):
        (tmp_path / "none").read_text()
    full = pytest.raises(StorageError, match="/lake can't be written, since the disk is full")
    with full, explaining_storage_errors("/lake"):
        raise OSError(errno.ENOSPC, "No space left on device")
    for error in (ValueError("division by zero in /lake/x/y"), ConfigurationError("File exists")):
        with pytest.raises(type(error)), explaining_storage_errors("/lake"):
            raise error
