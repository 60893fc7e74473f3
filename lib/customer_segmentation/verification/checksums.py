"""Checksums that Hadoop keeps of every file it writes to a local folder: `.NAME.crc` beside NAME.

The side file is `crc` and a zero byte, the bytes per checksum, and a CRC-32 for each such piece, all big-endian.
"""

import struct
import zlib
from pathlib import Path

_MAGIC = b"crc\0"
_HEADER = struct.Struct(">4sI")
_PIECES_READ = 4096
"""Pieces that are read at once, so that a large file needs little memory."""


def side_file(path: Path) -> Path:
    """Where the checksums of a file are, if there are any."""
    return path.with_name(f".{path.name}.crc")


def checksum_problem(path: Path) -> str | None:
    """What is wrong with the bytes of a file by its side file; None where nothing is, or there is no side file.

    Raises:
        OSError: the file can't be read.
    """
    try:
        stored = side_file(path).read_bytes()
    except FileNotFoundError:
        return None
    if len(stored) < _HEADER.size or len(stored) % 4:
        return f"a damaged {side_file(path).name}, without which it can be read"
    magic, size = _HEADER.unpack_from(stored)
    if magic != _MAGIC or not 0 < size <= 1 << 24:
        return f"a damaged {side_file(path).name}, without which it can be read"
    sums = struct.unpack(f">{len(stored) // 4 - 2}I", stored[_HEADER.size :])
    place = 0
    with path.open("rb") as file:
        while block := file.read(size * _PIECES_READ):
            view = memoryview(block)
            for start in range(0, len(view), size):
                if place >= len(sums) or zlib.crc32(view[start : start + size]) != sums[place]:
                    return f"other bytes from byte {place * size:,} on than its checksums say"
                place += 1
    return None if place == len(sums) else f"an end after {place * size:,} bytes, where its checksums go on"
