"""One run at a time works on the tables; a second one stops with the name of the first and the time it began.

Where the tables lie on this machine, the claim is a lock on a file beside them, which the system takes away with the
process that has it. Where they lie elsewhere, or the file system knows no locks, it is a row of `warehouse_claim` that
the run renews while it works: one that has not been renewed for a while is taken over, and at once the one of a process
of this machine that has died, unless its statements are a server's, which goes on with the last one. Of two that claim
at once Delta lets one commit.
"""

import errno
import getpass
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pyspark.errors import AnalysisException

from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import WarehouseBusyError, first_line
from customer_segmentation.log import log
from customer_segmentation.processes import Process, child_processes, is_alive, place_of_numbers, this_process
from customer_segmentation.spark.settings import is_connect
from customer_segmentation.storage import Warehouse, literal

try:
    import fcntl
except ImportError:  # a system without these locks: the row of the table has to do
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".claim"
LEASE_MINUTES = 10
"""A claim that has not been renewed for so long is one of a run that is no longer there."""

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)
"""What a file system answers that knows no locks."""

_CONFLICT = re.compile(r"DELTA_(CONCURRENT|METADATA_CHANGED|PROTOCOL_CHANGED)|Concurrent\w*Exception")
"""How Delta says that another one's commit came first, be it Spark's error or one of Java."""

_RENEW_SECONDS = 60
_WAIT_FOR_SPARK_SECONDS = 60
_WAIT_FOR_HOLDER_SECONDS = 5
_POLL_SECONDS = 0.2
_ATTEMPTS = 5


@contextmanager
def claimed_folder(root: Path | None, command: str) -> Iterator[bool]:
    """Hold the claim on tables below a folder of this machine for the block.

    Args:
        root: the folder, made where it is missing; None: nothing is done.
        command: what the run does, for people.

    Yields:
        Whether the claim is held: not where there is no folder, or its file system knows no locks.

    Raises:
        WarehouseBusyError: another run holds it.
    """
    if root is None or fcntl is None:
        yield False
        return
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK_FILE).open("a+", encoding="utf-8") as file:
        if not _lock(file, root):
            yield False
            return
        _wait_for_spark_of(_read_holder(file), root)
        _write_holder(file, command, [])
        try:
            yield True
        finally:
            file.truncate(0)


def note_spark_of(root: Path | None, command: str) -> None:
    """Keep which processes this one has started: what they write after its death is waited for.

    Args:
        root, command: as for `claimed_folder`, in whose block this is called.
    """
    if root is not None and fcntl is not None:
        with (root / LOCK_FILE).open("a+", encoding="utf-8") as file:
            _write_holder(file, command, child_processes())


@contextmanager
def claimed_tables(warehouse: Warehouse, owner: str, command: str) -> Iterator[None]:
    """Hold the claim that is a row of `warehouse_claim` for the block.

    Args:
        warehouse: the tables.
        owner: the run, unlike any other.
        command: what it does, for people.

    Raises:
        WarehouseBusyError: another run holds it, or took it first.
    """
    _take(warehouse, owner, _who(command))
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(warehouse, owner, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        warehouse.update(t.WAREHOUSE_CLAIM, {"owner": "NULL"}, where=_equals(owner))


def _take(warehouse: Warehouse, owner: str, who: str) -> None:
    if not warehouse.exists(t.WAREHOUSE_CLAIM):
        try:
            warehouse.create(t.WAREHOUSE_CLAIM, [{}])
        except Exception:  # another run was faster; what Spark does not know comes as an error of Java
            if not warehouse.exists(t.WAREHOUSE_CLAIM):
                raise
    expired = f"renewed_at < current_timestamp() - INTERVAL {LEASE_MINUTES} MINUTES"
    values = {
        "owner": literal(owner),
        "description": literal(who),
        "claimed_at": "current_timestamp()",
        "renewed_at": "current_timestamp()",
    }
    for _ in range(_ATTEMPTS):
        row = warehouse.read(t.WAREHOUSE_CLAIM).selectExpr("*", f"coalesce({expired}, true) AS is_expired").head()
        assert row is not None, "the table has one row"
        if row["owner"] == owner:
            return
        # A server of Spark Connect goes on with what a client asked for last when that one has died, for some minutes.
        has_ended = row["is_expired"] or (_died_here(row["owner"] or "") and not is_connect(warehouse.spark))
        if row["owner"] is not None and not has_ended:
            since = row["claimed_at"].isoformat(timespec="seconds")
            raise WarehouseBusyError(_busy(warehouse.location(t.WAREHOUSE_CLAIM), row["description"], since))
        before = "owner IS NULL" if row["owner"] is None else _equals(row["owner"])
        try:
            warehouse.update(t.WAREHOUSE_CLAIM, values, where=before)
        except Exception as error:
            if isinstance(error, AnalysisException) or not _CONFLICT.search(str(error)):
                raise
    raise WarehouseBusyError(_busy(warehouse.location(t.WAREHOUSE_CLAIM), "several runs that claim them at once", None))


def _renew(warehouse: Warehouse, owner: str, done: threading.Event) -> None:
    """Renew the claim at intervals; where that fails for longer than the lease, another run takes over."""
    while not done.wait(_RENEW_SECONDS):
        try:
            warehouse.update(t.WAREHOUSE_CLAIM, {"renewed_at": "current_timestamp()"}, where=_equals(owner))
        except Exception as error:  # the next time will do, as long as the lease lasts
            log.warning("the claim on the tables could not be renewed, and will be tried again: %s", first_line(error))


def owner_of(run_began: str) -> str:
    """A run as it claims tables: unlike any other, and with what tells whether its process is alive.

    Args:
        run_began: when it began, to the microsecond.
    """
    number, began = this_process()
    return f"{socket.gethostname()}, process {number}, {run_began}, {began}, {place_of_numbers()}"


def _died_here(owner: str) -> bool:
    """Whether the owner was a process of this machine and container that is no longer there; see `owner_of`."""
    parts = owner.split(", ", 4)
    if len(parts) < 5 or parts[4] != place_of_numbers():
        return False
    number, began = parts[1].removeprefix("process "), parts[3]
    return number.isdecimal() and began.isdecimal() and not is_alive((int(number), int(began)))


def _who(command: str) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"`{command}` of {user} on {socket.gethostname()}, process {os.getpid()}"


def _busy(place: str, who: str, since: str | None) -> str:
    began = f", since {since}" if since else ""
    return (
        f"another run is at work on the tables at {place}: {who}{began}. Wait until it has finished, then run the "
        "command again"
    )


def _lock(file: IO[str], root: Path) -> bool:
    """Lock the file; where another run has locked it, wait no longer than it takes that one to write who it is.

    Returns:
        Whether it is locked: not where the file system knows no locks, as some that are mounted.

    Raises:
        WarehouseBusyError: another run has locked it.
    """
    deadline = time.monotonic() + _WAIT_FOR_HOLDER_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
        else:
            return True
        holder = _read_holder(file)
        if holder or time.monotonic() > deadline:
            raise WarehouseBusyError(_busy(str(root), holder.get("who", "another run"), holder.get("since")))
        time.sleep(_POLL_SECONDS)


def _read_holder(file: IO[str]) -> dict[str, Any]:
    """Who wrote the lock file; nothing where that has not been written, or not to its end."""
    file.seek(0)
    try:
        holder: dict[str, Any] = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return holder


def _write_holder(file: IO[str], command: str, children: list[Process]) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"who": _who(command), "since": since, "place": place_of_numbers(), "children": children}
    file.seek(0)
    file.truncate(0)
    file.write(json.dumps(holder))
    file.flush()


def _wait_for_spark_of(holder: Mapping[str, Any], root: Path) -> None:
    """Wait until what a run that died had started has ended too: it may be committing still.

    What it started in another container can't be seen from here. It ends with the container.
    """
    is_here = holder.get("place") == place_of_numbers()
    children = [(number, began) for number, began in holder["children"]] if is_here else []
    deadline = time.monotonic() + _WAIT_FOR_SPARK_SECONDS
    while any(map(is_alive, children)):
        if time.monotonic() > deadline:
            raise WarehouseBusyError(
                f"{holder.get('who')} ended, but Spark that it had started still runs (process "
                f"{', '.join(str(number) for number, _ in children)}) and may write to {root}. End it, then run the "
                "command again"
            )
        time.sleep(_POLL_SECONDS)


def _equals(owner: str) -> str:
    return f"owner = {literal(owner)}"
