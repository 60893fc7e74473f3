"""Controls when Python's garbage collector frees MLlib's models."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collect_garbage_after() -> Iterator[None]:
    """Disable garbage collection within the block and collect at its end; for a block that keeps no MLlib model.

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
