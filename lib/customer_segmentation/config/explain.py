"""Says what is wrong in a configuration, a line a problem.

A line has the key's path, what must hold, the value, a hint, and the layer that has set the value. The words
come from the schema: its types, ranges and descriptions. Values that look like secrets are not shown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from customer_segmentation.config.schema import Config, Expression
from customer_segmentation.config.secrets import holds_secret, is_secret_name
from customer_segmentation.contract.errors import closest

KeyPath = tuple[str | int, ...]

_MAX_PROBLEMS = 20
_MAX_NAMES = 12
_MAX_VALUE_LENGTH = 60
_FREE_SECTIONS = ("options", "conf")


def explain(error: ValidationError, data: dict[str, Any], origins: Mapping[KeyPath, str]) -> str:
    """The text of an error: how many problems there are, then each on a line.

    Args:
        error: of the schema.
        data: the validated values, merged from all layers.
        origins: the layer that has set each value.
    """
    problems: dict[KeyPath, ErrorDetails] = {}
    for details in error.errors(include_url=False):
        problems.setdefault(_path(details["loc"], data), details)
    shown = islice(problems.items(), _MAX_PROBLEMS)
    lines = [_problem(path, details, data) + _origin(path, origins) for path, details in shown]
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"the configuration has {count}:\n" + "\n".join(f"  - {line}" for line in lines)


def split_key(dotted: str) -> list[str]:
    """The keys of a dotted path; below `options` and `conf` dots belong to the key: spark.conf.spark.ui.enabled."""
    keys = dotted.split(".")
    for depth in range(1, len(keys)):
        if get_origin(_bare(_kind_at(tuple(keys[:depth])))) is dict:
            return [*keys[:depth], ".".join(keys[depth:])]
    return keys


def _problem(path: KeyPath, details: ErrorDetails, data: dict[str, Any]) -> str:
    problem = "extra_forbidden" if details["loc"][-1:] == ("[key]",) else details["type"]
    kind, value = _kind_at(path), _value_at(path, data)
    value_text = f"; found {_shown(path, value)}"
    if problem == "extra_forbidden":
        message, value_text = "is not a known key" + _other_key(path), ""
    elif problem == "missing":
        siblings = _value_at(path[:-1], data)
        message = f"is missing; it must be {_expected(kind)}"
        value_text = f"; found only {', '.join(map(_plain_key, siblings))}" if siblings else ""
    elif problem == "value_error":
        message = str(details["ctx"]["error"])
        value_text = "" if isinstance(value, dict | list) else value_text
    elif problem == "unknown_name":
        known = details["ctx"]["known"]
        examples = ", ".join(known[:_MAX_NAMES]) + (
            f" and {len(known) - _MAX_NAMES} more" if len(known) > _MAX_NAMES else ""
        )
        message, value_text = details["msg"], value_text + (_did_you_mean(value, known) or f"; there are {examples}")
    else:
        message, value_text = f"must be {_expected(kind)}", value_text + _hint(kind, value)
    key = ".".join(map(_plain_key, path)) or "the configuration"
    return f"{key}: {message}{value_text}"


def _path(location: KeyPath, data: Any) -> KeyPath:
    """The path as the user wrote it, without the steps that validation adds."""
    path: KeyPath = ()
    value = data
    for step in location:
        here = (*path, step)
        if isinstance(value, list) and isinstance(step, int):
            path, value = here, value[step]
        elif isinstance(value, dict) and (step in value or (isinstance(step, str) and _kind_at(here) is not None)):
            path, value = here, value.get(step)
    return path


def _value_at(path: KeyPath, data: Any) -> Any:
    for step in path:
        data = data.get(step) if isinstance(data, dict) else data[step]
    return data


def _origin(path: KeyPath, origins: Mapping[KeyPath, str]) -> str:
    """The layers that wrote the value or what is in it; for a missing one those that wrote its surroundings."""
    for length in range(len(path), -1, -1):
        layers = dict.fromkeys(layer for key, layer in origins.items() if key[:length] == path[:length])
        if layers:
            return f" ({', '.join(layers)})"
    return ""


# What the schema says of a path


def _kind_at(path: KeyPath) -> Any:
    """The type the schema declares at a path, a `FieldInfo` or an annotation; None where it knows no such key."""
    kind: Any = Config
    for step in path:
        kind = _below(kind, step)
    return kind


def _below(kind: Any, step: str | int) -> Any:
    kind = _bare(kind)
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return item if isinstance(step, int) else _below(item, step)
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    if _is_model(kind):
        return _fields(kind).get(str(step), Expression if kind.model_config.get("extra") == "allow" else None)
    return None


def _bare(kind: Any) -> Any:
    """A type without what is annotated to it and without None."""
    if isinstance(kind, FieldInfo):
        return _bare(kind.annotation)
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        kinds = [option for option in get_args(kind) if option is not type(None)]
        return _bare(kinds[0]) if len(kinds) == 1 else kind
    return kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _keys_below(kind: Any) -> list[str]:
    kind = _bare(kind)
    if get_origin(kind) is list:
        return _keys_below(get_args(kind)[0])
    if get_origin(kind) is dict:
        return list(get_args(get_args(kind)[0]))
    return list(_fields(kind)) if _is_model(kind) else []


def _all_keys(kind: Any, path: str = "") -> Iterator[str]:
    for key in _keys_below(kind):
        here = f"{path}.{key}" if path else key
        yield here
        yield from _all_keys(_below(kind, key), here)


# Words


def _expected(kind: Any) -> str:
    """What a value must be, such as "auto or a whole number from 2 to 100"."""
    if isinstance(kind, FieldInfo):
        return kind.description or _expected(kind.annotation) + _range(kind.metadata)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        notes = [note for note in arguments[1:] if isinstance(note, FieldInfo)]
        described = next((note.description for note in notes if note.description), None)
        return described or _expected(arguments[0]) + _range(bound for note in notes for bound in note.metadata)
    if origin in (Union, UnionType):
        return " or ".join(_expected(option) for option in arguments if option is not type(None))
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(map(str, arguments))
    if origin is list:
        return "a list"
    if _is_model(kind):
        return f"keys such as {', '.join(_keys_below(kind)[:3])}"
    return {str: "text", bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "keys with values")


def _range(bounds: Iterable[Any]) -> str:
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "to below"}
    known = {name: getattr(bound, name) for bound in bounds for name in words if hasattr(bound, name)}
    if list(known) == ["ge"]:
        return f" of at least {known['ge']:,}"
    return "".join(f" {word} {known[name]:,}" for name, word in words.items() if name in known)


def _hint(kind: Any, value: Any) -> str:
    expected = _expected(kind)
    if value is None:
        return "; give it a value or remove the key"
    if isinstance(value, str):
        if re.search(r"\bnumber\b", expected) and re.fullmatch(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?", value):
            return "; write it without quotes"
        return _did_you_mean(value, _choices(kind))
    if "text" in expected and "number" not in expected and not isinstance(value, dict | list):
        return "; put it in quotes"
    return ""


def _choices(kind: Any) -> list[str]:
    kind = _bare(kind)
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for option in get_args(kind) for choice in _choices(option)] if get_origin(kind) is not list else []


def _other_key(path: KeyPath) -> str:
    """The key that was likely meant: one like it in the same place, or the same one in another."""
    key, known = str(path[-1]), _keys_below(_kind_at(path[:-1]))
    parent = ".".join(str(step) for step in path[:-1] if isinstance(step, str))
    elsewhere = [other for other in _all_keys(Config) if other.endswith(f".{key}")]
    if close := _did_you_mean(key, known):
        return close
    if elsewhere:
        nearest = max(elsewhere, key=lambda other: other.startswith(parent))
        return f"; did you mean {nearest}?"
    return f"; known here: {', '.join(known)}"


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    longer = next((name for name in known if len(word) > 2 and name.startswith(word)), None)
    meant = longer or closest(word[:_MAX_VALUE_LENGTH], known)
    return f"; did you mean {meant}?" if meant else ""


def _plain_key(key: str | int) -> str:
    """A key as it reads in a path; quoted where it could be taken for something else."""
    return str(key) if re.fullmatch(r"[\w-]{1,60}", str(key)) else _cut(repr(key))


def _shown(path: KeyPath, value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys with values" if value else "no keys"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if path[-1] in _FREE_SECTIONS or any(is_secret_name(str(step)) for step in path) or holds_secret(value):
        return "***"
    return str(value).lower() if isinstance(value, bool) else _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_LENGTH else text[:_MAX_VALUE_LENGTH] + "..."
