"""Reads YAML text as a plain tree: mappings with text keys, lists, text, numbers, true, false and null.

Stricter and less surprising than YAML 1.1: `on`, `no` and `12:30` are text, dates stay text for the schema to
validate, `1e6` is a number, and no tag makes an object. Aliases are copied out, up to a size that no person writes.
"""

import re
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import yaml

MAX_DEPTH = 50
"""Levels that a document may nest."""

MAX_VALUES = 10_000
_TAG = "tag:yaml.org,2002:"
_FLOAT = r"(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF)"


class _Unsupported(yaml.MarkedYAMLError):
    """Valid YAML that no configuration may hold."""

    def __init__(self, mark: yaml.Mark, reason: str) -> None:
        super().__init__(problem=reason, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """Finds the four kinds of scalars below and nothing else."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 (PyYAML's name)
        # The scanner's time grows with the square of the open brackets, so they are counted there.
        if self.flow_level > MAX_DEPTH:
            raise _Unsupported(self.get_mark(), "nested too deeply; write it flatter")
        super().fetch_flow_collection_start(TokenClass)


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9_]{0,29})", list("-+0123456789")),
    ("float", rf"[-+]?(?:{_FLOAT})|\.(?:nan|NaN|NAN)", list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), _first)

_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": lambda text: int(text.replace("_", "")),
    "float": lambda text: float(re.sub(r"\.(?=inf|nan)|_", "", text.lower())),
}


def parse(text: str) -> Any:
    """Return what the text holds; None when it holds nothing.

    Raises:
        ValueError: it is no YAML, or holds a key twice, a key that is not text, a merge key or a tag, or is too
            large or nested too deeply; says the line and what to do.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _plain(node, 0, count())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(where + _reason(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"line {line}: not valid YAML: holds an unprintable character; remove it") from None
    except RecursionError:
        raise ValueError("nested too deeply; write it flatter") from None


def _plain(node: yaml.Node, depth: int, counted: Iterator[int]) -> Any:
    if depth > MAX_DEPTH:
        raise _Unsupported(node.start_mark, "nested too deeply, or an alias holds itself; write it flatter")
    if next(counted) >= MAX_VALUES:
        raise _Unsupported(
            node.start_mark, f"holds more than {MAX_VALUES:,} values, aliases counted; that is no configuration"
        )
    kind = str(node.tag).removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and kind == "map":
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key(key_node, counted)
            if key in mapping:
                raise _Unsupported(key_node.start_mark, f"the key {key!r:.60} is given twice; keep one")
            mapping[key] = _plain(value_node, depth + 1, counted)
        return mapping
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_plain(item, depth + 1, counted) for item in node.value]
    if isinstance(node, yaml.ScalarNode) and kind in _SCALARS:
        try:
            return _SCALARS[kind](node.value)
        except (ValueError, KeyError):
            raise _Unsupported(node.start_mark, "the value does not fit its tag; remove the tag") from None
    raise _Unsupported(
        node.start_mark, "tags are not supported; remove it, or put a value that starts with ! in quotes"
    )


def _key(node: yaml.Node, counted: Iterator[int]) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _Unsupported(node.start_mark, "a key is a list or a mapping; a key must be text")
    if node.value == "<<" and node.style is None:
        raise _Unsupported(
            node.start_mark, "merge keys (<<) are not supported; repeat the keys, or put them in a file of their own"
        )
    key = _plain(node, 0, counted)
    if not isinstance(key, str):
        raise _Unsupported(node.start_mark, f"the key {node.value!r:.60} is not text; put it in quotes")
    return key


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    if isinstance(error, _Unsupported):
        return problem
    if "alias" in problem or "anchor" in problem:  # its name may be a password that lacks quotes
        problem = problem.partition("'")[0].strip()
        return f"not valid YAML: {problem}; put a value that starts with * or & in quotes"
    if "cannot start any token" in problem:
        return f"not valid YAML: {problem}; put a value that starts with a sign in quotes; indent with spaces, not tabs"
    return f"not valid YAML: {problem}; look at the indentation, colons and quotes there and just before"
