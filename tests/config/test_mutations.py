"""A thousand valid configurations, each changed in one place: accepted, or rejected by the key before Spark starts."""

import random
import re
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from customer_segmentation.cli import main
from customer_segmentation.config import Config, load_config
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.ingest.paths import problems
from tests.config.test_config import with_templates
from tests.generated import ROOT

MUTATIONS = 1000
SEED = 20261126
Path_ = tuple[str | int, ...]

WHOLE: dict[str, Any] = yaml.safe_load(with_templates().replace("1.0e+12", "1000000.0"))
BASES = [WHOLE, *(yaml.safe_load((ROOT / "conf" / f"{name}.yml").read_text()) for name in ("demo", "online_retail"))]

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2.5, -0.001, 1e300, -1e300, 10**40, -(10**40), float("nan"), float("inf")),
    *(float("-inf"), "", " ", "0", "1", "auto", "null", "true", "on", "yes", "1e3", "12:30", "-", "~", "="),
    *("<<", "&a"),
    *("2024-02-30", "2024-13-01", "01.02.2024", "2024-1-1", "0000-00-00", "tomorrow", "2024-01-01T00:00:00"),
    *("ü", "naïve", "Ж" * 300, "\u202e", "\x00", "a\nb", "\ud7ff", "🙂", "ſ", "İ", "x" * 10_000, "a b", "a-b"),
    *("1a", "`a`"),
    *("customer_id; DROP TABLE x", "x' OR '1'='1", "../../etc/passwd", "/dev/null", "select 1", "${env:HOME}"),
    *("{{7*7}}"),
    *("sum(amount)", "(select 1)", "a +", "f(", "no_such_function(a)", "case when a then", "current_date()"),
    *("a ; b", "'", "*"),
    *([], {}, [None], [[]], [{}], [1, 2, 3], ["a", "a"], {"a": 1}, {"": 1}, {"a": {"b": {"c": {}}}}),
    *([["recency_days"]]),
    *("recency_days", ["recency_days"], ["recency_days", "recency_days"], ["no_such_feature"], [0.9, 0.1]),
    *([-1], [0.0, 1.0]),
    *("UTC", "Mars/Olympus", "localtime", "kmeans", "KMeans", "parquet", "excel", "4g", "0g", "local[2]", "["),
    *("(?<", "a" * 200),
    *([{}], [{"using": []}], {"columns": None}, {"format": "jdbc"}, {"path": None}, {"warn": 2, "stop": 1}),
    *({"3": "A", "4": "A"}),
]  # fmt: skip
KEYS = [
    "",
    " ",
    "x",
    "Seed",
    "seed ",
    "sedd",
    "ключ",
    "a.b",
    "0",
    "-1",
    "null",
    "pass word",
    "columns",
    "k",
    "<<",
    "x" * 50,
]
LINES = [
    *("\tseed: 1", "seed: 1\nseed: 2", "a: b: c", "- x", "key", "&a a: *a", "*nobody"),
    *("!!python/object:os.system {}", "%YAML 9.9"),
    *('x: "', "x: '", "{", "}", "[1, 2", "? [a, b]\n: c", "<<: {seed: 1}", "---\n---\nseed: 1"),
    *("seed: !!int '1'", "x: |\n  a\n b"),
    *("1: 2", "null: 3", "true: 1", "[a]: 1", "x: @y", "x: `y`", "\x07", "x: \x85", "\ufeffseed: 1"),
    *("seed: 0x10", "seed: 010", "é"),
]  # fmt: skip


def paths(data: Any, here: Path_ = ()) -> list[Path_]:
    """Every key and place in nested data, but for the whole."""
    steps = list(data.items()) if isinstance(data, dict) else list(enumerate(data)) if isinstance(data, list) else []
    return [path for key, value in steps for path in ((*here, key), *paths(value, (*here, key)))]


def at(data: Any, path: Path_) -> Any:
    for step in path:
        data = data[step]
    return data


def replaced(data: dict[str, Any], draw: random.Random) -> Path_:
    path = draw.choice(paths(data))
    at(data, path[:-1])[path[-1]] = deepcopy(draw.choice(VALUES))
    return path


def removed(data: dict[str, Any], draw: random.Random) -> Path_:
    path = draw.choice(paths(data))
    del at(data, path[:-1])[path[-1]]
    return path


def renamed(data: dict[str, Any], draw: random.Random) -> Path_:
    path = draw.choice([path for path in paths(data) if isinstance(path[-1], str)])
    parent, key = at(data, path[:-1]), str(path[-1])
    other = draw.choice([key.upper(), key[:-1], key + key[-1], key[::-1], f"{key} ", *KEYS])
    parent[other] = parent.pop(key)
    return (*path[:-1], f"{key}|{other}")


def added(data: dict[str, Any], draw: random.Random) -> Path_:
    path = draw.choice([(), *(path for path in paths(data) if isinstance(at(data, path), dict))])
    key = draw.choice(KEYS)
    at(data, path)[key] = deepcopy(draw.choice(VALUES))
    return (*path, key)


def nested(data: dict[str, Any], draw: random.Random) -> Path_:
    path = draw.choice(paths(data))
    parent, value = at(data, path[:-1]), at(data, path)
    parent[path[-1]] = draw.choice([[value], [value, value], [[value]], {"value": value}, {str(path[-1]): value}])
    return path


def moved(data: dict[str, Any], draw: random.Random) -> Path_:
    path, other = draw.sample(paths(data), 2)
    value = deepcopy(at(data, path))
    at(data, other[:-1])[other[-1]] = value
    return other


def doubled(data: dict[str, Any], draw: random.Random) -> Path_:
    lists = [path for path in paths(data) if isinstance(at(data, path), list)]
    path = draw.choice(lists or paths(data))
    value = at(data, path)
    at(data, path[:-1])[path[-1]] = value * draw.choice([0, 2, 50]) if isinstance(value, list) else [value, value]
    return path


MUTATORS: list[Callable[[dict[str, Any], random.Random], Path_]] = [
    *(replaced, replaced, replaced, removed, renamed, added, nested, moved, doubled)
]  # fmt: skip


def mutated(draw: random.Random) -> tuple[str, Path_]:
    """The text of a configuration that was changed in one place, and which; none where it is the text that changed.

    Of a key that was renamed the place has both names, with | between them.
    """
    base = draw.choice(BASES)
    data = {name: deepcopy(base[name]) for name in sorted(draw.sample(sorted(base), min(4, len(base))))}
    if draw.random() < 0.1:
        lines = yaml.safe_dump(data, allow_unicode=True).splitlines()
        lines.insert(draw.randrange(len(lines)), draw.choice(LINES))
        return "\n".join(lines), ()
    path = draw.choice(MUTATORS)(data, draw)
    return yaml.safe_dump(data, allow_unicode=draw.random() < 0.5), path


def keys_of(message: str) -> list[list[str]]:
    """The keys that the lines of a message begin with, as their parts."""
    keys = re.findall(r"^  - ((?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^:'\" ])+): ", message, re.MULTILINE)
    return [re.findall(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^.]+", key) for key in keys]


def is_of(path: Path_, message: str) -> bool:
    """Whether a line of the message begins with a key on the way to the one that was changed, or below it."""
    parts = [step.split("|") for step in path if isinstance(step, str)]
    for key in keys_of(message):
        if key == ["the configuration"]:
            return False
        own = [part for part in key if not part.isdigit()]
        if all(one.strip("'\"") in names for one, names in zip(own, parts, strict=False)):
            return True
    return False


@pytest.mark.slow
def test_a_thousand_mutated_configurations_are_accepted_or_rejected_by_their_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, file, outcomes = random.Random(SEED), tmp_path / "m.yml", Counter[str]()
    for number in range(MUTATIONS):
        text, path = mutated(draw)
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        case = f"mutation {number} of seed {SEED}, at {path}"
        message = rejection(file)
        if message is None:
            outcomes["accepted"] += 1
            continue
        outcomes["rejected"] += 1
        if outcomes["rejected"] % 10 == 0:
            assert main(["check", "--config", str(file)]) == 2, case
            told = capsys.readouterr()
            assert (told.out, told.err) == ("", f"customer-segmentation: {message}\n"), case
        where = path or ("line", "keys and values", "  - ")
        assert is_of(path, message) if path else any(word in message for word in where), f"{case}: {message}"
    assert min(outcomes["accepted"], outcomes["rejected"]) > MUTATIONS / 10, outcomes


def rejection(file: Path) -> str | None:
    """What is said before Spark starts; None where the configuration is accepted."""
    try:
        config = load_config([file])
    except ConfigurationError as error:
        return str(error)
    assert isinstance(config, Config)
    if config.sources is not None:
        assert all(problem.startswith("sources.") for problem in problems(config.sources, are_here=True))
    return None
