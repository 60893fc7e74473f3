"""Where a configured path leads. No Spark here: a wrong path is told before Spark starts."""

import glob
from importlib import util
from pathlib import Path

from customer_segmentation.config.schema import Config, Relation

_PACKAGE = "package://"


def resolve(path: str) -> str:
    """The path that Spark reads: `package://name/file` leads into an installed Python package.

    Raises:
        ValueError: the package is not installed.
    """
    if not path.startswith(_PACKAGE):
        return path
    package, _, rest = path.removeprefix(_PACKAGE).partition("/")
    found = util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"the Python package {package} is not installed; pip install {package.replace('_', '-')}")
    return str(Path(found.submodule_search_locations[0]) / rest)


def problems(config: Config) -> list[str]:
    """Configured sources that are not on this machine, a line each; paths with a scheme are not looked at."""
    found = []
    sources = config.sources
    for entity in ("transactions", "customers", "engagement"):
        for source in getattr(sources, entity, None) or []:
            for relation in (source, *source.joins):
                problem = _problem(relation)
                if problem:
                    found.append(f"sources.{entity}: {problem}")
    return found


def _problem(relation: Relation) -> str | None:
    if relation.path is None:
        return None
    try:
        path = resolve(relation.path)
    except ValueError as error:
        return f"path {relation.path}: {error}"
    if "://" in path or path.startswith(("dbfs:", "file:")):
        return None
    if any(character in path for character in "*?[{"):
        return None if "{" in path or glob.glob(path) else f"path {relation.path}: no file matches"  # noqa: PTH207 (absolute patterns too)
    if Path(path).exists():
        return None
    return f"path {relation.path}: there is no such file or folder (looked in {Path(path).parent.absolute()})"
