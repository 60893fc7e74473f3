"""Actions that don't need one another, started together: Spark plans one while it computes another."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_AT_ONCE = 8
"""Some wait for storage, some for the same cores."""


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """The results of actions, in their order.

    All of them have ended before an error is raised, the first one's in that order.

    Args:
        actions: of two that write, each writes tables of its own.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        started = [threads.submit(action) for action in actions]
    return [each.result() for each in started]
