"""Frees MLlib's models where they are no longer used."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def forgotten() -> Iterator[None]:
    """For a block that fits MLlib models and keeps none of them.

    On Spark Connect a model is freed on the server when Python frees it. One that a frame was asked of is in a circle
    of references, so that Python may free it at its very end only, when it can't call the server any more: then the
    process waits for ever, or fails on a session that is gone.
    """
    try:
        yield
    finally:
        gc.collect()
