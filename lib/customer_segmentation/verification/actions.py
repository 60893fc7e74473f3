"""The actions of a table's log, and the state of the table that they add up to."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from customer_segmentation.contract.errors import first_line
from customer_segmentation.verification.checksums import side_file

Action = Mapping[str, Any]

_KINDS = frozenset(
    ("add", "remove", "cdc", "metaData", "protocol", "txn", "commitInfo", "domainMetadata", "checkpointMetadata")
)
_READ_OF_A_CHECKPOINT = [
    *(f"add.{name}" for name in ("path", "size", "stats", "deletionVector")),
    *(f"metaData.{name}" for name in ("id", "schemaString", "configuration")),
]


class DamagedLogError(ValueError):
    """What a file of a log holds is not what Delta writes; says what was found."""


def actions_of_commit(path: Path) -> list[Action]:
    """The actions of a commit.

    Kinds of action that are not known are an error only where no checksum says that they were written so.

    Raises:
        DamagedLogError: it is empty, breaks off or has what is no action.
        OSError: it can't be read.
    """
    lines = path.read_bytes().splitlines()
    if not any(map(bytes.strip, lines)):
        raise DamagedLogError("an empty file")
    is_summed = side_file(path).exists()
    return [_action(line, f"line {number} of {len(lines)}", is_summed) for number, line in enumerate(lines, 1) if line]


def _action(line: bytes, place: str, is_summed: bool) -> Action:
    try:
        action = json.loads(line)
    except ValueError:
        raise DamagedLogError(f"{place}, which is not JSON") from None
    if not isinstance(action, dict) or not action or not (is_summed or action.keys() <= _KINDS):
        raise DamagedLogError(f"{place}, which is no action of Delta")
    for file in (action.get("add"), action.get("remove")):
        if file is not None and not isinstance(file.get("path") if isinstance(file, dict) else None, str):
            raise DamagedLogError(f"{place}, which names no file")
    return action


def actions_of_checkpoint(path: Path) -> Iterator[Action]:
    """The actions of a part of a checkpoint that say which files a table has.

    Raises:
        DamagedLogError: it can't be read.
    """
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        there = {field.name for field in file.schema_arrow}
        wanted = [name for name in _READ_OF_A_CHECKPOINT if name.partition(".")[0] in there]
        for batch in file.iter_batches(columns=wanted):
            for row in batch.to_pylist():
                if row.get("metaData") and row["metaData"].get("id"):
                    metadata = row["metaData"]
                    yield {"metaData": metadata | {"configuration": dict(metadata.get("configuration") or ())}}
                if row.get("add") and row["add"].get("path") is not None:
                    yield {"add": row["add"]}
    except PermissionError:
        raise
    except Exception as error:  # what pyarrow makes of damaged bytes has many names
        raise DamagedLogError(f"no Parquet that can be read ({first_line(error)[:120]})") from None


@dataclass
class TableState:
    """A table at a version.

    Attributes:
        live: the files of the table, as they were added, by path and deletion vector.
        former: paths of files that were removed, or keep changes for a change feed.
        metadata: id, columns and properties of the table.
    """

    live: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    former: set[str] = field(default_factory=set)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, action: Action) -> None:
        """Go on by an action."""
        if add := action.get("add"):
            self.live[_key(add)] = add
        elif remove := action.get("remove"):
            self.live.pop(_key(remove), None)
            self.former.add(remove["path"])
        elif cdc := action.get("cdc"):
            self.former.add(cdc["path"])
        elif metadata := action.get("metaData"):
            self.metadata = metadata

    @property
    def bytes(self) -> int:
        """Size of the files of the table."""
        return sum(add.get("size") or 0 for add in self.live.values())

    @property
    def columns(self) -> set[str] | None:
        """Names of the columns as files have them; None where they have other names there."""
        configuration = self.metadata.get("configuration") or {}
        if configuration.get("delta.columnMapping.mode", "none") != "none" or "schemaString" not in self.metadata:
            return None
        return {column["name"].lower() for column in json.loads(self.metadata["schemaString"])["fields"]}


def _key(file: Mapping[str, Any]) -> tuple[str, str]:
    vector = file.get("deletionVector") or {}
    return file["path"], f"{vector.get('pathOrInlineDv', '')}@{vector.get('offset', '')}"
