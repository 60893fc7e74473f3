"""The errors a user meets. Each kind has the exit code that the command line ends with."""

import difflib
from collections.abc import Iterable


class CustomerSegmentationError(Exception):
    """Root of the library's errors: something the user can mend, shown without a stack trace."""

    exit_code = 1


class ConfigurationError(CustomerSegmentationError):
    """The command or the configuration is wrong; found before Spark starts where that needs no table."""

    exit_code = 2


class DataRejectedError(CustomerSegmentationError):
    """The data can't be segmented as configured; nothing a consumer reads was written."""

    exit_code = 3


class StoppedByAlertsError(DataRejectedError):
    """A run's figures are beyond limits that stop it: all of it is written, but consumers read on the run before.

    Or nothing came for so long that it is no longer to be taken for good, even where they read it already.
    """


class WarehouseBusyError(CustomerSegmentationError):
    """Another run is at work on the tables; nothing was done."""

    exit_code = 4


class ConstraintViolatedError(CustomerSegmentationError):
    """A row that was to be written is not as its table's declaration says; nothing was written to that table."""


class PublishingError(CustomerSegmentationError):
    """What was written is not what was computed; the run is not published."""


class StorageError(CustomerSegmentationError):
    """A file of a table is gone, is not what was written, or can't be read or written."""


class VerificationError(CustomerSegmentationError):
    """The tables are not what the log of runs, the build from scratch or the tables' logs say."""


class MissingPackageError(CustomerSegmentationError):
    """What was asked for needs a package that is not installed."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for a message of one line; the name of its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a wrong one may be meant for, letter case aside; None where none is like it."""
    folded = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1)
    return folded[close[0]] if close else None
