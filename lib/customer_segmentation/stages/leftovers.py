"""Files that no table needs any longer: what a first write that was killed left, and logs before a checkpoint."""

import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import ArrowException

from customer_segmentation.contract import tables as t
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.table_versions import TableVersions
from customer_segmentation.storage import Warehouse
from customer_segmentation.verification.log_folder import list_log

_OF_A_VERSION = re.compile(r"\.?(\d{20})\.")
"""A file of a log, or what the system keeps beside it."""
_OF_SPARK = re.compile(r"part-.*|_.*|\..*\.crc|\d{20}\..*|deletion_vector_.*|.*\.tmp")
"""The name of a file that Spark or Delta writes below a table's folder."""


def remove_leftovers(run: Run) -> None:
    """Delete the files of tables that were never made, where the tables are in a folder of this machine.

    Such a table has no commit, and no command has recorded one: the files of a table whose log was lost stay, since
    they may be wanted back.
    """
    root = run.warehouse.folder
    if root is None:
        return
    recorded = TableVersions(run).recorded()
    for table in t.KNOWN_TABLES:
        folder = root / table.name
        has_commit = any(folder.glob("_delta_log/*.json")) or any(folder.glob("_delta_log/*.parquet"))
        if folder.is_dir() and table.name not in recorded and not has_commit and _is_of_spark(folder):
            shutil.rmtree(folder)


def forget_log(warehouse: Warehouse, table: t.Table, *, needed_from: int | None = None) -> None:
    """Delete what a table's log has from before a checkpoint, where the table is on this machine.

    Nothing where that checkpoint can't be read whole: the commits before it are then what the table is restored from.

    Args:
        needed_from: the version from which on each commit stays; without one that of the newest checkpoint.
    """
    folder = warehouse.log_folder(table)
    log = None if folder is None else list_log(folder)
    if log is None or not log.is_readable:
        return
    old_enough = (version for version in log.checkpoints if needed_from is None or version <= needed_from)
    first = max(old_enough, default=None)
    if first is None or not all(map(_is_whole, log.checkpoints[first])):
        return
    for path in sorted(log.path.iterdir()):
        numbered = _OF_A_VERSION.match(path.name)
        if numbered and int(numbered[1]) < first:
            path.unlink()


def _is_of_spark(folder: Path) -> bool:
    """Whether Spark has written all that is in a folder: somebody may keep other files where a table would be."""
    return all(_OF_SPARK.fullmatch(path.name) for path in folder.rglob("*") if path.is_file())


def _is_whole(checkpoint: Path) -> bool:
    """Whether a part of a checkpoint can be read to its end."""
    try:
        pq.read_table(checkpoint, page_checksum_verification=True)
    except (OSError, ArrowException):
        return False
    return True
