"""Reads YAML files and `--set` values into one validated `Config`, and says what is wrong and where.

Later layers win, key by key; a list replaces the earlier one whole.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from customer_segmentation.config.documents import MAX_DEPTH, parse
from customer_segmentation.config.explain import KeyPath, explain, split_key
from customer_segmentation.config.schema import Config
from customer_segmentation.contract.errors import ConfigurationError, closest

_MAX_BYTES = 200_000


def load_config(
    files: Sequence[str | Path],
    settings: Sequence[str] = (),
    as_of: str | None = None,
) -> Config:
    """Validate the layers as one configuration.

    Args:
        files: YAML files, later ones over earlier ones.
        settings: `dotted.key=value` pairs over the files; the value is read as YAML.
        as_of: date (YYYY-MM-DD) over all else.

    Returns:
        The frozen configuration.

    Raises:
        ConfigurationError: any layer can't be read or the whole is not valid; lists every problem with
            the key's path, its value, the layer, and a hint.
    """
    merged: dict[str, Any] = {}
    origins: dict[KeyPath, str] = {}
    for file in files:
        _overlay(merged, _read(Path(file)), origins, str(file))
    for setting in settings:
        _overlay(merged, _parse_setting(setting), origins, "--set")
    if as_of is not None:
        _overlay(merged, {"as_of": as_of}, origins, "--as-of")
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigurationError(explain(error, merged, origins)) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"configuration file {file} does not exist{_nearby(file)}") from None
    except IsADirectoryError:
        raise ConfigurationError(f"configuration file {file} is a directory; name a YAML file in it") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"configuration file {file} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"configuration file {str(file)!r} can't be read: {reason}") from None
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"configuration file {file} is above {_MAX_BYTES:,} bytes; is it the right file?")
    try:
        data = parse(text)
    except ValueError as error:
        raise ConfigurationError(f"{file} {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise ConfigurationError(f"{file}: must hold keys and values at the top, such as seed: 42; found {kind}")
    return data


def _nearby(file: Path) -> str:
    try:
        names = [entry.name for entry in file.parent.iterdir() if entry.suffix in {".yml", ".yaml"}]
    except OSError:
        return f"; nor does its folder {file.parent}"
    meant = closest(file.name, names)
    if meant:
        return f"; did you mean {file.parent / meant}?"
    return f"; {file.parent} has {', '.join(sorted(names)[:10])}" if names else ""


def _parse_setting(setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    key = key.strip()
    shown = key[:60] if key.isprintable() else repr(key[:60])
    keys = split_key(key) if key.count(".") < MAX_DEPTH else []
    if not equals or not keys or not all(keys):
        raise ConfigurationError(f"--set {shown}: write it as dotted.key=value, such as clustering.k=6")
    try:
        # A lone | or > would start a YAML block: as a value, such as a CSV separator, it is meant as it is.
        value = text if text in ("|", ">") else parse(text)
    except ValueError as error:
        raise ConfigurationError(f"--set {shown}: {error}; in a shell: --set \"{shown}='...'\"") from None
    for part in reversed(keys[1:]):
        value = {part: value}
    return {keys[0]: value}


def _overlay(
    target: dict[str, Any], layer: dict[str, Any], origins: dict[KeyPath, str], origin: str, path: KeyPath = ()
) -> None:
    for key, value in layer.items():
        here = (*path, key)
        deeper = isinstance(value, dict) and bool(value)
        if not (isinstance(value, dict) and isinstance(target.get(key), dict)):
            for replaced in [known for known in origins if known[: len(here)] == here] if key in target else ():
                del origins[replaced]
            target[key] = {} if isinstance(value, dict) else value
        if deeper:
            _overlay(target[key], value, origins, origin, here)
        else:
            origins[here] = origin
