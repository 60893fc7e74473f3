"""Says of a file that Spark can't read which one it is, and why."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from customer_segmentation.config.schema import Source
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest.sources import has_file
from customer_segmentation.stages.run import Run

_FILE = re.compile(r"\[FAILED_READ_FILE[^]]*] .*? reading file (\S+)\.\s")
_CAUSE = re.compile(r"^Caused by: [\w.$]+: (.*?)^\s+(?:at |\.\.\. )", re.MULTILINE | re.DOTALL)
_HEADER = "CSV header"


@contextmanager
def naming_unreadable_files(run: Run, place: str, sources: Sequence[Source]) -> Iterator[None]:
    """Turns a failure to read a file of a source into a DataRejectedError that names the file and the cause.

    A file that none of the sources and no look-up is read from is one of the tables: that is no fault of a source.

    A failure of a task is no error of PySpark's own on classic Spark, so it is known by its text alone; where that has
    no cause, as Spark Connect may leave it out, the file is named at least.

    Args:
        place: the key of the sources in the configuration.
    """
    try:
        yield
    except DataRejectedError:
        raise
    except Exception as error:
        match = _FILE.search(str(error))
        if match is None or not _is_of(run, sources, match[1]):
            raise
        causes = [" ".join(cause.split()) for cause in _CAUSE.findall(str(error))]
        why = f": {causes[-1]}" if causes else ""
        hint = ""
        if any(_HEADER in cause for cause in causes):
            hint = ". Its columns are not those of the other files; read it as a source of its own"
        raise DataRejectedError(f"{place}: {match[1]} can't be read{why}{hint}") from None


def _is_of(run: Run, sources: Sequence[Source], file: str) -> bool:
    relations = [relation for source in sources for relation in (source, *source.joins)]
    return any(has_file(run.spark, relation, file) for relation in relations)
