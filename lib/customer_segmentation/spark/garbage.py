"""Frees MLlib's models where they are no longer used."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def forgotten() -> Iterator[None]:
    """For a block that fits MLlib models and keeps none of them.

    On Spark Connect a model is freed on the server when Python frees it. One that a frame was asked of is in a circle
    of references, which Python may free at any moment: at its very end, when it can't call the server any more, or in
    the middle of another call to it. Then the process waits for ever. So such circles are freed at the end of the
    block, and not within it.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        if was_enabled:
            gc.enable()
