"""Which folders on the way to a file are columns of it: those named column=value, below the path that is configured."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from customer_segmentation.ingest.paths import is_pattern, resolve

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://([^/]*))?")
"""The beginning of an address; its group is the host."""
_PATTERN = re.compile(r"[*?\[{]")


@dataclass(frozen=True)
class FolderColumns:
    """The columns that a file has from its folders.

    below: the folders above the first of them; Spark reads no files together for which these differ.
    names: of the columns, from the outermost folder in.
    """

    below: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def parts(path: str) -> list[str]:
    """The folders of a path or an address and its last name, without scheme and host."""
    scheme = SCHEME.match(path)
    rest = path[scheme.end() :] if scheme else os.path.abspath(path)  # noqa: PTH100 (without .. in it, as Spark names files)
    return [part for part in rest.split("/") if part not in ("", ".")]


def base_folder(path: str, files: Sequence[str]) -> str | None:
    """The folder below which folders named column=value are columns: a configured path, or the start of a pattern.

    None where it is a file itself.
    """
    path = resolve(path)
    if len(files) == 1 and parts(files[0]) == parts(path):
        return None
    if not is_pattern(path):
        return path
    return _PATTERN.split(path, maxsplit=1)[0].rpartition("/")[0] or None


def folder_columns(file: str, base: str) -> FolderColumns:
    """The columns that a file has from its folders, as Spark takes them: the innermost ones that follow each other."""
    folders = parts(file)[len(parts(base)) : -1]
    while folders and "=" not in folders[-1]:
        folders.pop()
    names: list[str] = []
    while folders and "=" in folders[-1]:
        names.insert(0, unquote(folders.pop().partition("=")[0], encoding="latin-1"))
    return FolderColumns(tuple(folders), tuple(names)) if names else FolderColumns()
