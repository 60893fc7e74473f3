"""Resolves configured paths. No Spark here: a wrong path is reported before Spark starts."""

import glob
import re
from importlib import util
from pathlib import Path

from customer_segmentation.config.schema import Relation, Sources

_PACKAGE = "package://"
_PATTERN_SIGNS = re.compile(r"[\\\[\]{}*?]")


def resolve(path: str) -> str:
    """The path that Spark reads: `package://name/file` leads into an installed Python package.

    Raises:
        ValueError: the package is not installed.
    """
    if not path.startswith(_PACKAGE):
        return path
    package, _, rest = path.removeprefix(_PACKAGE).partition("/")
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the Python package {package} is not installed; pip install {package.replace('_', '-')}")
    return str(Path(spec.submodule_search_locations[0]) / rest)


def exact(path: str) -> str:
    """A path as Spark reads it without taking signs in it for a pattern."""
    return _PATTERN_SIGNS.sub(lambda sign: "\\" + sign[0], path)


def is_pattern(path: str) -> bool:
    """Whether a path stands for all that match it: it has signs of a pattern, and nothing here has it for its name."""
    return bool(_PATTERN_SIGNS.search(path)) and not _is_here(path)


def may_match_nothing(relation: Relation) -> bool:
    """Whether a relation may be without files for a while: a pattern whose files are archived once they are read."""
    keeps = getattr(relation, "missing_files", None) == "keep"
    return keeps and relation.path is not None and is_pattern(resolve(relation.path))


def readable(path: str) -> str:
    """The path, or pattern, that Spark reads for a configured path.

    Raises:
        ValueError: see `resolve`.
    """
    resolved = resolve(path)
    return resolved if is_pattern(resolved) else exact(resolved)


def _is_here(path: str) -> bool:
    try:
        return Path(path.removeprefix("file://").removeprefix("file:")).exists()
    except (OSError, ValueError):
        return False


def _has_scheme(path: str) -> bool:
    return "://" in path or path.startswith(("dbfs:", "file:"))


def problems(sources: Sources, *, are_here: bool) -> list[str]:
    """Configured sources that are not there, a line each; paths with a scheme are not looked at.

    Args:
        are_here: whether paths are of this machine; elsewhere only Python packages are looked for.
    """
    messages = []
    for entity in ("transactions", "customers", "engagement"):
        for source in getattr(sources, entity) or []:
            for relation in (source, *source.joins):
                problem = _problem(relation, is_here=are_here)
                if problem:
                    messages.append(f"sources.{entity}: {problem}")
    return messages


def _problem(relation: Relation, *, is_here: bool) -> str | None:
    if relation.path is None:
        return None
    try:
        path = resolve(relation.path)
    except ValueError as error:
        return f"path {relation.path}: {error}"
    if _has_scheme(path) or not is_here:
        return None
    if is_pattern(path):
        if "{" in path or glob.glob(path):  # noqa: PTH207 (absolute patterns too)
            return None
        if may_match_nothing(relation) and _start_of(path).is_dir():
            return None
        return f"path {relation.path}: no file matches"
    if _is_here(path):
        return None
    return f"path {relation.path}: there is no such file or folder (looked in {Path(path).parent.absolute()})"


def _start_of(pattern: str) -> Path:
    """The folder that a pattern names before its first sign: all that match it are below it."""
    return Path(_PATTERN_SIGNS.split(pattern, maxsplit=1)[0].rpartition("/")[0] or ".")


def size_here(sources: Sources) -> int | None:
    """Bytes of the files of all sources and their look-ups; None where some are not files of this machine.

    A path that leads to nothing here is one of another machine, unless its files may be archived once they are read.
    """
    sizes = [
        _size(relation)
        for _, of_entity in sources
        for source in of_entity or ()
        for relation in (source, *source.joins)
    ]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _size(relation: Relation) -> int | None:
    if relation.path is None:
        return None
    try:
        path = resolve(relation.path)
        if _has_scheme(path):
            return None
        places = glob.glob(path) if is_pattern(path) else [path]  # noqa: PTH207 (absolute patterns too)
        if not any(Path(place).exists() for place in places):
            return 0 if may_match_nothing(relation) and _start_of(path).is_dir() else None
        files = [file for place in places for file in (Path(place), *Path(place).rglob("*"))]
        return sum(file.stat().st_size for file in files if file.is_file())
    except (OSError, ValueError):
        return None
