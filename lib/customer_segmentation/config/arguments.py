"""Sections of the configuration as arguments of the library's functions."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from customer_segmentation.config.schema import Section
from customer_segmentation.contract.errors import ConfigurationError

SomeSection = TypeVar("SomeSection", bound=Section)


def as_section(kind: type[SomeSection], given: SomeSection | Mapping[str, Any] | None, caller: str) -> SomeSection:
    """A section from what a caller gave: itself, its settings by name, or None for the defaults.

    Raises:
        ConfigurationError: a setting is not valid; the message names the caller and the setting.
    """
    if isinstance(given, kind):
        return given
    try:
        return kind.model_validate(dict(given or {}))
    except ValidationError as error:
        raise ConfigurationError(f"{caller}: {problems_of(error)}") from None


def problems_of(error: ValidationError) -> str:
    """What is wrong with arguments, each by its name, in a line."""
    return "; ".join(
        f"{'.'.join(map(str, details['loc'])) or 'the mapping'} {details['msg'].removeprefix('Value error, ')}"
        for details in error.errors()
    )
