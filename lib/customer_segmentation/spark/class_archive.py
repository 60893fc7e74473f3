"""Keeps an archive of the classes that a run loads, so that the next virtual machine starts with them.

A run loads 20,000 classes, most of them before its first query ends; from an archive (Java's application class data
sharing) that takes a third of the time. The first run that ends writes one, in the background, beside Delta's jars.
"""

import hashlib
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from customer_segmentation.spark.jars import cache_folder
from customer_segmentation.spark.prerequisites import java_command

_USE = "-XX:+IgnoreUnrecognizedVMOptions -Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off"
"""Where the archive does not fit, the machine goes on without it, and says nothing."""
_SECONDS_TO_WRITE = 3_600
_SECONDS_UNUSED = 30 * 86_400
"""After which an archive is removed: each takes 200 MB."""


def class_archive_options(jars: str, *, record: bool) -> str:
    """The options of the virtual machine to use the archive of classes, or to write one where there is none.

    Args:
        jars: what Spark is started with beside its own jars; another list has another archive.
        record: whether the classes of this process make an archive when it ends. A process that is killed leaves none.

    Returns:
        Java options; empty where there is nothing to use and to write.
    """
    folder, name = cache_folder() / "classes", _name(jars)
    archive = folder / f"{name}.jsa"
    if not archive.is_file():
        _take_what_was_recorded(folder, name)
    if archive.is_file():
        with suppress(OSError):
            archive.touch()
        return f"{_USE} -XX:SharedArchiveFile={archive}"
    if not record:
        return ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return f"{_USE} -XX:ArchiveClassesAtExit={folder / f'{name}.{uuid4().hex}.new'}"


def _name(jars: str) -> str:
    """Of the archive for this Java and these jars: a virtual machine uses none of others, or of changed ones."""
    import pyspark

    java = Path(java_command() or "java").resolve()
    files = [java, Path(pyspark.__file__).parent / "jars", *map(Path, jars.split(","))]
    changed = [str(file.stat().st_mtime_ns) for file in files if file.exists()]
    made_of = (*map(str, files), *changed, pyspark.__version__)
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]


def _take_what_was_recorded(folder: Path, name: str) -> None:
    """Put an archive that an earlier process has written whole in its place, and remove what was left half written."""
    for recorded in folder.glob(f"{name}.*.new"):
        with suppress(OSError):
            with recorded.open("rb") as file:
                is_whole = any(file.read(4))  # they are written last
            if is_whole:
                recorded.replace(folder / f"{name}.jsa")
                _remove_unused(folder)
            elif time.time() - recorded.stat().st_mtime > _SECONDS_TO_WRITE:
                recorded.unlink()


def _remove_unused(folder: Path) -> None:
    for archive in folder.glob("*.jsa"):
        if time.time() - archive.stat().st_mtime > _SECONDS_UNUSED:
            archive.unlink()
