"""Threads of numerical libraries."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps the sums of fits in one order: those over several threads differ from run to run."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def on_all_cores(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What a function makes of each item, in their order: several at a time, each in one thread.

    Args:
        work: numerical, so that most of its time is spent outside of Python; draws nothing from a shared generator.
        items: what it is called with.
    """

    def in_one_thread(item: Item) -> Result:
        with one_thread():  # OpenMP keeps the limit of each thread by itself
            return work(item)

    with one_thread(), ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return list(threads.map(in_one_thread, items))
