"""Which processes of this machine are alive, told apart from others that had or have the same number elsewhere.

A number names a process only where it was given: a container has numbers of its own, a machine that was started again
gives them anew, and one that is free is given again.
"""

import os
import socket
from pathlib import Path

Process = tuple[int, int]
"""A process: its number, and when it began, in the system's ticks; 0 where the system does not tell."""


def place_of_numbers() -> str:
    """Where the numbers of processes that this one sees were given: host, start of the machine, and container."""
    return "/".join((socket.gethostname(), _text("/proc/sys/kernel/random/boot_id"), _link("/proc/self/ns/pid")))


def this_process() -> Process:
    """The running process."""
    return os.getpid(), _began(os.getpid())


def child_processes() -> list[Process]:
    """The processes that this one has started, as far as the system lists them."""
    listed = (_text(str(path)) for path in Path("/proc/self/task").glob("*/children"))
    return sorted({(int(child), _began(int(child))) for children in listed for child in children.split()})


def is_alive(process: Process) -> bool:
    """Whether a process is there still, and is not another one by its number."""
    number, began = process
    state = _state(number)
    if state is None:
        return not Path("/proc/self").exists() and _answers(number)
    return state not in "ZX" and began in (0, _began(number))


def _state(number: int) -> str | None:
    fields = _fields(number)
    return fields[0] if fields else None


def _began(number: int) -> int:
    fields = _fields(number)
    return int(fields[19]) if len(fields) > 19 else 0


def _fields(number: int) -> list[str]:
    """The fields of proc(5)'s stat from the third on, the state; the second is a name that may hold spaces."""
    return _text(f"/proc/{number}/stat").rpartition(")")[2].split()


def _answers(number: int) -> bool:
    """Whether a process takes signals, where there is no /proc."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
