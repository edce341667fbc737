"""Imports without Python's garbage collector, which would search what they make, and all of it stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_garbage_collector() -> Iterator[None]:
    """While it is open, Python's garbage collector is paused; afterwards what there is counts as old.

    PyTorch and numba make half a million objects when they are imported. The collector searched them many times, and
    once more soon after if they counted as young: 0.4 s in all. Old objects are searched where many more have become
    old since. Where somebody froze objects, they stay frozen and nothing becomes old.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            if gc.get_freeze_count() == 0:
                gc.freeze()
                gc.unfreeze()  # puts them into the oldest generation
            gc.enable()
