"""The files in the log of a table, by what their names say."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

LOG = "_delta_log"
LAST_CHECKPOINT = "_last_checkpoint"

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet")
_OTHER_CHECKPOINT = re.compile(r"\d{20}\.checkpoint\.[0-9a-f-]{36}\.(?:json|parquet)")
_VERSION_CHECKSUM = re.compile(r"(\d{20})\.crc")
_OF_A_COMMIT = re.compile(r"\.?(\d{20})\.(?:json\.)?crc(?:\.crc)?")
"""What stays beside a commit that is removed alone."""


@dataclass
class LogFolder:
    """The log of a table.

    Attributes:
        path: its folder.
        commits: files of the commits by version.
        checkpoints: files of the checkpoints by version, whole ones only.
        checksums: files by version that sum up what the table was then.
        last_named: newest version that any file is named for.
        is_readable: whether its checkpoints are of the kind that is read here.
    """

    path: Path
    commits: dict[int, Path] = field(default_factory=dict)
    checkpoints: dict[int, list[Path]] = field(default_factory=dict)
    checksums: dict[int, Path] = field(default_factory=dict)
    last_named: int = -1
    is_readable: bool = True

    @property
    def newest(self) -> int:
        """The newest version that can be read; -1 without any."""
        return max([*self.commits, *self.checkpoints], default=-1)

    @property
    def base(self) -> int | None:
        """The checkpoint that a reader begins with: the newest; None where it begins with the first commit."""
        return max(self.checkpoints, default=None)

    def commit(self, version: int) -> Path:
        """Where a commit is, or would be."""
        return self.path / f"{version:020}.json"


def list_log(path: Path) -> LogFolder:
    """The log in a folder.

    Raises:
        OSError: it can't be listed.
    """
    log = LogFolder(path)
    parts: dict[int, list[Path]] = defaultdict(list)
    wanted: dict[int, int] = {}
    for file in sorted(path.iterdir()):
        if match := _COMMIT.fullmatch(file.name):
            log.commits[int(match[1])] = file
        elif match := _CHECKPOINT.fullmatch(file.name):
            parts[int(match[1])].append(file)
            wanted[int(match[1])] = int(match[2] or 1)
        elif match := _VERSION_CHECKSUM.fullmatch(file.name):
            log.checksums[int(match[1])] = file
        elif _OTHER_CHECKPOINT.fullmatch(file.name):
            log.is_readable = False
        if match := _OF_A_COMMIT.fullmatch(file.name):
            log.last_named = max(log.last_named, int(match[1]))
    for version, files in parts.items():
        if len(files) >= wanted[version]:
            log.checkpoints[version] = files
    return log
