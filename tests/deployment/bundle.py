"""Reads the bundle of `databricks.yml` as `databricks bundle deploy` would for a target, without a workspace."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.generated import ROOT

Document = dict[str, Any]

REFERENCE = re.compile(r"\$\{([^}]*)\}")

CHOSEN = {
    "notification_email": "shop@example.com",
    "service_principal": "00000000-0000-0000-0000-000000000001",
    "operators": "shop-operators",
    "readers": "shop-readers",
}
"""Values of the variables that have no default, as somebody who deploys would give them."""

KNOWN_KEYS = {
    "": {"artifacts", "bundle", "include", "resources", "sync", "targets", "variables"},
    "bundle": {"name", "databricks_cli_version"},
    "sync": {"paths"},
    "artifacts.*": {"type", "build", "dynamic_version"},
    "variables.*": {"description", "default"},
    "targets.*": {"mode", "default", "variables", "workspace", "run_as", "permissions", "resources"},
    "targets.*.workspace": {"root_path"},
    "targets.*.run_as": {"service_principal_name"},
    "targets.*.permissions.*": {"service_principal_name", "group_name", "level"},
    "resources": {"jobs", "schemas", "volumes"},
    "targets.*.resources": {"jobs", "schemas", "volumes"},
}
"""Keys that the parts of a bundle besides its resources may have here; of resources the platform's own types say it."""


def read_bundle(root: Path = ROOT) -> Document:
    """All files of the bundle as one document."""
    main = read(root / "databricks.yml")
    for pattern in main["include"]:
        for file in sorted(root.glob(pattern)):
            main = merged(main, read(file))
    return main


def read(file: Path) -> Document:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def merged(first: Any, second: Any) -> Any:
    """Two parts put together: key by key, a list after the other, the second value where it is neither."""
    if isinstance(first, dict) and isinstance(second, dict):
        both = {key: merged(first[key], second[key]) for key in first if key in second}
        return {**first, **second, **both}
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    return copy.deepcopy(second)


def target_of(bundle: Document, name: str) -> Document:
    """The bundle as a target has it: its resources over those of all, tasks put together by their keys."""
    target = bundle["targets"][name]
    whole = merged(
        {key: value for key, value in bundle.items() if key != "targets"},
        {key: value for key, value in target.items() if key != "variables"},
    )
    for job in whole["resources"]["jobs"].values():
        tasks: Document = {}
        for task in job["tasks"]:
            tasks[task["task_key"]] = merged(tasks.get(task["task_key"], {}), task)
        job["tasks"] = list(tasks.values())
    given = {key: variable["default"] for key, variable in bundle["variables"].items() if "default" in variable}
    return resolved(whole, name, {**CHOSEN, **given, **target.get("variables", {})})


def resolved(whole: Document, target: str, variables: Document) -> Document:
    """The bundle with its references replaced, but for those that lead to nothing.

    Files in the workspace are those of the repository.
    """
    known = {
        "bundle": {**whole["bundle"], "target": target},
        "var": variables,
        "workspace": {"file_path": str(ROOT), "current_user": {"userName": "somebody@example.com"}},
        "resources": whole["resources"],
    }

    def value_of(path: str) -> str:
        keys = path.split(".")
        value: Any = known
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                return f"${{{path}}}"
            value = value[key]
        return text_of(str(value))

    def text_of(text: str) -> str:
        return REFERENCE.sub(lambda reference: value_of(reference[1]), text)

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [replaced(inner) for inner in value]
        return text_of(value) if isinstance(value, str) else value

    return replaced(whole)


def references(value: Any) -> Iterator[str]:
    """What a document refers to, such as var.catalog."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)
    elif isinstance(value, str):
        yield from REFERENCE.findall(value)


def unknown_keys(bundle: Document) -> list[str]:
    """Keys of the parts besides resources that are none of KNOWN_KEYS, with their place."""
    return [
        f"{place}.{key}".lstrip(".")
        for pattern, known in KNOWN_KEYS.items()
        for place, part in parts(bundle, pattern.split(".") if pattern else [])
        for key in part
        if key not in known
    ]


def parts(value: Any, keys: list[str], place: str = "") -> Iterator[tuple[str, Document]]:
    """The parts of a document at a place, in which * is any key or item, with the place of each."""
    if not keys:
        yield place, value
        return
    items = list(enumerate(value)) if isinstance(value, list) else list(value.items())
    for key, inner in items:
        if keys[0] in ("*", key):
            yield from parts(inner, keys[1:], f"{place}.{key}".lstrip("."))
