"""Damages files as disks, copies and people do."""

import shutil
from pathlib import Path

LOG = "_delta_log"


def commits(table: Path) -> list[Path]:
    """The commits of a table, the oldest first."""
    return sorted((table / LOG).glob("[0-9]*.json"))


def checkpoints(table: Path) -> list[Path]:
    return sorted((table / LOG).glob("*.checkpoint.parquet"))


def side_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.crc")


def flip(path: Path, place: int) -> None:
    """Turn one bit of a byte over, counted from the end where the place is negative."""
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def cut(path: Path, share: float) -> None:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def as_a_folder(path: Path) -> None:
    """Put an empty folder in its place."""
    remove(path)
    path.mkdir()


def as_a_file(path: Path) -> None:
    """Put an empty file in its place."""
    remove(path)
    path.write_text("")


def unsummed(path: Path) -> None:
    """Take away the checksums of a file, as a copy by other tools does."""
    side_file(path).unlink(missing_ok=True)
