"""Examines the folder of a table: its log, and the files that the log says the table has."""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow.parquet as pq

from customer_segmentation.verification.actions import (
    DamagedLogError,
    TableState,
    actions_of_checkpoint,
    actions_of_commit,
)
from customer_segmentation.verification.checksums import checksum_problem, side_file
from customer_segmentation.verification.findings import RESTORE, Finding
from customer_segmentation.verification.log_folder import LAST_CHECKPOINT, LOG, LogFolder, list_log

_HARMLESS = "readers do without it; remove the file, or " + RESTORE
_OF_THE_CHANGE_FEED = {"__is_cdc", "_change_type"}
"""Columns that Delta's MERGE leaves in files of a table with a change feed."""


@dataclass
class TableFolder:
    """What the folder of a table holds.

    Attributes:
        name: of the table.
        folder: where it is.
        version: its newest version; None where there is no log that can be read.
        table_id: Delta's id of the table; another one where it was made anew or is a clone.
        files, bytes: how many files the table has, and their size.
        findings: what is not as it should be.
    """

    name: str
    folder: Path
    version: int | None = None
    table_id: str | None = None
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, where: Path | str, expected: str, found: str, remedy: str = RESTORE) -> None:
        """Keep a finding."""
        self.findings.append(Finding(self.name, str(where), expected, found, remedy))


def examine(name: str, folder: Path, *, every_byte: bool = False) -> TableFolder | None:
    """Examine the folder of a table.

    Args:
        name: of the table.
        folder: where it is to be.
        every_byte: whether all files are read too, with those that only the history of the table needs; else what the
            table is read from is looked at: its log from the newest checkpoint on, and whether its files are there in
            their sizes.

    Returns:
        None where there is no table: no folder, or one without a commit, as a first write that was killed leaves it.
    """
    table = TableFolder(name, folder)
    try:
        if not folder.exists():
            return None
        path = folder / LOG
        for place in (folder, path):
            if place.exists() and not place.is_dir():
                table.add(place, "a folder", "a file")
                return table
        log = list_log(path) if path.exists() else LogFolder(path)
        if log.newest < 0 and log.last_named < 0:
            return None
        _examine_log(table, log, every_byte=every_byte)
    except OSError as error:
        table.add(error.filename or folder, "what can be read", error.strerror or str(error), "mend the access to it")
    return table


def _examine_log(table: TableFolder, log: LogFolder, *, every_byte: bool) -> None:
    table.version = log.newest if log.newest >= 0 else None
    for version in range(log.newest + 1, log.last_named + 1):
        table.add(log.commit(version), "a commit, since its checksum is there", "none")
    if not log.is_readable:
        return
    state, base = _base(table, log)
    if base == log.newest >= 0 and base not in log.commits:
        table.add(log.commit(base), "a commit beside its checkpoint, which Spark asks for", "none")
    for version in range(base + 1, log.newest + 1):
        if version not in log.commits:
            table.add(log.commit(version), f"a commit, since there is version {log.newest}", "none")
        else:
            _apply(table, log, version, state)
    table.table_id = state.metadata.get("id")
    table.files, table.bytes = len(state.live), state.bytes
    columns = state.columns
    for added in state.live.values():
        _examine_file(table, added, columns, every_byte=every_byte)
    if every_byte:
        _examine_history(table, log, base, state)


def _base(table: TableFolder, log: LogFolder) -> tuple[TableState, int]:
    """The state at the newest checkpoint that can be read, and its version; an empty table at -1 without any."""
    for version in sorted(log.checkpoints, reverse=True):
        state = TableState()
        try:
            for part in log.checkpoints[version]:
                _require_checksum(part)
                for action in actions_of_checkpoint(part):
                    state.apply(action)
        except DamagedLogError as error:
            table.add(part, "a checkpoint", str(error), _remedy_of_checkpoint(log, version))
            continue
        return state, version
    return TableState(), -1


def _remedy_of_checkpoint(log: LogFolder, version: int) -> str:
    """What to do about a checkpoint: readers do without it where the commits before it are all there."""
    earlier = max((older for older in log.checkpoints if older < version), default=-1)
    return _HARMLESS if all(commit in log.commits for commit in range(earlier + 1, version + 1)) else RESTORE


def _require_checksum(path: Path) -> None:
    problem = checksum_problem(path)
    if problem is not None:
        raise DamagedLogError(problem)


def _apply(table: TableFolder, log: LogFolder, version: int, state: TableState) -> None:
    """Bring the state to a version by its commit, and compare it with what was summed up then."""
    path = log.commits[version]
    try:
        actions = actions_of_commit(path)
        _require_checksum(path)
    except DamagedLogError as error:
        table.add(path, "a commit as it was written", str(error))
        return
    for action in actions:
        state.apply(action)
    summary = log.checksums.get(version)
    if summary is None:
        return
    try:
        summed = json.loads(summary.read_bytes())
        files, size = summed["numFiles"], summed["tableSizeBytes"]
    except (ValueError, KeyError, TypeError):
        table.add(summary, "a summary of the table as JSON", "something else", _HARMLESS)
        return
    if (files, size) != (len(state.live), state.bytes):
        table.add(
            path,
            f"a table of {files:,} files and {size:,} bytes, as {summary.name} says",
            f"one of {len(state.live):,} files and {state.bytes:,} bytes",
        )


def _examine_file(table: TableFolder, added: Mapping[str, Any], columns: set[str] | None, *, every_byte: bool) -> None:
    path = _local_path(table.folder, added["path"])
    if path is None:
        return
    size = added.get("size")
    try:
        status = path.stat()
    except FileNotFoundError:
        table.add(path, f"a file of {size:,} bytes", "none")
        return
    if not stat.S_ISREG(status.st_mode):
        table.add(path, f"a file of {size:,} bytes", "no file")
    elif status.st_size != size:
        table.add(path, f"a file of {size:,} bytes", f"{status.st_size:,} bytes")
    elif every_byte:
        problem = checksum_problem(path) or _parquet_problem(path, added, columns)
        if problem is not None:
            table.add(path, "the file that was written", problem)


def _parquet_problem(path: Path, added: Mapping[str, Any], columns: set[str] | None) -> str | None:
    """What is wrong with a data file beyond its size; its pages are read where nothing else says what was written."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        rows = json.loads(added.get("stats") or "{}").get("numRecords")
        if rows is not None and file.metadata.num_rows != rows:
            return f"{file.metadata.num_rows:,} rows, where the log says {rows:,}"
        others = {field.name.lower() for field in file.schema_arrow} - (columns or set()) - _OF_THE_CHANGE_FEED
        if columns is not None and others:
            return f"columns that the table has not: {', '.join(sorted(others)[:3])}"
        if not side_file(path).exists():
            for _ in file.iter_batches():
                pass
    except PermissionError:
        raise
    except Exception as error:  # what pyarrow makes of damaged bytes has many names
        return f"what can't be read as Parquet ({(str(error).splitlines() or [''])[0][:120]})"
    return None


def _examine_history(table: TableFolder, log: LogFolder, base: int, state: TableState) -> None:
    """Look at what is not needed to read the table as it is: earlier versions, hints, files that were removed."""
    first = min(log.commits, default=log.newest)
    for version in range(first, base + 1):
        if version not in log.commits:
            table.add(log.commit(version), f"a commit, since there is version {first}", "none")
            continue
        try:
            for action in actions_of_commit(log.commits[version]):
                former = action.get("remove") or action.get("cdc") or action.get("add")
                state.former.update({former["path"]} if former else ())
            _require_checksum(log.commits[version])
        except DamagedLogError as error:
            table.add(log.commits[version], "a commit as it was written", str(error))
    for version in sorted(log.checkpoints.keys() - {base}):
        for part in log.checkpoints[version]:
            try:
                _require_checksum(part)
                for _ in actions_of_checkpoint(part):
                    pass
            except DamagedLogError as error:
                if version < base:
                    table.add(part, "a checkpoint", str(error), _HARMLESS)
    for summary in log.checksums.values():
        problem = checksum_problem(summary)
        if problem is not None:
            table.add(summary, "the file that was written", problem, _HARMLESS)
    _examine_last_checkpoint(table, log)
    live = {path for path, _ in state.live}
    for former in sorted(state.former - live):
        path = _local_path(table.folder, former)
        if path is not None and path.is_file():
            problem = checksum_problem(path)
            if problem is not None:
                hint = "only earlier versions have it; VACUUM removes it in time"
                table.add(path, "the file that was written", problem, hint)


def _examine_last_checkpoint(table: TableFolder, log: LogFolder) -> None:
    path = log.path / LAST_CHECKPOINT
    if not path.exists():
        return
    problem = checksum_problem(path)
    try:
        version = json.loads(path.read_bytes())["version"]
    except (ValueError, KeyError, TypeError):
        table.add(path, "the version of a checkpoint as JSON", "something else", _HARMLESS)
        return
    if problem is not None:
        table.add(path, "the file that was written", problem, _HARMLESS)
    elif version not in log.checkpoints:
        table.add(log.path / f"{version:020}.checkpoint.parquet", f"a checkpoint, since {path.name} says so", "none")


def _local_path(folder: Path, path: str) -> Path | None:
    """Where a file of a log is; None where that is not in a folder of this machine."""
    parts = urlparse(path)
    if parts.scheme in ("", "file"):
        return folder / unquote(parts.path if parts.scheme else path)
    return None
