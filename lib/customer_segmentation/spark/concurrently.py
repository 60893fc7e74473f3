"""Actions that don't need one another, started together: Spark plans one while it computes another."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

_AT_ONCE = 8
"""Some wait for storage, some for the same cores."""


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """The results of actions, in their order.

    All of them have ended before an error is raised, the first one's in that order.

    Args:
        actions: of two that write, each writes tables of its own, or adds rows to one that is there.
    """
    with started(*actions) as results:
        pass
    return [result() for result in results]


@contextmanager
def started(*actions: Callable[[], Any]) -> Iterator[list[Callable[[], Any]]]:
    """Actions as in `at_once`, of each a function that waits for its result; the block's end waits for all."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        yield [threads.submit(action).result for action in actions]
