"""Errors of storage in words: which file, what is wrong with it, and what to do.

Spark and Delta give them as they come from below: a stack of Java, with the file somewhere in it. On Spark Connect and
on classic Spark, in the driver and in a task, they are different classes, so they are known by their texts.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from customer_segmentation.contract.errors import CustomerSegmentationError, StorageError

_RESTORE = "`customer-segmentation verify` names all that is damaged; put it back from a backup"
_MAKE_ROOM = "make room and run the same command again; what was half written counts for nothing"
_GRANT = "give whoever runs this the right to read and write there, and run the same command again"

_PROBLEMS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), problem, remedy)
    for pattern, problem, remedy in (
        (
            r"No space left on device|Disk quota exceeded|File too large|There is not enough space",
            "can't be written, since the disk is full",
            _MAKE_ROOM,
        ),
        (
            r"Permission denied|Read-only file system|Operation not permitted|AccessControlException|AccessDenied",
            "may not be read or written",
            _GRANT,
        ),
        (r"Checksum error|CRC checksum verification failed", "has other bytes than were written", _RESTORE),
        (
            r"Mkdirs failed|Not a directory|Is a directory|ParentNotDirectory|FileAlreadyExists|File exists",
            "can't be written, since a file is where a folder should be, or a folder where a file should",
            "look what is there and move it away",
        ),
        (
            r"FILE_NOT_EXIST|(?<!Delta)FileNotFoundException|NoSuchFileException|DELTA_LOG_FILE_NOT_FOUND|No such file",
            "is gone",
            _RESTORE,
        ),
        (
            r"is not a Parquet file|[Cc]ould not read footer|CANNOT_READ_FILE_FOOTER|FAILED_READ_FILE|"
            r"ParquetDecodingException|CORRUPT_",
            "can't be read, since it is damaged",
            _RESTORE,
        ),
        (
            r"DELTA_(?:TRUNCATED_TRANSACTION_LOG|VERSIONS_NOT_CONTIGUOUS|MISSING_PART_FILES|STATE_RECOVER_ERROR|"
            r"MISSING_FILES_UNEXPECTED_VERSION|CHECKPOINT|INVALID_LOG|MISSING_CHANGE_DATA)|"
            r"Could not find any delta files|MALFORMED_RECORD_IN_PARSING|JsonParseException|JsonMappingException|"
            r"JsonEOFException",
            "has a damaged log: a commit or a checkpoint is gone or can't be read",
            _RESTORE,
        ),
        (
            r"DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND",
            "was written by others meanwhile, and no longer keeps the version that was being read",
            "run the same command again; where a configuration names the version of a table, name a newer one",
        ),
    )
)

_FILE = re.compile(r"(?:\b[a-z0-9]{2,6}:/{1,3}|(?<![\w/.])/)[^\s'\"`,;()\[\]<>|]*[^\s'\"`,;:.()\[\]<>|]")
_CLASS_PATH = re.compile(r"\.(?:scala|java|py|jar)\b|/site-packages/")


@contextmanager
def explaining_storage_errors(place: str) -> Iterator[None]:
    """Turns an error of storage in the block into a StorageError.

    Args:
        place: named where the error names no file.
    """
    try:
        yield
    except CustomerSegmentationError:
        raise
    except Exception as error:
        explained = storage_error(error, place)
        if explained is None:
            raise
        raise explained from error


def storage_error(error: BaseException, place: str = "a file of the tables") -> StorageError | None:
    """The error in words; None where it is none of storage.

    Args:
        error: what Spark, Delta or Python raised.
        place: named where the error names no file.
    """
    text = f"{type(error).__name__}: {error}"
    for pattern, problem, remedy in _PROBLEMS:
        match = pattern.search(text)
        if match is not None:
            return StorageError(f"{_file_near(text, match.start()) or place} {problem}; {remedy}")
    return None


def _file_near(text: str, place: int) -> str | None:
    """The file that a message names nearest to a place in it, as a path or an address; None without any."""
    files = [match for match in _FILE.finditer(text) if not _CLASS_PATH.search(match[0]) and match[0].count("/") > 1]
    if not files:
        return None
    nearest = min(files, key=lambda match: min(abs(match.start() - place), abs(match.end() - place)))[0]
    return re.sub(r"^file:/+", "/", unquote(nearest))
