"""What estimators have in common: parameters that a constructor stores and a fit validates, and their text."""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from numbers import Real
from typing import Any, Generic, Self, TypeVar

from customer_segmentation.config.arguments import as_whole
from customer_segmentation.contract.errors import ConfigurationError

Fitted = TypeVar("Fitted")


class also_of_the_class(Generic[Fitted]):  # noqa: N801 (a decorator)
    """Lets `fit` be called as in 0.1.0 too: `Class.fit(frame, a=1)` is `Class(a=1).fit(frame)`."""

    def __init__(self, fit: Callable[..., Fitted]) -> None:
        self._fit = fit

    def __get__(self, estimator: Any, of: type[Any]) -> Callable[..., Fitted]:
        """`fit` of an estimator, or of its class."""
        if estimator is not None:
            return partial(self._fit, estimator)

        @wraps(self._fit)
        def fit(frame: Any, **params: Any) -> Fitted:
            return self._fit(of(**params), frame)

        return fit


class Estimator:
    """Base of all estimators, with scikit-learn's protocol for parameters.

    A constructor only stores its arguments, each as an attribute of its name; `fit` validates them.
    """

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        signature = inspect.signature(cls.__init__)
        return {name: parameter.default for name, parameter in signature.parameters.items() if name != "self"}

    def get_params(self) -> dict[str, Any]:
        """The parameters by name, in the constructor's order."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Set some of the parameters.

        Returns:
            The estimator itself.

        Raises:
            ConfigurationError: the estimator has no parameter of such a name.
        """
        unknown = sorted(params.keys() - self._defaults().keys())
        if unknown:
            raise ConfigurationError(
                f"{type(self).__name__} has no parameter {', '.join(unknown)}; it has {', '.join(self._defaults())}"
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = self._defaults()
        changed = (f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name])
        return f"{type(self).__name__}({', '.join(changed)})"

    def _require_whole(self, name: str, *, minimum: int | None = None, maximum: int | None = None) -> None:
        """Reject a parameter that is no whole number in a range, with a ConfigurationError; one of NumPy's will do."""
        setattr(self, name, as_whole(getattr(self, name), name, type(self).__name__, minimum=minimum, maximum=maximum))

    def _require_above(self, name: str, limit: float, *, below: float = float("inf")) -> None:
        """Reject a parameter that is no number above `limit` and below `below`, with a ConfigurationError."""
        value = getattr(self, name)
        if not isinstance(value, Real) or isinstance(value, bool) or not limit < float(value) < below:
            wanted = f"above {limit:g}" + (f" and below {below:g}" if below < float("inf") else "")
            raise self._error(name, wanted, value)
        setattr(self, name, float(value) if not isinstance(value, int) else value)

    def _error(self, name: str, wanted: str, value: object) -> ConfigurationError:
        return ConfigurationError(f"{type(self).__name__}: {name} must be {wanted}; found {value!r}")
