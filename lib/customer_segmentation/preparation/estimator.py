"""Checks an estimator's parameters before any job runs."""

from customer_segmentation.contract.errors import ConfigurationError


def whole(estimator: str, name: str, value: object, *, least: int) -> None:
    """Refuse what is no whole number of at least `least`, with a ConfigurationError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{estimator}: {name} must be a whole number of at least {least}; found {value!r}")


def above(estimator: str, name: str, value: object, *, limit: float, below: float = float("inf")) -> None:
    """Refuse what is no number above `limit` and below `below`, with a ConfigurationError."""
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not numeric or not limit < value < below:  # type: ignore[operator]
        wanted = f"above {limit:g}" + (f" and below {below:g}" if below < float("inf") else "")
        raise ConfigurationError(f"{estimator}: {name} must be {wanted}; found {value!r}")
