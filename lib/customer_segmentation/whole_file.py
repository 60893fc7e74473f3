"""Writes a file so that a reader sees all of it or what was there before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO


@contextmanager
def whole_file(path: Path, *, permissions: int) -> Iterator[IO[bytes]]:
    """A file beside the path that takes its place at the end of the block; nothing is left of it where that fails.

    What a process that was killed in such a block has left is removed first.

    Args:
        path: in a folder that is there.
        permissions: of the file, such as 0o600.

    Raises:
        OSError: it can't be written.
    """
    prefix = f".{path.name}.writing-"
    for left in path.parent.iterdir():
        if left.name.startswith(prefix):
            left.unlink(missing_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=prefix, delete=False) as file:
        temporary = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            with suppress(PermissionError):  # volumes of Databricks have permissions of their own
                temporary.chmod(permissions)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
