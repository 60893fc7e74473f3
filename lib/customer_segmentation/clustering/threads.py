"""Threads of numerical libraries."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps the sums of fits in one order: those over several threads differ from run to run."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
