"""The versions that commands leave the tables at, in `table_versions`, and whether the tables are still there whole.

A reader of Delta takes a table whose newest commit is gone for the version before, and writes on from there. So each
command that writes tables keeps their versions at its end, and looks before it begins whether it finds older ones.
In a folder of this machine it also looks for what a reader would not notice, or would only notice in the middle.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pyspark.sql import Row

from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import StorageError
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.unchanged import Made
from customer_segmentation.verification import Finding, TableFolder, examine, listed

_NOT_RECORDED = (t.TABLE_VERSIONS, t.WAREHOUSE_CLAIM)
"""Written after the record, and by every command."""


class TableVersions:
    """The tables of a run, and the versions on record.

    Attributes:
        root: the folder of the tables; None where they are not in one of this machine.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.root = run.warehouse.folder

    def require_whole(self) -> dict[str, TableFolder]:
        """Make sure that the tables are at the recorded versions or later ones, and that their files are there.

        Returns:
            The folders as they were found, see `folders`.

        Raises:
            StorageError: they are not, or may not be written; every file is named.
        """
        folders = self.folders()
        findings = [finding for folder in folders.values() for finding in (*folder.findings, *_not_writable(folder))]
        # What is on record can't be read where that table itself is damaged.
        findings = findings or list(self.older_than_recorded(folders))
        if findings:
            raise StorageError(f"the tables are not as they were left; nothing was changed:{listed(findings)}")
        return folders

    def are_at(self, recorded: Mapping[str, Row], folders: dict[str, TableFolder]) -> bool:
        """Whether the tables are at the recorded versions, all of them and no others.

        Args:
            recorded: see `recorded`.
            folders: of the tables as they are.
        """
        return _versions(recorded) == self._now(folders)

    def record(self, command: str, made: Made | None = None) -> None:
        """Keep the versions that a command leaves the tables at, where they are others than those on record.

        Args:
            command: that has ended.
            made: what a run made, where the next one may rest on it.
        """
        folders = self.folders()
        recorded, now = self.recorded(), self._now(folders)
        made_from = made.to_json() if made else None
        if _versions(recorded) == now and all(_made_from(row) == made_from for row in recorded.values()):
            return
        rows = [
            {
                "table_name": name,
                "table_id": self._table_id(name, folders),
                "version": version,
                "command": command,
                "recorded_at": datetime.now(UTC),
                "made_from": made_from,
            }
            for name, version in sorted(now.items())
        ]
        self._run.warehouse.overwrite_rows(t.TABLE_VERSIONS, rows)

    def folders(self, *, every_byte: bool = False) -> dict[str, TableFolder]:
        """The folders of the tables by name, examined; none where they are not on this machine."""
        if self.root is None:
            return {}
        examined = (examine(table.name, self.root / table.name, every_byte=every_byte) for table in t.KNOWN_TABLES)
        return {folder.name: folder for folder in examined if folder is not None}

    def recorded(self) -> dict[str, Row]:
        """The rows of `table_versions` by table."""
        if not self._run.warehouse.exists(t.TABLE_VERSIONS):
            return {}
        return {row["table_name"]: row for row in self._run.warehouse.read(t.TABLE_VERSIONS).collect()}

    def older_than_recorded(
        self, folders: dict[str, TableFolder], recorded: Mapping[str, Row] | None = None
    ) -> Iterator[Finding]:
        """The tables that are gone, or whose last commits are.

        Args:
            folders: see `folders`.
            recorded: see `recorded`; read before the folders where a run may be at work, which records later versions
                than they have. None: it is read now.

        A table that is gone as a whole is none of them where the next run makes it anew. Neither is one of another id:
        it was made anew, or is a clone, and counts its versions from 0.
        """
        recorded = self.recorded() if recorded is None else recorded
        now = self._now(folders, among=recorded)
        for name, row in sorted(recorded.items()):
            version = now.get(name)
            place = self._run.warehouse.location(_table(name))
            log = None if self.root is None else self.root / name / "_delta_log"
            if version is None:
                if name not in t.REBUILT_TABLES or (log and log.parent.exists()):
                    where = f"{log}/{row['version']:020}.json" if log and log.is_dir() else place
                    expected = f"a table of version {row['version']}"
                    yield Finding(name, where, expected, "none", self._remedy(name, place))
            elif version < row["version"] and self._table_id(name, folders) == row["table_id"]:
                where = place if log is None else f"{log}/{version + 1:020}.json"
                since = row["recorded_at"].astimezone(UTC)
                expected = f"version {row['version']}, as `{row['command']}` left it on {since:%F %T} UTC"
                yield Finding(name, where, expected, f"version {version}", self._remedy(name, place))

    def _remedy(self, name: str, place: str) -> str:
        if name in t.REBUILT_TABLES:
            return f"put back what is gone from a backup, or remove {place} whole: the next run makes it anew"
        record = self._run.warehouse.location(t.TABLE_VERSIONS)
        return f"put back what is gone from a backup; to go on with what is left, remove {record}"

    def _now(self, folders: dict[str, TableFolder], among: Iterable[str] | None = None) -> dict[str, int]:
        """The versions of the tables that are there."""
        if self.root is not None:
            found = {name: folder.version for name, folder in folders.items()}
        else:
            names = [table.name for table in t.KNOWN_TABLES] if among is None else list(among)
            found = dict(zip(names, at_once(*(partial(self._version, name) for name in names)), strict=True))
        left_out = {table.name for table in _NOT_RECORDED}
        return {name: version for name, version in found.items() if version is not None and name not in left_out}

    def _version(self, name: str) -> int | None:
        table = _table(name)
        return self._run.warehouse.version(table) if self._run.warehouse.exists(table) else None

    def _table_id(self, name: str, folders: dict[str, TableFolder] | None = None) -> str | None:
        if folders and name in folders:
            return folders[name].table_id
        return self._run.warehouse.table_id(_table(name))


def made_by_run(recorded: Mapping[str, Row]) -> Made | None:
    """What the last run made, where no other command has written tables since; None where that is not known.

    Args:
        recorded: see `TableVersions.recorded`.
    """
    known = {_made_from(row) for row in recorded.values()}
    made_from = known.pop() if len(known) == 1 else None
    return Made.from_json(made_from) if made_from else None


def _versions(recorded: Mapping[str, Row]) -> dict[str, int]:
    return {name: row["version"] for name, row in recorded.items()}


def _made_from(row: Row) -> str | None:
    return row.asDict().get("made_from")  # an earlier release has no such column


def _table(name: str) -> t.Table:
    return next((table for table in t.KNOWN_TABLES if table.name == name), t.Table(name, "", (), ()))


def _not_writable(folder: TableFolder) -> Iterator[Finding]:
    """The folders of a table that this process may not write to."""
    places: Iterable[Path] = (folder.folder, folder.folder / "_delta_log")
    for place in places:
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            remedy = "give the right to write to whoever runs this, or have it run by another user"
            yield Finding(folder.name, str(place), "a folder that can be written to", "one that can't", remedy)
