"""Settings that come from environment variables: secrets, which a configuration names and does not hold."""

import os
from collections.abc import Iterator, Mapping

from customer_segmentation.config.schema import Config, Relation
from customer_segmentation.contract.errors import ConfigurationError


def from_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The values of environment variables by the settings that take them.

    Raises:
        ConfigurationError: one is not set.
    """
    missing = sorted({variable for variable in variables.values() if variable not in os.environ})
    if missing:
        settings = ", ".join(name for name, variable in variables.items() if variable in missing)
        are = "variables {} are" if len(missing) > 1 else "variable {} is"
        raise ConfigurationError(f"the environment {are.format(', '.join(missing))} not set; {settings} needs a value")
    return {name: os.environ[variable] for name, variable in variables.items()}


def require_environment(config: Config, *, sources: bool) -> None:
    """Make sure that every environment variable is set that the configuration names.

    Args:
        sources: whether those of the sources are needed too.

    Raises:
        ConfigurationError: one is not set; names the key.
    """
    named = [("spark", config.spark.environment), *(_of_sources(config) if sources else ())]
    for section, variables in named:
        try:
            from_environment(variables)
        except ConfigurationError as error:
            raise ConfigurationError(f"{section}.environment: {error}") from None


def _of_sources(config: Config) -> Iterator[tuple[str, Mapping[str, str]]]:
    for entity in ("transactions", "customers", "engagement"):
        for source in getattr(config.sources, entity, None) or []:
            relations: list[Relation] = [source, *source.joins]
            yield from ((f"sources.{entity}", relation.environment) for relation in relations)
