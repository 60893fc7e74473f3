"""What this machine has for a session that is started here."""

import os
from contextlib import suppress
from pathlib import Path

_MEGABYTE = 2**20
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_MIN_MEGABYTES = 1_024
_MAX_MEGABYTES = 31 * 1_024
"""Beyond it a virtual machine's pointers take twice the room."""


def driver_megabytes() -> int:
    """Memory for the driver's virtual machine: half of what there is, so that Python and the files' cache have theirs.

    Unit: 2^20 bytes.
    """
    return min(max(memory() // 2 // _MEGABYTE, _MIN_MEGABYTES), _MAX_MEGABYTES)


def memory() -> int:
    """Memory of this machine, or of the container that this process is in, in bytes."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(file.read_text()))
    return min(limits)
