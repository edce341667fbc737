"""The one way in which kernels are compiled: on first use, kept on disk, without the interpreter's lock.

Divisions follow NumPy (no check for zero in the inner loops): the kernels guard where a zero can matter.
"""

import gc
import hashlib
import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import njit
from numba.core import event
from numpy.typing import NDArray
from platformdirs import user_cache_path

_LOG = logging.getLogger(__name__)

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Words = NDArray[np.uint64]
Scores = NDArray[Any]  # float32 or float64
ZERO = cast(int, np.int64(0))  # numba knows its type alone; for the literal 0 it compiles a subroutine once more

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compiles a function that Python calls, on its first call."""
    return _compiled(function)


def subroutine(function: _Function) -> _Function:
    """Compiles a function that only kernels call, into its caller and without the wrapper for Python.

    A call would cost 50 to 100 ns for the reference counts of its arrays, more than most subroutines. They are not
    counted, so a subroutine allocates no array and returns none.
    """
    return _compiled(function, no_cpython_wrapper=True, forceinline=True, _nrt=False)


def reduction(function: _Function) -> _Function:
    """Compiles a subroutine that sums over an array, whose order of additions is the compiler's, for speed.

    The result depends on the processor's vector width in the last bit, but not on threads or blocks.
    """
    return _compiled(function, no_cpython_wrapper=True, _nrt=False, fastmath={"reassoc", "nsz"})


def _compiled(function: _Function, **options: Any) -> _Function:
    """Compiles with a cache for exactly these sources.

    Numba looks at the file of a kernel alone: a cached one would keep the old code of a kernel in another file that it
    calls. So each state of the sources has its own folder.
    """
    config: Any = numba.config
    decorate: Any = njit  # its types leave the wrappers out
    before = config.CACHE_DIR
    config.CACHE_DIR = str(_cache_folder(before))
    try:  # nothing calls the kernels from C, so they need no wrapper for it
        decorator = decorate(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True, **options)
        return cast(_Function, decorator(function))
    finally:
        config.CACHE_DIR = before


class CompilationListener(event.Listener):
    """Watches the compilation of this library's kernels, which is seconds of work on the first call on a machine.

    The first one is announced. Meanwhile Python's garbage collector is paused: numba's many objects would have it
    search those of torch again and again, up to a tenth of the time.
    """

    def __init__(self) -> None:
        self._is_announced, self._depth, self._collects = False, 0, False

    def on_start(self, event: event.Event) -> None:
        """Called under numba's lock where a kernel, or one that it calls, is not in the cache."""
        if not _is_ours(event):
            return
        if not self._is_announced:
            self._is_announced = True
            _announce("compiling kernels, which takes some seconds; later runs on this machine find them on disk")
        if self._depth == 0:
            self._collects = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        """Called under numba's lock, after an error too."""
        if not _is_ours(event):
            return
        self._depth -= 1
        if self._depth == 0 and self._collects:
            gc.enable()


def _is_ours(event: event.Event) -> bool:
    return str(event.data["dispatcher"].py_func.__module__).startswith("fico.")  # None under exec


def _announce(message: str) -> None:
    """Logs, or writes to standard error where nobody set up logging, which would show no such message."""
    if _LOG.hasHandlers():
        _LOG.info(message)
    else:
        sys.stderr.write(f"fico: {message}\n")


event.register("numba:compile", CompilationListener())


@cache
def _cache_folder(chosen: str) -> Path:
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))).hexdigest()[:16]
    if chosen:
        return Path(chosen) / f"fico-{digest}"
    local = here / "__pycache__"
    writable = os.access(local if local.exists() else here, os.W_OK)
    return (local if writable else user_cache_path("fico")) / f"kernels-{digest}"
