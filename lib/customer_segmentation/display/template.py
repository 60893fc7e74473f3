"""Page templates that escape what they show, and the check for the extra that draws charts."""

from collections.abc import Iterator
from contextlib import contextmanager

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from customer_segmentation.contract.errors import MissingPackageError

_OWN = "customer_segmentation.display"
_EXTRA = ("altair", "vl_convert")


def environment(*packages: str) -> Environment:
    """Templates of the packages, and of this one: the layout of a page, its style and its colours."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, "") for package in (*packages, _OWN)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@contextmanager
def needs_extra() -> Iterator[None]:
    """For a block that imports what draws. Raises MissingPackageError when the extra isn't installed."""
    try:
        yield
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _EXTRA:
            raise
        raise MissingPackageError(
            f"Charts need {missing.replace('_convert', '-convert-python')}, which isn't installed; "
            "run: pip install altair vl-convert-python"
        ) from error
