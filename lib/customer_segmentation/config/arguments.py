"""Checks of what callers of the library's functions give: settings by name, time zones, whole numbers."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from customer_segmentation.config.schema import Section, TimeZone
from customer_segmentation.contract.errors import ConfigurationError

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy and scikit-learn take."""

_TIME_ZONE: TypeAdapter[str] = TypeAdapter(TimeZone)

SomeSection = TypeVar("SomeSection", bound=Section)


def as_section(kind: type[SomeSection], given: SomeSection | Mapping[str, Any] | None, caller: str) -> SomeSection:
    """A section from what a caller gave: itself, its settings by name, or None for the defaults.

    Raises:
        ConfigurationError: a setting is not valid; the message names the caller and the setting.
    """
    if isinstance(given, kind):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(
            f"{caller}: {kind.__name__.lower()} must be a mapping of settings by name; found {given!r:.60}"
        )
    try:
        return kind.model_validate(dict(given or {}))
    except ValidationError as error:
        raise ConfigurationError(f"{caller}: {problems_of(error)}") from None


def as_time_zone(name: str, caller: str) -> str:
    """The name of a time zone of the IANA database.

    Raises:
        ConfigurationError: there is none of that name.
    """
    try:
        return _TIME_ZONE.validate_python(name)
    except ValidationError as error:
        raise ConfigurationError(f"{caller}: timezone {error.errors()[0]['msg']}; found {name!r:.60}") from None


def as_whole(value: object, name: str, caller: str, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """A whole number, also one of NumPy's.

    Args:
        maximum: where there is a minimum too.

    Raises:
        ConfigurationError: it is none, or out of range; the message names the caller and the argument.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        whole = int(value)
        if (minimum is None or whole >= minimum) and (maximum is None or whole <= maximum):
            return whole
    limits = "" if minimum is None else f" of at least {minimum:,}"
    if minimum is not None and maximum is not None:
        limits = f" from {minimum:,} to {maximum:,}"
    raise ConfigurationError(f"{caller}: {name} must be a whole number{limits}; found {value!r}")


def problems_of(error: ValidationError) -> str:
    """What is wrong with arguments, each by its name, in a line."""
    return "; ".join(
        f"{'.'.join(map(str, details['loc'])) or 'the mapping'} {details['msg'].removeprefix('Value error, ')}"
        for details in error.errors()
    )
